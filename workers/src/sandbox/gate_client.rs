//! Calls of a gate's control endpoint, each bounded in time.

use std::net::SocketAddr;
use std::path::PathBuf;
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
use uuid::Uuid;

use crate::gate::GateState;

/// The gate answers from memory.
const WITHIN: Duration = Duration::from_secs(5);
/// A file of some megabytes on its way to another machine.
const STAGED_WITHIN: Duration = Duration::from_mins(1);
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

    pub async fn status(&self, at: SocketAddr, secret: &str) -> Result<GateState, GateAnswer> {
        state(self.call(at, secret, "status", &json!({})).await?)
    }

    /// Makes this the fence's key; answers how the gate is from then on.
    pub async fn rekey(&self, at: SocketAddr, secret: &str, key: &str, fence: u64) -> Result<GateState, GateAnswer> {
        state(self.call(at, secret, "rekey", &json!({"new_key": key, "fence_number": fence})).await?)
    }

    pub async fn renew(&self, at: SocketAddr, secret: &str, lease_s: u64) -> Result<(), GateAnswer> {
        self.call(at, secret, "renew", &json!({"lease_s": lease_s})).await.map(drop)
    }

    /// Puts a file beside the browser, and says where.
    pub async fn stage(
        &self,
        at: SocketAddr,
        secret: &str,
        (file, filename): (Uuid, &str),
        content: Bytes,
    ) -> Result<PathBuf, GateAnswer> {
        let name: String = url::form_urlencoded::byte_serialize(filename.as_bytes()).collect();
        let staged = self.send(at, secret, &format!("stage/{file}?name={name}"), content, STAGED_WITHIN).await?;
        let path = staged["path"].as_str().map(PathBuf::from);
        path.ok_or_else(|| GateAnswer::Refused("it does not say where the file is".to_owned()))
    }

    async fn call(&self, at: SocketAddr, secret: &str, verb: &str, body: &Value) -> Result<Value, GateAnswer> {
        self.send(at, secret, verb, Bytes::from(body.to_string()), WITHIN).await
    }

    async fn send(
        &self,
        at: SocketAddr,
        secret: &str,
        verb: &str,
        body: Bytes,
        within: Duration,
    ) -> Result<Value, GateAnswer> {
        let silent = |error: &dyn std::fmt::Display| GateAnswer::Silent(error.to_string());
        let request = Request::post(format!("http://{at}/control/{verb}"))
            .header(AUTHORIZATION, format!("Bearer {secret}"))
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body))
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
        let (status, value) = tokio::time::timeout(within, exchange).await.map_err(|error| silent(&error))??;
        match status {
            status if status.is_success() => Ok(value),
            StatusCode::CONFLICT => Err(GateAnswer::Stale { current: value["current"].as_u64().unwrap_or_default() }),
            status => Err(GateAnswer::Refused(format!("{status} {}", value["message"].as_str().unwrap_or("")))),
        }
    }
}
