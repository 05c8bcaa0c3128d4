//! From a URL's authority to a connection: resolves the name, asks the policy, connects.

use std::error::Error as StdError;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;

use super::AddressPolicy;

/// Finds the addresses of a name.
pub trait Resolve: Send + Sync + fmt::Debug + 'static {
    /// All addresses of `name`. Nothing it gives is connected to unless the policy allows it.
    fn resolve(&self, name: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// The system's resolver.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve(&self, name: &str) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let name = name.to_owned();
        let plain = name.trim_end_matches('.').to_ascii_lowercase();
        if plain == "localhost" || plain.ends_with(".localhost") {
            // This machine by definition (RFC 6761); name servers need not know it.
            let addresses = vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
            return async { Ok(addresses) }.boxed();
        }
        async move { Ok(tokio::net::lookup_host((name.as_str(), 0)).await?.map(|found| found.ip()).collect()) }.boxed()
    }
}

/// A target that leads only to addresses the policy forbids.
#[derive(Debug, thiserror::Error)]
#[error("the address is restricted")]
pub(super) struct RestrictedAddress;

/// The one way to a connection: literal addresses and names alike are checked here, and what was checked is what is
/// connected to.
#[derive(Debug, Clone)]
pub(super) struct PolicedConnector {
    pub policy: Arc<AddressPolicy>,
    pub resolver: Arc<dyn Resolve>,
    /// For resolving and connecting together.
    pub timeout: Duration,
}

type BoxError = Box<dyn StdError + Send + Sync>;

impl Service<Uri> for PolicedConnector {
    type Response = TokioIo<TcpStream>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        let host = target.host().unwrap_or_default().to_owned();
        let is_https = target.scheme_str() == Some("https");
        let port = target.port_u16().unwrap_or(if is_https { 443 } else { 80 });
        // The connector takes literal addresses as they stand, without asking the resolver.
        let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok();
        if literal.is_some_and(|address| !self.policy.allows(&host, port, address)) {
            return Box::pin(async { Err(RestrictedAddress.into()) });
        }
        let resolver = PolicedResolver { policy: self.policy.clone(), resolver: self.resolver.clone(), host, port };
        let mut connector = HttpConnector::new_with_resolver(resolver);
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(self.timeout));
        let timeout = self.timeout;
        Box::pin(async move {
            match tokio::time::timeout(timeout, connector.call(target)).await {
                Ok(connection) => connection.map_err(BoxError::from),
                Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "connecting took too long").into()),
            }
        })
    }
}

/// Resolves for one connection, with forbidden addresses left out.
#[derive(Debug, Clone)]
struct PolicedResolver {
    policy: Arc<AddressPolicy>,
    resolver: Arc<dyn Resolve>,
    host: String,
    port: u16,
}

impl Service<Name> for PolicedResolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let Self { policy, resolver, host, port } = self.clone();
        async move {
            let found = resolver.resolve(name.as_str()).await?;
            let was_empty = found.is_empty();
            let allowed: Vec<SocketAddr> = found
                .into_iter()
                .filter(|address| policy.allows(&host, port, *address))
                .map(|address| SocketAddr::new(address, port))
                .collect();
            if allowed.is_empty() && !was_empty {
                return Err(RestrictedAddress.into());
            }
            Ok(allowed.into_iter())
        }
        .boxed()
    }
}
