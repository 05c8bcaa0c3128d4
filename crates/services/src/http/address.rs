//! Where outgoing requests may go.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use ipnet::IpNet;

/// Where outgoing requests may go. By default only to addresses of the public internet, because a function's author is not
/// the operator of the network around the server.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AddressPolicy {
    /// Allows loopback, private, link-local and other special addresses as well.
    pub allows_special_addresses: bool,
    /// Special addresses that are allowed all the same.
    pub allowed: Vec<AllowedTarget>,
}

impl AddressPolicy {
    /// Whether a request to `host` and `port` may go to this address, to which the host's name has led.
    pub fn allows(&self, host: &str, port: u16, address: IpAddr) -> bool {
        self.allows_special_addresses
            || is_public(address)
            || self.allowed.iter().any(|target| target.matches(host, port, address))
    }
}

/// One exception of the operator: an address, a range or the name of a host, and a port when it is for that port only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedTarget {
    host: AllowedHost,
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum AllowedHost {
    Range(IpNet),
    /// Lower case; whatever it resolves to.
    Name(String),
}

/// A text that names no target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no address, CIDR range or host name, such as 10.0.0.5, 10.0.0.0/8, [::1]:9000 or mail.internal:25")]
pub struct TargetError(String);

impl AllowedTarget {
    fn matches(&self, host: &str, port: u16, address: IpAddr) -> bool {
        let is_host = match &self.host {
            AllowedHost::Range(range) => range.contains(&address.to_canonical()),
            AllowedHost::Name(name) => host.trim_end_matches('.').eq_ignore_ascii_case(name),
        };
        is_host && self.port.is_none_or(|own| own == port)
    }
}

impl AllowedTarget {
    /// The host of a URL, with its port; `None` for URLs without one.
    pub fn of_url(url: &url::Url) -> Option<Self> {
        let host = match url.host()? {
            url::Host::Domain(name) => AllowedHost::Name(name.trim_end_matches('.').to_ascii_lowercase()),
            url::Host::Ipv4(address) => AllowedHost::Range(IpAddr::V4(address).into()),
            url::Host::Ipv6(address) => AllowedHost::Range(IpAddr::V6(address).to_canonical().into()),
        };
        Some(Self { host, port: url.port_or_known_default() })
    }
}

impl FromStr for AllowedTarget {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let text = text.trim();
        let address = |address: IpAddr, port| Self { host: AllowedHost::Range(IpNet::from(address)), port };
        if let Ok(range) = text.parse::<IpNet>() {
            return Ok(Self { host: AllowedHost::Range(range), port: None });
        }
        if let Ok(ip) = text.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            return Ok(address(ip.to_canonical(), None));
        }
        if let Ok(socket) = text.parse::<SocketAddr>() {
            return Ok(address(socket.ip().to_canonical(), Some(socket.port())));
        }
        let malformed = || TargetError(text.to_owned());
        let (name, port) = match text.split_once(':') {
            Some((name, port)) => (name, Some(port.parse().map_err(|_| malformed())?)),
            None => (text, None),
        };
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let is_label = |label: &str| {
            !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        };
        // A last label of digits alone would be an address in an odd notation.
        let is_name = name.split('.').all(is_label)
            && name.rsplit('.').next().is_some_and(|last| last.bytes().any(|byte| byte.is_ascii_alphabetic()));
        if is_name { Ok(Self { host: AllowedHost::Name(name), port }) } else { Err(malformed()) }
    }
}

/// Whether an address is reachable from anywhere. Addresses that carry another one inside count as that one.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_special = address.is_unspecified()
        || address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_broadcast()
        || address.is_documentation()
        || a == 0
        // Shared address space of carriers, protocol assignments, 6to4 relays, benchmarks, reserved.
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (18..20).contains(&b))
        || a >= 240;
    !is_special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    if let Some(inner) = address.to_ipv4_mapped() {
        return is_public_v4(inner);
    }
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match segments {
        // NAT64, well known and local; 6to4; addresses compatible with IPv4.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => v4(high, low),
        [0x64, 0xff9b, 1, ..] => false,
        [0x2002, high, low, ..] => v4(high, low),
        [0, 0, 0, 0, 0, 0, ..] => false,
        // Teredo, benchmarks, documentation, discard-only.
        [0x2001, 0, ..] | [0x2001, 2, 0, ..] | [0x2001, 0xdb8, ..] | [0x3fff, ..] | [0x100, 0, 0, 0, ..] => false,
        // Unique local, link-local, the old site-local, multicast.
        [first, ..] => {
            let is_special = (first & 0xfe00) == 0xfc00
                || (first & 0xffc0) == 0xfe80
                || (first & 0xffc0) == 0xfec0
                || (first & 0xff00) == 0xff00;
            !is_special
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_public() {
        for address in ["1.1.1.1", "8.8.8.8", "93.184.216.34", "2606:4700::1111", "64:ff9b::808:808", "::ffff:8.8.8.8"]
        {
            assert!(is_public(address.parse().expect("an address")), "{address}");
        }
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "127.8.9.10",
            "169.254.169.254",
            "172.16.0.1",
            "192.168.1.1",
            "192.0.0.1",
            "198.18.0.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
        ] {
            assert!(!is_public(address.parse().expect("an address")), "{address}");
        }
    }

    fn allowed(targets: &[&str], host: &str, port: u16, address: &str) -> bool {
        let allowed = targets.iter().map(|text| text.parse().expect("a target")).collect();
        let policy = AddressPolicy { allows_special_addresses: false, allowed };
        policy.allows(host, port, address.parse().expect("an address"))
    }

    #[test]
    fn the_operator_may_allow_all_of_them() {
        let policy = AddressPolicy { allows_special_addresses: true, allowed: Vec::new() };
        assert!(policy.allows("localhost", 80, IpAddr::V4(Ipv4Addr::LOCALHOST)));
        assert!(!AddressPolicy::default().allows("localhost", 80, IpAddr::V4(Ipv4Addr::LOCALHOST)));
    }

    #[test]
    fn the_operator_may_allow_some_of_them() {
        assert!(allowed(&["10.0.0.0/8"], "10.1.2.3", 80, "10.1.2.3"));
        assert!(allowed(&["10.0.0.0/8"], "[::ffff:10.1.2.3]", 80, "::ffff:10.1.2.3"));
        assert!(!allowed(&["10.0.0.0/8"], "11.0.0.1", 80, "127.0.0.1"));
        assert!(allowed(&["127.0.0.1:9000"], "localhost", 9000, "127.0.0.1"));
        assert!(!allowed(&["127.0.0.1:9000"], "localhost", 9001, "127.0.0.1"));
        assert!(allowed(&["[::1]:9000"], "[::1]", 9000, "::1"));
        assert!(allowed(&["::1", "10.0.0.1"], "[::1]", 1, "::1"));
        assert!(allowed(&["Mail.Internal:25"], "mail.internal.", 25, "192.168.0.9"));
        assert!(!allowed(&["mail.internal:25"], "mail.internal.evil.example", 25, "192.168.0.9"));
        assert!(!allowed(&["mail.internal"], "other.internal", 25, "192.168.0.9"));
    }

    #[test]
    fn what_names_no_target_is_refused() {
        for text in
            ["", "a b", "10.0.0.0/99", "host:port", "host:99999", "2130706433", "127.1", "http://host", "a..b", "*"]
        {
            assert!(text.parse::<AllowedTarget>().is_err(), "{text:?}");
        }
    }
}
