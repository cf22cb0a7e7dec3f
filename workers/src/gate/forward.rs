//! The forward proxy all of the browser's traffic goes through: `CONNECT` and absolute-form HTTP, to allowed hosts only.
//!
//! Names are resolved here, never in the browser. What is refused is answered 403, counted and logged by host; never by path or query,
//! which may carry personal data.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HOST, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, Uri, client, server};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use serde_json::{Value, json};
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::egress::{EgressRule, HostPort};
use super::http::{Body, answer, full};

/// A page opens some dozens; a browser keeps at most 256 sockets per proxy.
const CONNECTIONS_MAX: usize = 512;
const DIAL_WITHIN: Duration = Duration::from_secs(10);
const ANSWER_WITHIN: Duration = Duration::from_secs(75);
/// Refused targets kept for the status.
const REFUSED_KEPT: usize = 32;

/// Title of the page a refused target is answered with; the agent recognises it.
pub const REFUSED_TITLE: &str = "Refused by the egress rule";

/// Names to addresses.
#[async_trait]
pub trait Resolve: Send + Sync {
    async fn resolve(&self, target: &HostPort) -> io::Result<Vec<SocketAddr>>;
}

/// Opens the connection to one of the addresses a target resolved to.
#[async_trait]
pub trait Dial: Send + Sync {
    async fn dial(&self, target: &HostPort, addresses: &[SocketAddr]) -> Result<TcpStream, DialError>;
}

#[derive(Debug, Error)]
pub enum DialError {
    #[error("no address of {0} may be dialled")]
    Refused(HostPort),
    #[error("cannot connect to {target}")]
    Failed { target: HostPort, source: io::Error },
}

/// The machine's own resolver.
pub struct SystemResolver;

#[async_trait]
impl Resolve for SystemResolver {
    async fn resolve(&self, target: &HostPort) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host((target.host.as_str(), target.port)).await?.collect())
    }
}

/// Dials public addresses, and private ones only where the rule opens them. Checks the address it dials, so a name that resolves to
/// something else a moment later gains nothing.
pub struct PublicOnly {
    rule: EgressRule,
}

impl PublicOnly {
    pub fn new(rule: EgressRule) -> Self {
        Self { rule }
    }
}

#[async_trait]
impl Dial for PublicOnly {
    async fn dial(&self, target: &HostPort, addresses: &[SocketAddr]) -> Result<TcpStream, DialError> {
        let mut failed = None;
        for address in addresses.iter().filter(|address| self.rule.allows_address(target, address.ip())) {
            match timeout(DIAL_WITHIN, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(source)) => failed = Some(source),
                Err(_) => failed = Some(io::ErrorKind::TimedOut.into()),
            }
        }
        Err(failed.map_or_else(
            || DialError::Refused(target.clone()),
            |source| DialError::Failed { target: target.clone(), source },
        ))
    }
}

/// What passed and what did not, since the start.
#[derive(Default)]
pub struct EgressCounts {
    passed: AtomicU64,
    refused: AtomicU64,
    last_refused: Mutex<VecDeque<String>>,
}

impl EgressCounts {
    fn refuse(&self, target: &str) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(target_host = target, "the egress rule refused a target");
        let mut last = self.last_refused.lock();
        if !last.iter().any(|seen| seen == target) {
            if last.len() == REFUSED_KEPT {
                last.pop_front();
            }
            last.push_back(target.to_owned());
        }
    }

    pub fn report(&self) -> Value {
        json!({
            "passed": self.passed.load(Ordering::Relaxed),
            "refused": self.refused.load(Ordering::Relaxed),
            "last_refused": *self.last_refused.lock(),
        })
    }
}

/// The proxy's rule and its ports.
#[derive(Clone)]
pub struct Egress {
    pub rule: EgressRule,
    pub resolver: Arc<dyn Resolve>,
    pub dialer: Arc<dyn Dial>,
    pub counts: Arc<EgressCounts>,
}

enum Refusal {
    NotAllowed,
    Unreachable(String),
}

pub async fn serve(listener: TcpListener, egress: Egress) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let egress = egress.clone();
        let place = Arc::new(place);
        tokio::spawn(async move {
            let held = Arc::clone(&place);
            let service = service_fn(move |request| {
                let (egress, place) = (egress.clone(), Arc::clone(&held));
                async move { Ok::<_, Infallible>(egress.handle(request, place).await) }
            });
            let _ = server::conn::http1::Builder::new()
                .preserve_header_case(true)
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades()
                .await;
        });
    }
}

type Place = Arc<tokio::sync::OwnedSemaphorePermit>;

impl Egress {
    async fn handle(&self, request: Request<Incoming>, place: Place) -> Response<Body> {
        let Some(target) = target_of(request.method(), request.uri()) else {
            return page(StatusCode::BAD_REQUEST, "Not a proxy request", "This port speaks the proxy protocol only.");
        };
        let stream = match self.reach(&target).await {
            Ok(stream) => stream,
            Err(Refusal::NotAllowed) => {
                self.counts.refuse(&target.to_string());
                return page(
                    StatusCode::FORBIDDEN,
                    REFUSED_TITLE,
                    &format!("{target} is not among the hosts this browser may reach."),
                );
            }
            Err(Refusal::Unreachable(reason)) => {
                tracing::info!(target_host = %target, reason, "a target could not be reached");
                return page(StatusCode::BAD_GATEWAY, "Unreachable", &format!("{target} could not be reached."));
            }
        };
        self.counts.passed.fetch_add(1, Ordering::Relaxed);
        if request.method() == Method::CONNECT {
            tokio::spawn(tunnel(request, stream, place));
            return Response::new(full(""));
        }
        match timeout(ANSWER_WITHIN, relay(request, stream, &target)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => page(StatusCode::BAD_GATEWAY, "Bad answer", &format!("{target} did not answer: {error}")),
            Err(_) => page(StatusCode::GATEWAY_TIMEOUT, "No answer", &format!("{target} did not answer in time.")),
        }
    }

    async fn reach(&self, target: &HostPort) -> Result<TcpStream, Refusal> {
        if !self.rule.allows(target) {
            return Err(Refusal::NotAllowed);
        }
        let addresses = timeout(DIAL_WITHIN, self.resolver.resolve(target))
            .await
            .map_err(|_| Refusal::Unreachable("no address in time".into()))?
            .map_err(|error| Refusal::Unreachable(error.to_string()))?;
        self.dialer.dial(target, &addresses).await.map_err(|error| match error {
            DialError::Refused(_) => Refusal::NotAllowed,
            DialError::Failed { source, .. } => Refusal::Unreachable(source.to_string()),
        })
    }
}

/// CONNECT names `host:port`; other methods an absolute `http` URL. `https` in absolute form would be a browser speaking TLS to us.
fn target_of(method: &Method, uri: &Uri) -> Option<HostPort> {
    let authority = uri.authority()?;
    if authority.as_str().contains('@') {
        return None;
    }
    if method == Method::CONNECT {
        return Some(HostPort::new(authority.host(), authority.port_u16()?));
    }
    (uri.scheme_str() == Some("http")).then(|| HostPort::new(authority.host(), authority.port_u16().unwrap_or(80)))
}

async fn tunnel(request: Request<Incoming>, mut stream: TcpStream, _place: Place) {
    if let Ok(upgraded) = hyper::upgrade::on(request).await {
        let _ = tokio::io::copy_bidirectional(&mut TokioIo::new(upgraded), &mut stream).await;
    }
}

async fn relay(mut request: Request<Incoming>, stream: TcpStream, target: &HostPort) -> Result<Response<Body>, String> {
    let (mut sender, connection) = client::conn::http1::Builder::new()
        .preserve_header_case(true)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| error.to_string())?;
    tokio::spawn(connection);
    let path = request
        .uri()
        .path_and_query()
        .map_or("/", |path| path.as_str())
        .parse::<Uri>()
        .map_err(|error| error.to_string())?;
    *request.uri_mut() = path;
    drop_hop_headers(request.headers_mut());
    let host = if target.port == 80 { target.host.clone() } else { target.to_string() };
    // Always the host the rule was asked about, never one the page chose.
    request.headers_mut().insert(HOST, HeaderValue::from_str(&host).map_err(|error| error.to_string())?);
    let mut answer = sender.send_request(request).await.map_err(|error| error.to_string())?;
    drop_hop_headers(answer.headers_mut());
    Ok(answer.map(BodyExt::boxed))
}

/// RFC 9110 §7.6.1, and the two a browser sends to a proxy.
fn drop_hop_headers(headers: &mut hyper::HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in ["connection", "proxy-connection", "proxy-authorization", "keep-alive", "te", "trailer", "upgrade"] {
        headers.remove(name);
    }
}

fn page(status: StatusCode, title: &str, text: &str) -> Response<Body> {
    let escape = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;");
    let html = format!("<!doctype html><title>{}</title><h1>{0}</h1><p>{}</p>", escape(title), escape(text));
    answer(status, "text/html; charset=utf-8", html)
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::net::SocketAddr;
    use std::sync::Arc;

    use async_trait::async_trait;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};

    use super::{Dial, DialError, Egress, EgressCounts, EgressRule, HostPort, PublicOnly, Resolve, serve};

    /// Every name is this address.
    struct Always(SocketAddr);

    #[async_trait]
    impl Resolve for Always {
        async fn resolve(&self, _: &HostPort) -> io::Result<Vec<SocketAddr>> {
            Ok(vec![self.0])
        }
    }

    struct Anything;

    #[async_trait]
    impl Dial for Anything {
        async fn dial(&self, target: &HostPort, addresses: &[SocketAddr]) -> Result<TcpStream, DialError> {
            let failed = |source| DialError::Failed { target: target.clone(), source };
            TcpStream::connect(addresses).await.map_err(failed)
        }
    }

    async fn loopback() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let address = listener.local_addr().expect("its address");
        (listener, address)
    }

    /// A site that answers everything with `hello`, and a proxy for which `jobs.example` resolves to it.
    async fn ask(dialer: Arc<dyn Dial>, request: &str) -> (String, u64) {
        let (site, at) = loopback().await;
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = site.accept().await {
                let _ = stream.read(&mut [0; 4096]).await;
                let _ =
                    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello").await;
            }
        });
        let (proxy, proxy_at) = loopback().await;
        let counts = Arc::<EgressCounts>::default();
        let rule = EgressRule::new(&["jobs.example".into()], &[]).expect("a rule");
        let egress = Egress { rule, resolver: Arc::new(Always(at)), dialer, counts: Arc::clone(&counts) };
        let server = tokio::spawn(serve(proxy, egress));
        let mut stream = TcpStream::connect(proxy_at).await.expect("the proxy");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        server.abort();
        (answer, counts.report()["refused"].as_u64().expect("a count"))
    }

    fn get(target: &str) -> String {
        format!("GET http://{target}/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    }

    #[tokio::test]
    async fn an_allowed_name_that_resolves_to_loopback_is_refused() {
        let rule = || EgressRule::new(&["jobs.example".into()], &[]).expect("a rule");
        for request in [get("jobs.example"), "CONNECT jobs.example:443 HTTP/1.1\r\nConnection: close\r\n\r\n".into()] {
            let (answer, refused) = ask(Arc::new(PublicOnly::new(rule())), &request).await;
            assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
            assert_eq!(refused, 1);
        }
    }

    #[tokio::test]
    async fn an_allowed_name_passes_and_others_are_not_even_resolved() {
        let (answer, refused) = ask(Arc::new(Anything), &get("jobs.example")).await;
        assert!(answer.ends_with("hello") && refused == 0, "{answer}");
        for target in ["other.example", "jobs.example:8080", "user@jobs.example"] {
            let (answer, _) = ask(Arc::new(Anything), &get(target)).await;
            assert!(answer.starts_with("HTTP/1.1 40") && !answer.contains("hello"), "{target} {answer}");
        }
    }
}
