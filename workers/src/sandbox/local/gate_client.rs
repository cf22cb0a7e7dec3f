//! Calls of a gate's control endpoint, each bounded in time.

use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::{Request, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use thiserror::Error;

use crate::gate::GateState;

/// The gate answers from memory.
const WITHIN: Duration = Duration::from_secs(5);
const ANSWER_MAX_BYTES: usize = 256 << 10;

#[derive(Debug, Error)]
pub enum GateAnswer {
    #[error("the fence is stale, the current one is {current}")]
    Stale { current: u64 },
    #[error("the gate refused: {0}")]
    Refused(String),
    #[error("the gate does not answer: {0}")]
    Silent(String),
}

fn state(mut answer: Value) -> Result<GateState, GateAnswer> {
    serde_json::from_value(answer["state"].take()).map_err(|error| GateAnswer::Refused(error.to_string()))
}

pub struct GateClient {
    http: Client<HttpConnector, Full<Bytes>>,
}

impl GateClient {
    pub fn new() -> Self {
        // No idle connections: calls are rare, and a gate may be gone by the next.
        Self { http: Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(HttpConnector::new()) }
    }

    pub async fn status(&self, port: u16, secret: &str) -> Result<GateState, GateAnswer> {
        state(self.call(port, secret, "status", &json!({})).await?)
    }

    /// Makes this the fence's key; answers how the gate is from then on.
    pub async fn rekey(&self, port: u16, secret: &str, key: &str, fence: u64) -> Result<GateState, GateAnswer> {
        state(self.call(port, secret, "rekey", &json!({"new_key": key, "fence_number": fence})).await?)
    }

    pub async fn renew(&self, port: u16, secret: &str, lease_s: u64) -> Result<(), GateAnswer> {
        self.call(port, secret, "renew", &json!({"lease_s": lease_s})).await.map(drop)
    }

    async fn call(&self, port: u16, secret: &str, verb: &str, body: &Value) -> Result<Value, GateAnswer> {
        let silent = |error: &dyn std::fmt::Display| GateAnswer::Silent(error.to_string());
        let request = Request::post(format!("http://127.0.0.1:{port}/control/{verb}"))
            .header(AUTHORIZATION, format!("Bearer {secret}"))
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body.to_string())))
            .map_err(|error| silent(&error))?;
        let exchange = async {
            let answer = self.http.request(request).await.map_err(|error| silent(&error))?;
            let status = answer.status();
            let bytes = Limited::new(answer.into_body(), ANSWER_MAX_BYTES)
                .collect()
                .await
                .map_err(|error| silent(&error))?
                .to_bytes();
            Ok((status, serde_json::from_slice::<Value>(&bytes).unwrap_or_default()))
        };
        let (status, value) = tokio::time::timeout(WITHIN, exchange).await.map_err(|error| silent(&error))??;
        match status {
            status if status.is_success() => Ok(value),
            StatusCode::CONFLICT => Err(GateAnswer::Stale { current: value["current"].as_u64().unwrap_or_default() }),
            status => Err(GateAnswer::Refused(format!("{status} {}", value["message"].as_str().unwrap_or("")))),
        }
    }
}
