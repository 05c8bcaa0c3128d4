//! Who is calling: the peer, or what a trusted proxy says about it (http-surface 4.4, 6).

use std::net::IpAddr;
use std::str::FromStr;

use http::HeaderMap;
use ipnet::IpNet;

/// Addresses and CIDR ranges.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddressRanges(Vec<IpNet>);

/// Addresses of proxies whose forwarding headers are believed.
pub type TrustedProxies = AddressRanges;

/// An address or CIDR range that does not parse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither an IP address nor a CIDR range such as 10.0.0.0/8")]
pub struct AddressError(String);

impl AddressRanges {
    /// Parses addresses (`10.1.2.3`) and CIDR ranges (`10.0.0.0/8`).
    pub fn parse<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, AddressError> {
        texts
            .into_iter()
            .map(|text| {
                let text = text.trim();
                IpNet::from_str(text)
                    .or_else(|_| IpAddr::from_str(text).map(IpNet::from))
                    .map_err(|_| AddressError(text.to_owned()))
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether this peer's forwarding headers are believed.
    pub fn trusts(&self, address: IpAddr) -> bool {
        self.contains(address)
    }

    /// Whether one of the ranges has the address.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|range| range.contains(&address))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The caller's address, and the believable part of the way it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The right-most address that is not a trusted proxy.
    pub address: IpAddr,
    /// Value of `X-Forwarded-For`: the caller first, then trusted proxies.
    pub forwarded_for: String,
}

impl Caller {
    /// Decides who calls. Whatever an untrusted caller wrote into `X-Forwarded-For` is dropped.
    pub fn determine(peer: IpAddr, headers: &HeaderMap, trusted: &TrustedProxies) -> Self {
        let peer = peer.to_canonical();
        if !trusted.trusts(peer) {
            return Self { address: peer, forwarded_for: peer.to_string() };
        }
        let values: Vec<&str> =
            headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok()).collect();
        let mut proxies: Vec<IpAddr> = Vec::new();
        let mut address = peer;
        for text in values.iter().flat_map(|value| value.split(',')).collect::<Vec<_>>().into_iter().rev() {
            // An entry that is no address was not written by a proxy we trust: the chain ends before it.
            let Some(hop) = parse_hop(text) else { break };
            proxies.push(address);
            address = hop;
            if !trusted.trusts(hop) {
                break;
            }
        }
        // The peer itself is not part of the header it sent.
        let via = proxies.iter().skip(1).rev().map(IpAddr::to_string);
        let forwarded_for = std::iter::once(address.to_string()).chain(via).collect::<Vec<_>>().join(", ");
        Self { address, forwarded_for }
    }
}

/// One entry of `X-Forwarded-For`: an address, perhaps with a port, brackets or a zone.
fn parse_hop(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    if let Ok(address) = IpAddr::from_str(text) {
        return Some(address.to_canonical());
    }
    if let Some(rest) = text.strip_prefix('[') {
        let (inside, _) = rest.split_once(']')?;
        let (address, _) = inside.split_once('%').unwrap_or((inside, ""));
        return IpAddr::from_str(address).ok().map(|address| address.to_canonical());
    }
    if let Some((address, _)) = text.split_once('%') {
        return IpAddr::from_str(address).ok();
    }
    let (address, _) = text.rsplit_once(':')?;
    std::net::Ipv4Addr::from_str(address).ok().map(IpAddr::V4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(peer: &str, forwarded: &[&str], trusted: &[&str], address: &str, forwarded_for: &str) {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        let trusted = TrustedProxies::parse(trusted.iter().copied()).unwrap();
        let caller = Caller::determine(peer.parse().unwrap(), &headers, &trusted);
        assert_eq!(caller.address.to_string(), address, "address of {forwarded:?} from {peer}");
        assert_eq!(caller.forwarded_for, forwarded_for, "header of {forwarded:?} from {peer}");
    }

    #[test]
    fn caller_behind_proxies() {
        // WH-83: an untrusted peer cannot forge.
        check("127.0.0.1", &["8.8.8.8"], &[], "127.0.0.1", "127.0.0.1");
        check("10.0.0.1", &["8.8.8.8"], &["10.0.0.0/8"], "8.8.8.8", "8.8.8.8");
        check("10.0.0.1", &["6.6.6.6, 8.8.8.8, 10.0.0.2"], &["10.0.0.0/8"], "8.8.8.8", "8.8.8.8, 10.0.0.2");
        check("10.0.0.1", &["6.6.6.6", "8.8.8.8"], &["10.0.0.1"], "8.8.8.8", "8.8.8.8");
        check("10.0.0.1", &[], &["10.0.0.1"], "10.0.0.1", "10.0.0.1");
        check("10.0.0.1", &["10.0.0.3"], &["10.0.0.0/8"], "10.0.0.3", "10.0.0.3");
        check("10.0.0.1", &["8.8.8.8:4711"], &["10.0.0.1"], "8.8.8.8", "8.8.8.8");
        check("10.0.0.1", &["[2001:db8::1]:80"], &["10.0.0.1"], "2001:db8::1", "2001:db8::1");
        check("::ffff:10.0.0.1", &["8.8.8.8"], &["10.0.0.1"], "8.8.8.8", "8.8.8.8");
        check("10.0.0.1", &["8.8.8.8, nonsense"], &["10.0.0.1"], "10.0.0.1", "10.0.0.1");
    }

    #[test]
    fn refuses_what_is_no_address() {
        assert!(TrustedProxies::parse(["10.0.0.0/33"]).is_err());
        assert!(TrustedProxies::parse(["example.com"]).is_err());
        assert!(TrustedProxies::parse(["::1", " 10.0.0.0/8 "]).is_ok());
    }
}
