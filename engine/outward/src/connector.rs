//! From a place to a connection: resolves, checks what it got, and dials that, so that a name which resolves to something
//! else a moment later gains nothing.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use hyper::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tower::Service;
use valet_core::address::{HostPort, is_public};

use crate::bounds::{ADDRESSES_MAX, DIAL_WITHIN};
use crate::error::ConnectError;
use crate::ports::{Dial, Resolve};

/// What may be reached, and how.
pub struct Guard {
    pub opened: Vec<HostPort>,
    pub resolver: Arc<dyn Resolve>,
    pub dialer: Arc<dyn Dial>,
}

impl Guard {
    pub fn allows(&self, place: &HostPort, address: IpAddr) -> bool {
        is_public(address) || self.opened.contains(place)
    }

    async fn connect(&self, place: HostPort) -> Result<TcpStream, ConnectError> {
        let found = match place.host.parse::<IpAddr>() {
            Ok(address) => vec![address],
            Err(_) => match self.resolver.resolve(&place.host).await {
                Ok(found) => found,
                Err(source) => return Err(ConnectError::Unknown { place, source }),
            },
        };
        if found.is_empty() {
            return Err(ConnectError::Unknown { place, source: io::ErrorKind::NotFound.into() });
        }
        let allowed = found.into_iter().filter(|address| self.allows(&place, *address)).take(ADDRESSES_MAX);
        let mut failed = None;
        for address in allowed {
            let dialled = timeout(DIAL_WITHIN, self.dialer.dial(SocketAddr::new(address, place.port))).await;
            match dialled.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
                Ok(stream) => return Ok(stream),
                Err(source) => failed = Some(source),
            }
        }
        let Some(source) = failed else {
            tracing::warn!(%place, "a request to a place without a public address was refused");
            return Err(ConnectError::Refused(place));
        };
        Err(ConnectError::Away { place, source })
    }
}

/// The host and port that a URI means.
fn place(uri: &Uri) -> Option<HostPort> {
    let port = uri.port_u16().or_else(|| match uri.scheme_str() {
        Some("https") => Some(443),
        Some("http") => Some(80),
        _ => None,
    })?;
    Some(HostPort::new(uri.host()?, port))
}

/// The guard as the HTTP client calls it.
#[derive(Clone)]
pub struct Connector(pub Arc<Guard>);

impl Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, ConnectError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let guard = Arc::clone(&self.0);
        Box::pin(async move {
            let place = place(&uri).ok_or(ConnectError::NoHost)?;
            guard.connect(place).await.map(TokioIo::new)
        })
    }
}
