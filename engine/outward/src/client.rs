//! A call: its hops, and the answer with its bounds.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::{Body as _, Incoming};
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, LOCATION, USER_AGENT};
use hyper::{HeaderMap, Method, Request, StatusCode, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use percent_encoding::percent_decode_str;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;
use tokio::time::{Instant, timeout_at};
use url::Url;
use valet_core::address::HostPort;

use crate::bounds::{HEAD_BYTES_MAX, IDLE_CONNECTION, IDLE_CONNECTIONS_MAX};
use crate::connector::{Connector, Guard};
use crate::error::{OutwardError, chain};
use crate::ports::{Dial, MachineDialer, MachineResolver, Resolve};

/// What goes along to another origin: whatever else a caller sends may be meant for the first one only.
const HEADERS_FOR_ANYONE: [hyper::header::HeaderName; 3] = [ACCEPT, CONTENT_TYPE, USER_AGENT];

/// How far a way out leads.
pub struct OutwardConfig {
    /// Places that may be reached although their addresses are not public.
    pub opened: Vec<HostPort>,
    /// Trusted besides those of the system.
    pub authorities: Vec<CertificateDer<'static>>,
    /// From the first connection to the end of the answer, hops included.
    pub time_max: Duration,
    pub body_bytes_max: usize,
    /// 0: an answer that leads elsewhere is handed over as it is.
    pub redirects_max: usize,
    pub resolver: Arc<dyn Resolve>,
    pub dialer: Arc<dyn Dial>,
}

impl Default for OutwardConfig {
    fn default() -> Self {
        Self {
            opened: Vec::new(),
            authorities: Vec::new(),
            time_max: Duration::from_secs(30),
            body_bytes_max: 1024 * 1024,
            redirects_max: 5,
            resolver: Arc::new(MachineResolver),
            dialer: Arc::new(MachineDialer),
        }
    }
}

/// What is sent.
#[derive(Clone, Debug)]
pub struct Call {
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// What came back; its body is still on the way.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    /// Where it came from, after all hops.
    pub url: Url,
    body: Incoming,
    ends: Ends,
}

/// Where a call's patience ends.
#[derive(Clone, Copy, Debug)]
struct Ends {
    at: Instant,
    within: Duration,
    body_bytes_max: usize,
}

impl Answer {
    /// The whole body, bounded in size, and in time together with the call.
    pub async fn bytes(self) -> Result<Bytes, OutwardError> {
        let Ends { at, within, body_bytes_max: bytes_max } = self.ends;
        if self.body.size_hint().lower() > bytes_max as u64 {
            return Err(OutwardError::TooLarge { bytes_max });
        }
        let collected = timeout_at(at, Limited::new(self.body, bytes_max).collect()).await;
        match collected.map_err(|_| OutwardError::TimedOut { within })? {
            Ok(body) => Ok(body.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => Err(OutwardError::TooLarge { bytes_max }),
            Err(error) => Err(OutwardError::Failed(chain(&*error))),
        }
    }
}

/// The way out. Cheap to keep, connections are kept for a while; one for each purpose.
pub struct Outward {
    http: legacy::Client<HttpsConnector<Connector>, Full<Bytes>>,
    guard: Arc<Guard>,
    /// Why there is no https.
    without_tls: Option<String>,
    time_max: Duration,
    body_bytes_max: usize,
    redirects_max: usize,
}

impl Outward {
    /// Reads the system's certificate authorities. A machine without any can still speak plain HTTP.
    pub fn new(config: OutwardConfig) -> Self {
        let OutwardConfig { opened, authorities, time_max, body_bytes_max, redirects_max, resolver, dialer } = config;
        let guard = Arc::new(Guard { opened, resolver, dialer });
        let (tls, without_tls) = match tls(authorities) {
            Ok(tls) => (tls, None),
            Err(error) => (trusting_nobody(), Some(error.to_string())),
        };
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(Connector(Arc::clone(&guard)));
        let http = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_CONNECTION)
            .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
            .http1_max_buf_size(HEAD_BYTES_MAX)
            .build(connector);
        Self { http, guard, without_tls, time_max, body_bytes_max, redirects_max }
    }

    /// Why a call to this address would be refused before a name is resolved; `None`: it is not known yet.
    pub fn problem(&self, url: &Url) -> Option<OutwardError> {
        let place = match place(url) {
            Ok(place) => place,
            Err(error) => return Some(error),
        };
        let known = match place.host.as_str() {
            "localhost" => Some(IpAddr::from([127, 0, 0, 1])),
            host => host.parse().ok(),
        };
        known.filter(|address| !self.guard.allows(&place, *address)).map(|_| OutwardError::Refused(place))
    }

    /// Sends a call and follows where its answer leads. What has no public address, at any hop, is refused.
    pub async fn send(&self, mut call: Call) -> Result<Answer, OutwardError> {
        let ends =
            Ends { at: Instant::now() + self.time_max, within: self.time_max, body_bytes_max: self.body_bytes_max };
        take_user(&mut call);
        for _ in 0..=self.redirects_max {
            place(&call.url)?;
            let answer = self.hop(&call, ends).await?;
            if self.redirects_max == 0 || !leads_elsewhere(answer.status) {
                return Ok(answer);
            }
            follow(&mut call, &answer)?;
        }
        Err(OutwardError::TooManyRedirects { max: self.redirects_max })
    }

    async fn hop(&self, call: &Call, ends: Ends) -> Result<Answer, OutwardError> {
        if call.url.scheme() == "https"
            && let Some(why) = &self.without_tls
        {
            return Err(OutwardError::NoAuthorities(why.clone()));
        }
        // A URL that a URI cannot hold is longer than 64 KiB.
        let uri: Uri = call.url.as_str().parse().map_err(|_| OutwardError::Address("is too long"))?;
        let mut request = Request::new(Full::new(call.body.clone()));
        *request.method_mut() = call.method.clone();
        *request.uri_mut() = uri;
        *request.headers_mut() = call.headers.clone();
        let answered = timeout_at(ends.at, self.http.request(request)).await;
        let answer = answered.map_err(|_| OutwardError::TimedOut { within: ends.within })??;
        let (head, body) = answer.into_parts();
        Ok(Answer { status: head.status, headers: head.headers, url: call.url.clone(), body, ends })
    }
}

/// The place that a URL means; also whether it is one that can be called at all.
fn place(url: &Url) -> Result<HostPort, OutwardError> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(OutwardError::Address("must begin with http:// or https://"));
    }
    let named = url.host_str().zip(url.port_or_known_default());
    named.map(|(host, port)| HostPort::new(host, port)).ok_or(OutwardError::Address("must name a host"))
}

/// A user and password of the address are sent as a header, as `curl` does.
fn take_user(call: &mut Call) {
    if call.url.username().is_empty() && call.url.password().is_none() {
        return;
    }
    let plain = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let pair = format!("{}:{}", plain(call.url.username()), plain(call.url.password().unwrap_or_default()));
    if let Ok(mut value) = hyper::header::HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(pair))) {
        value.set_sensitive(true);
        call.headers.insert(AUTHORIZATION, value);
    }
    // Fails only for addresses without a host, which are refused.
    let _ = call.url.set_username("");
    let _ = call.url.set_password(None);
}

fn leads_elsewhere(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// Makes the next hop's call of this one (RFC 9110, 15.4).
fn follow(call: &mut Call, answer: &Answer) -> Result<(), OutwardError> {
    let location = answer.headers.get(LOCATION).and_then(|value| value.to_str().ok());
    let next = location.and_then(|location| call.url.join(location).ok()).ok_or(OutwardError::BadRedirect)?;
    if call.url.scheme() == "https" && next.scheme() == "http" {
        return Err(OutwardError::Downgrade);
    }
    if !next.username().is_empty() || next.password().is_some() {
        return Err(OutwardError::BadRedirect);
    }
    if call.url.origin() != next.origin() {
        let kept = HEADERS_FOR_ANYONE.into_iter().filter_map(|name| Some((name.clone(), call.headers.remove(name)?)));
        call.headers = kept.collect();
    }
    let asks_anew = match answer.status.as_u16() {
        301 | 302 => call.method == Method::POST,
        303 => call.method != Method::HEAD,
        _ => false,
    };
    if asks_anew {
        call.method = Method::GET;
        call.body = Bytes::new();
        call.headers.remove(CONTENT_TYPE);
    }
    call.url = next;
    Ok(())
}

fn tls(authorities: Vec<CertificateDer<'static>>) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Verifier::new_with_extra_roots(authorities, Arc::clone(&provider))?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    Ok(config.with_no_client_auth())
}

/// In place of a configuration that could not be made; nothing is sent over it.
fn trusting_nobody() -> ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring speaks TLS 1.2 and 1.3");
    config.with_root_certificates(RootCertStore::empty()).with_no_client_auth()
}
