//! The transport over HTTP: JSON bodies, a bearer token, one connection pool for each engine.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Certificate, Client, Method, RequestBuilder, Response, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;
use valet_core::id::{RunId, SessionId};
use valet_protocol::filename::{FILENAME_HEADER, decode_filename};
use valet_protocol::problem::Problem;
use valet_protocol::worker::{
    BlobStored, ClaimAnswers, ClaimBatch, EffectAnswer, EffectBegin, FinishAnswers, FinishBatch, Heartbeat,
    HeartbeatAnswer, ItemAnswer, ItemNamesAnswer, ItemNamesWanted, ItemWanted, KeepAnswer, KeepItem, OpenSession,
    ResourceAnswer, ResourceAsk, SessionOpened, TierAnswer, TierAsk, VERSION,
};

use super::bounds::{ANSWER_BYTES_MAX, BLOB_BYTES_MAX, BLOB_LIMIT, CALL_LIMIT, HEARTBEAT_LIMIT, SESSION_LIMIT};
use super::config::ConfigError;
use super::step_error::Chain;
use super::transport::{Blob, NewBlob, Transport, TransportError};

/// An idle engine is asked every two seconds; what is idle for longer was needed for a burst.
const IDLE_CONNECTION: Duration = Duration::from_secs(30);
/// A dead address must not eat a heartbeat's whole time.
const CONNECT_LIMIT: Duration = Duration::from_secs(1);
/// The part of an error's body that is shown.
const DETAIL_CHARS_MAX: usize = 500;

/// The secret that lets a worker in. Never shown.
#[derive(Clone)]
pub struct WorkerToken(String);

impl WorkerToken {
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }
}

impl fmt::Debug for WorkerToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WorkerToken(..)")
    }
}

/// One engine behind its URL.
pub struct HttpTransport {
    engine: String,
    base: Url,
    http: Client,
}

/// Transports to all engines of a comma separated list of URLs.
pub fn connect(urls: &str, token: &WorkerToken) -> Result<Vec<Arc<dyn Transport>>, ConfigError> {
    connect_trusting(urls, token, &[])
}

/// The same, with authorities that are trusted besides the system's.
pub fn connect_trusting(
    urls: &str,
    token: &WorkerToken,
    authorities: &[Certificate],
) -> Result<Vec<Arc<dyn Transport>>, ConfigError> {
    let addresses = urls.split(',').map(str::trim).filter(|address| !address.is_empty());
    let engines: Vec<Arc<dyn Transport>> = addresses
        .map(|address| Ok(Arc::new(HttpTransport::trusting(address, token, authorities)?) as Arc<dyn Transport>))
        .collect::<Result<_, ConfigError>>()?;
    if engines.is_empty() { Err(ConfigError::NoEngine) } else { Ok(engines) }
}

impl HttpTransport {
    /// Opens no connection yet.
    pub fn new(address: &str, token: &WorkerToken) -> Result<Self, ConfigError> {
        Self::trusting(address, token, &[])
    }

    /// The same, with authorities that are trusted besides the system's.
    pub fn trusting(address: &str, token: &WorkerToken, authorities: &[Certificate]) -> Result<Self, ConfigError> {
        let bad = |detail: String| ConfigError::Address { address: address.to_owned(), detail };
        let mut base = Url::parse(address).map_err(|error| bad(error.to_string()))?;
        if !matches!(base.scheme(), "http" | "https") {
            return Err(bad(format!("its scheme is `{}`", base.scheme())));
        }
        // A base without its last slash would lose its last segment when paths are joined.
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        let http = client(&base, token, authorities)?;
        Ok(Self { engine: base.as_str().trim_end_matches('/').to_owned(), base, http })
    }

    fn request(&self, method: Method, path: &str, limit: Duration) -> RequestBuilder {
        // Every path is a constant of this file or one with a UUID.
        let url = self.base.join(path).unwrap_or_else(|_| self.base.clone());
        self.http.request(method, url).timeout(limit)
    }

    async fn post<A: DeserializeOwned>(
        &self,
        path: &str,
        body: &(impl Serialize + Sync),
        limit: Duration,
    ) -> Result<A, TransportError> {
        let response = self.send(self.request(Method::POST, path, limit).json(body)).await?;
        self.read(response).await
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, TransportError> {
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(self.refusal(response).await)
    }

    async fn read<A: DeserializeOwned>(&self, response: Response) -> Result<A, TransportError> {
        let body = self.body(response, ANSWER_BYTES_MAX).await?;
        serde_json::from_slice(&body)
            .map_err(|error| TransportError::BadAnswer { engine: self.engine.clone(), detail: error.to_string() })
    }

    async fn body(&self, mut response: Response, max_bytes: usize) -> Result<Bytes, TransportError> {
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.unreachable(&error))? {
            if body.len() + chunk.len() > max_bytes {
                let detail = format!("more than {max_bytes} bytes");
                return Err(TransportError::BadAnswer { engine: self.engine.clone(), detail });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }

    fn unreachable(&self, error: &reqwest::Error) -> TransportError {
        TransportError::Unreachable { engine: self.engine.clone(), detail: Chain(error).to_string() }
    }

    /// Sorts an answer that is no success.
    async fn refusal(&self, response: Response) -> TransportError {
        let status = response.status();
        let body = self.body(response, ANSWER_BYTES_MAX).await.unwrap_or_default();
        let detail = serde_json::from_slice::<Problem>(&body).map_or_else(
            |_| String::from_utf8_lossy(&body).chars().take(DETAIL_CHARS_MAX).collect(),
            |problem| problem.to_string(),
        );
        let engine = self.engine.clone();
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                TransportError::Denied { engine, status: status.as_u16(), detail }
            }
            StatusCode::UPGRADE_REQUIRED => TransportError::Version { engine, spoken: VERSION, detail },
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => {
                TransportError::Busy { engine, status: status.as_u16(), detail }
            }
            _ if status.is_client_error() => TransportError::Rejected { engine, status: status.as_u16(), detail },
            _ => TransportError::Busy { engine, status: status.as_u16(), detail },
        }
    }
}

fn client(base: &Url, token: &WorkerToken, authorities: &[Certificate]) -> Result<Client, ConfigError> {
    // Fails only if the process has chosen a provider already, which is as good.
    drop(rustls::crypto::ring::default_provider().install_default());
    let mut bearer = HeaderValue::from_str(&format!("Bearer {}", token.0)).map_err(|_| ConfigError::Token)?;
    bearer.set_sensitive(true);
    let builder = Client::builder()
        .default_headers(HeaderMap::from_iter([(AUTHORIZATION, bearer)]))
        .tcp_nodelay(true)
        .connect_timeout(CONNECT_LIMIT)
        .pool_idle_timeout(IDLE_CONNECTION)
        // The token goes to the engine and nowhere else.
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy();
    // A machine without certificate authorities can still speak to an engine over plain HTTP.
    let builder = match base.scheme() {
        "http" => builder.tls_certs_only([]),
        _ => builder.tls_certs_merge(authorities.iter().cloned()),
    };
    builder.build().map_err(|error| ConfigError::Client { detail: Chain(&error).to_string() })
}

#[async_trait]
impl Transport for HttpTransport {
    fn engine(&self) -> &str {
        &self.engine
    }

    async fn open_session(&self, open: &OpenSession) -> Result<SessionOpened, TransportError> {
        self.post("worker/v1/sessions", open, SESSION_LIMIT).await
    }

    async fn heartbeat(&self, beat: &Heartbeat) -> Result<HeartbeatAnswer, TransportError> {
        self.post("worker/v1/heartbeats", beat, HEARTBEAT_LIMIT).await
    }

    async fn claim(&self, batch: &ClaimBatch) -> Result<ClaimAnswers, TransportError> {
        self.post("worker/v1/claims", batch, CALL_LIMIT).await
    }

    async fn finish(&self, batch: &FinishBatch) -> Result<FinishAnswers, TransportError> {
        self.post("worker/v1/finishes", batch, CALL_LIMIT).await
    }

    async fn effect_begin(&self, begin: &EffectBegin) -> Result<EffectAnswer, TransportError> {
        self.post("worker/v1/effects", begin, CALL_LIMIT).await
    }

    async fn item(&self, wanted: &ItemWanted) -> Result<ItemAnswer, TransportError> {
        self.post("worker/v1/items", wanted, CALL_LIMIT).await
    }

    async fn tiers(&self, ask: &TierAsk) -> Result<TierAnswer, TransportError> {
        self.post("worker/v1/tiers", ask, CALL_LIMIT).await
    }

    async fn resources(&self, ask: &ResourceAsk) -> Result<ResourceAnswer, TransportError> {
        self.post("worker/v1/resources", ask, CALL_LIMIT).await
    }

    async fn item_names(&self, wanted: &ItemNamesWanted) -> Result<ItemNamesAnswer, TransportError> {
        self.post("worker/v1/items/names", wanted, CALL_LIMIT).await
    }

    async fn keep_item(&self, keep: &KeepItem) -> Result<KeepAnswer, TransportError> {
        self.post("worker/v1/items/keep", keep, CALL_LIMIT).await
    }

    async fn close_session(&self, session: SessionId) -> Result<(), TransportError> {
        let path = format!("worker/v1/sessions/{}", session.0);
        self.send(self.request(Method::DELETE, &path, SESSION_LIMIT)).await.map(drop)
    }

    async fn get_blob(&self, run: RunId, id: Uuid) -> Result<Blob, TransportError> {
        let path = format!("worker/v1/blobs/{id}?run={}", run.0);
        let response = self.send(self.request(Method::GET, &path, BLOB_LIMIT)).await?;
        let text = |name: &str| response.headers().get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
        let (filename, content_type) = (text(FILENAME_HEADER), text(CONTENT_TYPE.as_str()));
        let (filename, content_type) = (filename.map(|name| decode_filename(&name)), content_type.map(Into::into));
        let bytes = self.body(response, BLOB_BYTES_MAX).await?;
        Ok(Blob { bytes, filename, content_type })
    }

    async fn put_blob(&self, blob: &NewBlob) -> Result<BlobStored, TransportError> {
        let content_type =
            HeaderValue::from_str(&blob.content_type).unwrap_or(HeaderValue::from_static("application/octet-stream"));
        let (run, seq) = (blob.run.0.to_string(), blob.seq.0.to_string());
        let query = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("run", run.as_str()), ("seq", seq.as_str()), ("name", blob.name.as_str())])
            .finish();
        let request = self.request(Method::POST, &format!("worker/v1/blobs?{query}"), BLOB_LIMIT);
        let response = self.send(request.header(CONTENT_TYPE, content_type).body(blob.bytes.clone())).await?;
        self.read(response).await
    }
}
