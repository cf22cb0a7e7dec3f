//! Calls to the interfaces of vendors: one way out for all of them, bounded in time and size, at the pace that the vendor takes.
//!
//! What a call came to is told apart by what is known of it: not sent at all, answered, or lost on the way, when it may have been done.
//! No error and no log holds a key: those travel in headers marked as secret, or in a query, and neither is ever shown.

pub mod multipart;
mod pace;

use std::time::Duration;

use bytes::Bytes;
use rustls::pki_types::CertificateDer;
use serde::de::DeserializeOwned;
use thiserror::Error;
use url::Url;
use valet_outward::header::{HeaderMap, HeaderName, HeaderValue};
use valet_outward::{Call, Method, Outward, OutwardConfig, OutwardError};

pub use pace::Pace;

use crate::gate::HostPort;

/// A vendor answers within this, or not at all: creating a machine takes the longest, some tens of seconds.
const ANSWER_WITHIN: Duration = Duration::from_mins(1);
/// Lists of all jobs of a company are the largest answers.
const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;
/// A vendor that says when to come back is believed up to this.
const RETRY_AFTER_MAX: Duration = Duration::from_mins(10);

/// A key or token. Its text is shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub fn expose(&self) -> &str {
        &self.0
    }

    /// For a header, which is marked so that nothing prints it.
    pub fn header(&self, prefix: &str) -> Result<HeaderValue, VendorError> {
        let mut value = HeaderValue::from_str(&format!("{prefix}{}", self.0))
            .map_err(|_| VendorError::NotSent("the key holds a character that no header can".to_owned()))?;
        value.set_sensitive(true);
        Ok(value)
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[derive(Debug, Error)]
pub enum VendorError {
    /// Nobody heard of it.
    #[error("it was not sent: {0}")]
    NotSent(String),
    /// It may have been done.
    #[error("no answer came back: {0}")]
    Lost(String),
}

/// How the way out is laid, beside each vendor's address.
#[derive(Default)]
pub struct VendorConfig {
    /// Private places that may be called: where an operator pointed a vendor's address.
    pub opened: Vec<HostPort>,
    /// Trusted besides those of the system.
    pub authorities: Vec<CertificateDer<'static>>,
}

/// The way to one vendor.
pub struct Vendor {
    name: &'static str,
    base: String,
    outward: Outward,
}

/// A request to be.
pub struct Ask {
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Bytes,
}

/// What came back.
#[derive(Debug)]
pub struct Told {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Vendor {
    /// `base` may hold `{…}` for what differs from call to call. A private place that it names without is opened: an operator put it there.
    pub fn new(name: &'static str, base: &str, config: VendorConfig) -> Self {
        let VendorConfig { mut opened, authorities } = config;
        opened.extend(
            Url::parse(base).ok().and_then(|url| Some(HostPort::new(url.host_str()?, url.port_or_known_default()?))),
        );
        let outward = Outward::new(OutwardConfig {
            opened,
            authorities,
            time_max: ANSWER_WITHIN,
            body_bytes_max: ANSWER_BYTES_MAX,
            redirects_max: 0,
            ..OutwardConfig::default()
        });
        Self { name, base: base.trim_end_matches('/').to_owned(), outward }
    }

    pub fn name(&self) -> &'static str {
        self.name
    }

    /// A request to the path of these parts, each of which stays one part whatever it holds.
    pub fn ask(&self, method: Method, blanks: &[(&str, &str)], path: &[&str]) -> Result<Ask, VendorError> {
        let filled =
            blanks.iter().fold(self.base.clone(), |base, (name, value)| base.replace(&format!("{{{name}}}"), value));
        let wrong = || VendorError::NotSent(format!("the address of {} is no URL; check its setting", self.name));
        let mut url = Url::parse(&filled).map_err(|_| wrong())?;
        if !path.is_empty() {
            url.path_segments_mut().map_err(|()| wrong())?.pop_if_empty().extend(path);
        }
        Ok(Ask { method, url, headers: HeaderMap::new(), body: Bytes::new() })
    }

    pub async fn tell(&self, ask: Ask) -> Result<Told, VendorError> {
        let Ask { method, url, headers, body } = ask;
        let answer =
            self.outward.send(Call { method, url, headers, body }).await.map_err(|error| sent_or_not(&error))?;
        let (status, headers) = (answer.status.as_u16(), answer.headers.clone());
        let body = answer.bytes().await.map_err(|error| VendorError::Lost(error.to_string()))?;
        Ok(Told { status, headers, body })
    }
}

fn sent_or_not(error: &OutwardError) -> VendorError {
    let why = error.to_string();
    match error {
        OutwardError::Address(_)
        | OutwardError::Refused(_)
        | OutwardError::Unreachable { .. }
        | OutwardError::NoAuthorities(_) => VendorError::NotSent(why),
        _ => VendorError::Lost(why),
    }
}

impl Ask {
    pub fn query(mut self, name: &str, value: &str) -> Self {
        self.url.query_pairs_mut().append_pair(name, value);
        self
    }

    pub fn header(mut self, name: &'static str, value: HeaderValue) -> Self {
        self.headers.insert(HeaderName::from_static(name), value);
        self
    }

    pub fn json(mut self, body: &serde_json::Value) -> Self {
        self.body = Bytes::from(body.to_string());
        self.header("content-type", HeaderValue::from_static("application/json"))
    }

    pub fn multipart(mut self, form: multipart::Multipart) -> Self {
        let (content_type, body) = form.finish();
        self.body = body;
        self.header("content-type", content_type)
    }
}

impl Told {
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub fn read<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.body)
    }

    /// When to come back, where it says so in seconds.
    pub fn retry_after(&self) -> Option<Duration> {
        let text = self.headers.get("retry-after")?.to_str().ok()?;
        let seconds = text.trim().parse::<f64>().ok().filter(|seconds| seconds.is_finite() && *seconds >= 0.0)?;
        Some(Duration::from_secs_f64(seconds.min(RETRY_AFTER_MAX.as_secs_f64())))
    }

    /// What it says is wrong, for people: bounded, on one line.
    pub fn complaint(&self) -> String {
        const CHARS_MAX: usize = 300;
        let said = match serde_json::from_slice::<serde_json::Value>(&self.body) {
            Ok(value) => ["error", "message", "msg", "errors"]
                .iter()
                .find_map(|name| value.get(name))
                .map(|said| said.as_str().map_or_else(|| said.to_string(), ToOwned::to_owned))
                .unwrap_or_default(),
            Err(_) => String::new(),
        };
        let line = said.split_whitespace().collect::<Vec<_>>().join(" ");
        let line: String = line.chars().take(CHARS_MAX).collect();
        if line.is_empty() { format!("status {}", self.status) } else { format!("{line} (status {})", self.status) }
    }
}
