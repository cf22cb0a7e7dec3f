//! A small client of the HTTP surface: what the tests ask, with answers as they came.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use reqwest::{Method, RequestBuilder, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use valet_protocol::api::{Readiness, RunDetail, RunStarted, RunSummary, WorkerList, WorkerView};

use crate::bounds::REQUEST_MAX;

/// One or several engines.
#[derive(Clone)]
pub struct Api {
    http: reqwest::Client,
    urls: Vec<String>,
    token: String,
    turn: Arc<AtomicUsize>,
}

/// An answer that is what was hoped for, or not.
#[derive(Clone, Debug)]
pub struct Answer<T> {
    pub status: StatusCode,
    pub retry_after: Option<String>,
    pub body: T,
}

/// Why there is no good answer.
#[derive(Debug)]
pub enum ApiError {
    /// No answer: the engine is away, or went away.
    Silent(reqwest::Error),
    /// An answer that is an error.
    Refused(Box<Answer<Value>>),
    /// A good status with a body that does not read.
    Unreadable(String),
}

impl std::fmt::Display for ApiError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Silent(error) => write!(f, "no answer: {error}"),
            Self::Refused(answer) => write!(f, "{}: {}", answer.status, answer.body),
            Self::Unreadable(text) => write!(f, "unreadable: {text}"),
        }
    }
}

impl ApiError {
    /// Whether the same request may be sent again: nobody answered, or the answer says so.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Silent(_) => true,
            Self::Refused(answer) => {
                matches!(answer.status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS)
            }
            Self::Unreadable(_) => false,
        }
    }
}

impl Api {
    pub fn new(urls: Vec<String>, token: &str) -> Self {
        let http = reqwest::Client::builder().no_proxy().tcp_nodelay(true).build().expect("an HTTP client");
        Self { http, urls, token: token.to_owned(), turn: Arc::default() }
    }

    /// The next engine in turn.
    fn url(&self) -> &str {
        &self.urls[self.turn.fetch_add(1, Ordering::Relaxed) % self.urls.len()]
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.url())).bearer_auth(&self.token)
    }

    async fn send<T: DeserializeOwned>(request: RequestBuilder) -> Result<Answer<T>, ApiError> {
        let answer = Self::raw(request).await?;
        if !answer.status.is_success() {
            return Err(ApiError::Refused(Box::new(answer)));
        }
        let body = serde_json::from_value(answer.body).map_err(|error| ApiError::Unreadable(error.to_string()))?;
        Ok(Answer { status: answer.status, retry_after: answer.retry_after, body })
    }

    /// Any answer, its body as JSON, or as a text where it is none.
    async fn raw(request: RequestBuilder) -> Result<Answer<Value>, ApiError> {
        let response = request.timeout(REQUEST_MAX).send().await.map_err(ApiError::Silent)?;
        let status = response.status();
        let retry_after = response.headers().get("retry-after").and_then(|v| v.to_str().ok()).map(ToOwned::to_owned);
        let text = response.text().await.map_err(ApiError::Silent)?;
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Ok(Answer { status, retry_after, body })
    }

    /// `GET` of a path, whatever the answer.
    pub async fn get(&self, path: &str) -> Result<Answer<Value>, ApiError> {
        Self::raw(self.request(Method::GET, path)).await
    }

    /// `POST` to a path, whatever the answer.
    pub async fn post(&self, path: &str, body: &Value, key: Option<&str>) -> Result<Answer<Value>, ApiError> {
        let mut request = self.request(Method::POST, path).json(body);
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        Self::raw(request).await
    }

    /// `PUT` to a path, whatever the answer.
    pub async fn put(&self, path: &str, body: &Value) -> Result<Answer<Value>, ApiError> {
        Self::raw(self.request(Method::PUT, path).json(body)).await
    }

    /// Starts a run under a key.
    pub async fn start(&self, workflow: &str, input: &Value, key: &str) -> Result<Answer<RunStarted>, ApiError> {
        let request = self.request(Method::POST, &format!("/api/v1/workflows/{workflow}/runs"));
        let body = json!({ "input": input, "subject": "tests" });
        Self::send(request.header("Idempotency-Key", key).json(&body)).await
    }

    pub async fn run(&self, id: &str) -> Result<RunDetail, ApiError> {
        Ok(Self::send(self.request(Method::GET, &format!("/api/v1/runs/{id}"))).await?.body)
    }

    /// `pause`, `resume`, `cancel` or `retry`.
    pub async fn operate(&self, id: &str, verb: &str) -> Result<RunSummary, ApiError> {
        Ok(Self::send(self.request(Method::POST, &format!("/api/v1/runs/{id}/{verb}")).json(&json!({}))).await?.body)
    }

    pub async fn signal(&self, id: &str, name: &str, key: &str) -> Result<(), ApiError> {
        let path = format!("/api/v1/runs/{id}/signals/{name}");
        let answer = self.post(&path, &json!({ "payload": null }), Some(key)).await?;
        if answer.status.is_success() { Ok(()) } else { Err(ApiError::Refused(Box::new(answer))) }
    }

    pub async fn workers(&self) -> Result<Vec<WorkerView>, ApiError> {
        Ok(Self::send::<WorkerList>(self.request(Method::GET, "/api/v1/workers")).await?.body.workers)
    }

    /// `/readyz`, which has the same body whether ready or not.
    pub async fn readiness(&self) -> Result<Answer<Readiness>, ApiError> {
        let answer = Self::raw(self.request(Method::GET, "/readyz")).await?;
        let body = serde_json::from_value(answer.body).map_err(|error| ApiError::Unreadable(error.to_string()))?;
        Ok(Answer { status: answer.status, retry_after: answer.retry_after, body })
    }

    /// Opens an event stream at the next engine.
    pub(crate) async fn open_events(&self, id: &str, after: Option<&str>) -> Result<reqwest::Response, ApiError> {
        let mut request = self.request(Method::GET, &format!("/api/v1/runs/{id}/events"));
        if let Some(after) = after {
            request = request.header("Last-Event-ID", after);
        }
        let response = request.send().await.map_err(ApiError::Silent)?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let body = Value::String(response.text().await.unwrap_or_default());
        Err(ApiError::Refused(Box::new(Answer { status, retry_after: None, body })))
    }
}
