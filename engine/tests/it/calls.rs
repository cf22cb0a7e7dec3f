//! Requests and answers.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, header};
use serde_json::Value;
use valet_engine::http::PROBLEM_CODES;

/// The tokens that [`super::app::TestApp`] knows.
pub const PEOPLE: &str = "a-persons-token";
pub const OTHER_TENANT: &str = "another-tenants-token";
pub const SECOND_PERSON: &str = "a-second-persons-token";
pub const WORKER: &str = "a-workers-token";

/// A request in the making; with a person's token unless said otherwise.
#[derive(Clone)]
pub struct Call {
    pub method: Method,
    pub path: String,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Call {
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        let call = Self { method, path: path.into(), headers: HeaderMap::new(), body: Vec::new() };
        call.token(PEOPLE)
    }

    pub fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path)
    }

    pub fn post(path: impl Into<String>) -> Self {
        Self::new(Method::POST, path)
    }

    pub fn header(mut self, name: &'static str, value: impl AsRef<[u8]>) -> Self {
        let value = HeaderValue::from_bytes(value.as_ref()).expect("a header");
        self.headers.insert(HeaderName::from_static(name), value);
        self
    }

    pub fn without(mut self, name: HeaderName) -> Self {
        self.headers.remove(name);
        self
    }

    pub fn token(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    pub fn key(self, key: &str) -> Self {
        self.header("idempotency-key", key)
    }

    pub fn json(self, body: &Value) -> Self {
        self.body(body.to_string())
    }

    /// A body that says it is JSON.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self.header("content-type", "application/json")
    }

    pub fn sent(&self) -> &[u8] {
        &self.body
    }

    pub fn into_request(self) -> Request<Body> {
        let mut request = Request::new(Body::from(self.body));
        *request.method_mut() = self.method;
        *request.uri_mut() = self.path.parse().expect("a path");
        *request.headers_mut() = self.headers;
        request
    }
}

/// An answer that was read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub bytes: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_else(|e| panic!("not JSON ({e}): {self:?}"))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub fn field(&self) -> Option<String> {
        self.json()["field"].as_str().map(ToOwned::to_owned)
    }

    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.bytes));
        self
    }

    /// A problem+json answer of this kind, complete in itself.
    #[track_caller]
    pub fn problem(self, status: u16, code: &str) -> Self {
        let answer = self.expect(status);
        assert_eq!(answer.header(header::CONTENT_TYPE.as_str()), Some("application/problem+json"), "{answer:?}");
        let problem = answer.json();
        assert_eq!(problem["code"], code, "{problem}");
        let known = PROBLEM_CODES.iter().any(|(known, statuses, _)| *known == code && statuses.contains(&status));
        assert!(known, "{status} {code} is not in the catalogue (src/http/problem_codes.rs)");
        assert_eq!(problem["status"], status, "{problem}");
        assert!(problem["title"].as_str().is_some_and(|t| !t.is_empty()), "{problem}");
        assert!(problem["detail"].as_str().is_some_and(|t| !t.is_empty()), "{problem}");
        assert_eq!(problem["request_id"].as_str(), answer.header("x-request-id"), "{problem}");
        answer
    }

    #[track_caller]
    pub fn at(self, field: &str) -> Self {
        assert_eq!(self.field().as_deref(), Some(field), "{}", self.json());
        self
    }
}
