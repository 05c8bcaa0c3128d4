//! Listening sockets: bound once, by the process that owns them.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};

use crate::error::ServerError;

/// Binds every address. Names such as `localhost` may stand for several.
///
/// # Errors
/// The first address that cannot be had.
pub(crate) fn bind(addresses: &[String]) -> Result<Vec<TcpListener>, ServerError> {
    let mut listeners = Vec::new();
    for address in addresses {
        let refused = |source| ServerError::Listen { address: address.clone(), source };
        let resolved: Vec<SocketAddr> = address.to_socket_addrs().map_err(refused)?.collect();
        if resolved.is_empty() {
            return Err(refused(io::Error::from(io::ErrorKind::AddrNotAvailable)));
        }
        for socket_address in resolved {
            // The standard library sets SO_REUSEADDR and a backlog of 128; the kernel's own bound is larger.
            let listener = TcpListener::bind(socket_address).map_err(refused)?;
            widen_backlog(&listener);
            listeners.push(listener);
        }
    }
    Ok(listeners)
}

/// Calling `listen` again on a listening socket changes its backlog only.
fn widen_backlog(listener: &TcpListener) {
    use std::os::fd::AsRawFd;
    // SAFETY: the descriptor is open and listening; the call does not touch memory.
    unsafe { libc::listen(listener.as_raw_fd(), 4096) };
}

/// `http://address:port` of each; where any address will do, one that can be typed into a client.
pub(crate) fn urls(listeners: &[TcpListener]) -> Vec<String> {
    listeners
        .iter()
        .filter_map(|listener| listener.local_addr().ok())
        .map(|mut address| {
            match address.ip() {
                IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
                IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
                IpAddr::V4(_) | IpAddr::V6(_) => {}
            }
            format!("http://{address}")
        })
        .collect()
}

/// Lets this process have as many open files as the system permits it.
pub(crate) fn raise_open_files_limit() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is valid for both calls and lives until they return.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) == 0 && limit.rlim_cur < limit.rlim_max {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
        }
    }
}
