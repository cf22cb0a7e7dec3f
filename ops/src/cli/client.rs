//! The engine's HTTP API as a client sees it: several engines, of which the first that answers serves.
//!
//! It decides nothing about runs and prints nothing. The verbs call it, and so may any other part of the program.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderValue, RETRY_AFTER};
use reqwest::{Method, Response, StatusCode, Url, multipart, redirect};

use super::bounds::{CONNECT_WAIT_MAX, ENGINES_MAX, REQUEST_WAIT_MAX, RETRY_AFTER_MAX, ROUNDS_MAX};

mod api;
mod body;
mod events;
mod failure;
mod sse;

pub use api::{Download, Ready, RunFilter};
pub use events::{EventId, EventStream};
pub use failure::{ClientError, Tried};

/// Which engines, and the token that they know.
#[derive(Clone)]
pub struct ClientConfig {
    pub urls: Vec<Url>,
    pub token: Option<String>,
}

impl ClientConfig {
    /// Reads `URL[,URL…]`: http or https, without a user, a query or a fragment.
    pub fn parse_urls(text: &str) -> Result<Vec<Url>, String> {
        let texts: Vec<&str> = text.split(',').map(str::trim).filter(|text| !text.is_empty()).collect();
        if texts.is_empty() || texts.len() > ENGINES_MAX {
            return Err(format!("give 1 to {ENGINES_MAX} engines, separated by commas"));
        }
        texts.into_iter().map(parse_url).collect()
    }
}

fn parse_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|e| format!("`{text}` is no URL: {e} (such as http://127.0.0.1:7300)"))?;
    let bare =
        url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none();
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() || !bare {
        let shown = format!("{}://{}", url.scheme(), url.host_str().unwrap_or_default());
        return Err(format!("`{shown}` is not the address of an engine (such as http://127.0.0.1:7300)"));
    }
    Ok(url)
}

/// True for addresses of this machine.
pub fn is_loopback(url: &Url) -> bool {
    match url.host_str().map(|host| host.trim_matches(['[', ']'])) {
        Some("localhost") => true,
        Some(host) => host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback()),
        None => false,
    }
}

/// Makes `ring` the process's TLS provider; further calls change nothing.
pub fn install_tls() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// One client of one or several engines.
pub struct Client {
    http: reqwest::Client,
    urls: Vec<Url>,
    authorization: Option<HeaderValue>,
    /// Index of the engine to try first: the last that answered.
    first: AtomicUsize,
}

impl Client {
    pub fn new(config: ClientConfig) -> Result<Self, ClientError> {
        Self::trusting(config, Vec::new())
    }

    /// The same, with authorities that are trusted besides the system's.
    pub fn trusting(config: ClientConfig, authorities: Vec<reqwest::Certificate>) -> Result<Self, ClientError> {
        install_tls();
        // An engine never redirects; following one could carry a body elsewhere.
        let mut builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_WAIT_MAX)
            .redirect(redirect::Policy::none())
            .tls_certs_merge(authorities)
            .user_agent(concat!("valet/", env!("CARGO_PKG_VERSION")));
        if config.urls.iter().any(is_loopback) {
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(ClientError::Setup)?;
        let authorization = match config.token {
            Some(token) => {
                let mut value =
                    HeaderValue::from_str(&format!("Bearer {}", token.trim())).map_err(|_| ClientError::BadToken)?;
                value.set_sensitive(true);
                Some(value)
            }
            None => None,
        };
        Ok(Self { http, urls: config.urls, authorization, first: AtomicUsize::new(0) })
    }

    pub fn urls(&self) -> &[Url] {
        &self.urls
    }

    /// After an answer broke off: another engine is asked first.
    fn prefer_next(&self) {
        let next = (self.first.load(Ordering::Relaxed) + 1) % self.urls.len();
        self.first.store(next, Ordering::Relaxed);
    }

    /// Asks the engines in turn. An engine that cannot be reached is passed over; one that is busy is asked again
    /// after the others. A request whose answer got lost is repeated only if it may be.
    async fn send(&self, call: &Call<'_>) -> Result<Response, ClientError> {
        let mut away = None;
        for round in 0..ROUNDS_MAX {
            let mut tried = Vec::new();
            let mut pause = Duration::ZERO;
            let first = self.first.load(Ordering::Relaxed);
            for index in (0..self.urls.len()).map(|turn| (first + turn) % self.urls.len()) {
                match self.attempt(&self.urls[index], call).await {
                    Ok(response) if !is_away(response.status()) => {
                        self.first.store(index, Ordering::Relaxed);
                        return body::accepted(response, self.authorization.is_some()).await;
                    }
                    Ok(response) => {
                        // Only 429 says for sure that nothing was done.
                        let again = call.repeatable || response.status() == StatusCode::TOO_MANY_REQUESTS;
                        pause = retry_after(&response);
                        let failure = body::away(response).await;
                        if !again {
                            return Err(failure);
                        }
                        away = Some(failure);
                    }
                    Err(error) if error.is_connect() || call.repeatable => {
                        tried.push(Tried { url: self.urls[index].clone(), why: failure::why(&error) });
                    }
                    Err(error) => {
                        return Err(ClientError::AnswerLost {
                            url: self.urls[index].clone(),
                            why: failure::why(&error),
                        });
                    }
                }
            }
            if away.is_none() {
                return Err(ClientError::Unreachable(tried));
            }
            if round + 1 < ROUNDS_MAX {
                tokio::time::sleep(pause).await;
            }
        }
        Err(away.unwrap_or(ClientError::Unreachable(Vec::new())))
    }

    async fn attempt(&self, base: &Url, call: &Call<'_>) -> Result<Response, reqwest::Error> {
        let mut request = self.http.request(call.method.clone(), call.url(base));
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        for (name, value) in &call.headers {
            request = request.header(*name, value);
        }
        request = match &call.body {
            Body::Empty => request,
            Body::Json(bytes) => request.header("content-type", "application/json").body(bytes.clone()),
            Body::File { name, bytes, subject } => {
                let part = multipart::Part::bytes(bytes.clone()).file_name(name.clone());
                let form = match subject {
                    Some(subject) => multipart::Form::new().text("subject", subject.clone()),
                    None => multipart::Form::new(),
                };
                request.multipart(form.part("file", part))
            }
        };
        match call.wait_max {
            Some(wait_max) => request.timeout(wait_max).send().await,
            None => request.header(ACCEPT, "text/event-stream").send().await,
        }
    }
}

/// What an engine says when it, or a proxy before it, cannot serve now.
fn is_away(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    )
}

fn retry_after(response: &Response) -> Duration {
    let seconds = response.headers().get(RETRY_AFTER).and_then(|v| v.to_str().ok()).and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(1)).min(RETRY_AFTER_MAX)
}

/// One request, as it is sent to each engine in turn.
struct Call<'a> {
    method: Method,
    path: Vec<&'a str>,
    query: Vec<(&'static str, String)>,
    headers: Vec<(&'static str, String)>,
    body: Body,
    /// May be sent again when its answer got lost: it changes nothing, or carries a key.
    repeatable: bool,
    /// None for a stream.
    wait_max: Option<Duration>,
}

enum Body {
    Empty,
    Json(Vec<u8>),
    File { name: String, bytes: Vec<u8>, subject: Option<String> },
}

impl<'a> Call<'a> {
    fn get(path: impl IntoIterator<Item = &'a str>) -> Self {
        Self {
            method: Method::GET,
            path: path.into_iter().collect(),
            query: Vec::new(),
            headers: Vec::new(),
            body: Body::Empty,
            repeatable: true,
            wait_max: Some(REQUEST_WAIT_MAX),
        }
    }

    fn post(path: impl IntoIterator<Item = &'a str>, body: Body) -> Self {
        Self { method: Method::POST, body, repeatable: false, ..Self::get(path) }
    }

    /// Doing it again changes nothing.
    fn delete(path: impl IntoIterator<Item = &'a str>) -> Self {
        Self { method: Method::DELETE, ..Self::get(path) }
    }

    fn query(mut self, name: &'static str, value: Option<impl ToString>) -> Self {
        self.query.extend(value.map(|value| (name, value.to_string())));
        self
    }

    /// The engine does the same thing once, however often it is asked with the same key.
    fn once(mut self, key: &str) -> Self {
        self.headers.push(("idempotency-key", key.to_owned()));
        self.repeatable = true;
        self
    }

    fn url(&self, base: &Url) -> Url {
        let mut url = base.clone();
        // `parse_url` lets no URL through that cannot be a base.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(&self.path);
        }
        if !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&self.query);
        }
        url
    }
}

#[cfg(test)]
pub(super) mod tests;
