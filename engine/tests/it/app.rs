//! A whole engine with its router, on a database of its own and a queue in memory.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::{Request, Response};
use serde_json::{Value, json};
use sqlx::PgPool;
use tempfile::TempDir;
use tower::Service as _;
use valet_core::Registry;
use valet_core::callbacks::Callbacks;
use valet_core::workflow::Door;
use valet_engine::access::Role;
use valet_engine::blobs::Blobs;
use valet_engine::bounds::{
    CACHE_BYTES_MAX, EVENT_STREAMS_MAX, TENANT_BURST, TENANT_RATE_PER_S, TOKEN_BURST, TOKEN_RATE_PER_S, WRITERS,
};
use valet_engine::codec::MasterKey;
use valet_engine::engine::{Engine, Parts, Threading};
use valet_engine::http::{App, AppConfig, FixedToken, Limits, Rate, router};
use valet_engine::ports::{Clock, Machine};
use valet_engine::store::postgres::PgStore;
use valet_outward::OutwardConfig;
use valet_queue::MemoryQueue;

use super::calls::{Answer, Call, OTHER_TENANT, PEOPLE, SECOND_PERSON, WORKER};
use super::{database, workflows};

pub const SECRET: [u8; 32] = [7; 32];
/// Where callers outside are told to come.
pub const PUBLIC_URL: &str = "https://valet.example";
/// The only private place that runs may go to.
pub const OPENED: &str = "127.0.0.1:4444";

/// What ships, but for the streams of one tenant: most tests have but one.
const ONE_TENANT_MAY_WAIT_EVERYWHERE: Limits = Limits {
    token: Rate { per_s: TOKEN_RATE_PER_S, burst: TOKEN_BURST },
    tenant: Rate { per_s: TENANT_RATE_PER_S, burst: TENANT_BURST },
    tenant_streams: EVENT_STREAMS_MAX,
};

/// How an app is unlike others.
struct Shape {
    registry: Registry,
    limits: Limits,
    secure_cookies: bool,
    outward: OutwardConfig,
    clock: Arc<dyn Clock>,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            registry: workflows::registry(),
            limits: ONE_TENANT_MAY_WAIT_EVERYWHERE,
            secure_cookies: false,
            outward: OutwardConfig::default(),
            clock: Arc::new(Machine),
        }
    }
}

pub struct TestApp {
    pub engine: Arc<Engine<PgStore>>,
    pub store: Arc<PgStore>,
    pub queue: MemoryQueue,
    pub url: String,
    pub app: Arc<App>,
    router: Router,
    _files: TempDir,
}

impl TestApp {
    /// On a new database.
    pub async fn start() -> Self {
        Self::on(&database::migrated().await).await
    }

    /// On a database that has its schema.
    pub async fn on(url: &str) -> Self {
        Self::with(url, workflows::registry()).await
    }

    /// With this build of these workflows.
    pub async fn with(url: &str, registry: Registry) -> Self {
        Self::build(url, Shape { registry, ..Shape::default() }).await
    }

    /// On a new database, with these limits.
    pub async fn limited(limits: Limits) -> Self {
        Self::build(&database::migrated().await, Shape { limits, ..Shape::default() }).await
    }

    /// On a database that has its schema, for browsers that come through TLS.
    pub async fn behind_tls(url: &str) -> Self {
        Self::build(url, Shape { secure_cookies: true, ..Shape::default() }).await
    }

    /// On a database that has its schema, with this way out.
    pub async fn reaching(url: &str, outward: OutwardConfig) -> Self {
        Self::build(url, Shape { outward, ..Shape::default() }).await
    }

    /// On a database that has its schema, with this clock.
    pub async fn going_by(url: &str, clock: Arc<dyn Clock>) -> Self {
        Self::build(url, Shape { clock, ..Shape::default() }).await
    }

    async fn build(url: &str, shape: Shape) -> Self {
        let Shape { registry, limits, secure_cookies, outward, clock } = shape;
        let store = PgStore::connect(url, MasterKey::new(&SECRET), WRITERS).await.expect("a store");
        let queue = MemoryQueue::new();
        let registry = registry.with_callbacks(Callbacks::at(PUBLIC_URL));
        let parts = Parts {
            name: "engine-under-test".to_owned(),
            store: Arc::clone(&store),
            queue: Arc::new(queue.clone()),
            registry,
            clock,
            entropy: Arc::new(Machine),
            cache_bytes: CACHE_BYTES_MAX,
        };
        let engine = Engine::start(parts, Threading::Threads).await.expect("an engine");
        let files = tempfile::tempdir().expect("a directory");
        let config = AppConfig {
            tokens: vec![
                FixedToken::new(PEOPLE, Role::Admin, "acme", "ada"),
                FixedToken::new(SECOND_PERSON, Role::Admin, "acme", "grace"),
                FixedToken::new(OTHER_TENANT, Role::Admin, "umbrella", "eve"),
                FixedToken::new(WORKER, Role::Worker, "acme", "worker"),
            ],
            door: Door { allow_hosts: vec![OPENED.to_owned()] },
            blobs: Blobs::folder(files.path()).expect("a folder"),
            metrics: None,
            limits,
            secure_cookies,
            outward,
        };
        let app = App::new(Arc::clone(&engine), config).expect("schemas");
        Self { router: router(Arc::clone(&app)), app, engine, store, queue, url: url.to_owned(), _files: files }
    }

    pub fn pool(&self) -> &PgPool {
        self.store.pool()
    }

    /// The router itself, as it prints.
    pub fn routes(&self) -> String {
        format!("{:?}", self.router)
    }

    /// The answer with its body still to come.
    pub async fn open(&self, request: Request<Body>) -> Response<Body> {
        self.router.clone().call(request).await.expect("a router never fails")
    }

    pub async fn send(&self, call: Call) -> Answer {
        self.send_request(call.into_request()).await
    }

    /// As if the client had connected from this address.
    pub async fn send_from(&self, address: &str, call: Call) -> Answer {
        let address = SocketAddr::new(address.parse().expect("an address"), 50_000);
        let mut request = call.into_request();
        request.extensions_mut().insert(ConnectInfo(address));
        self.send_request(request).await
    }

    async fn send_request(&self, request: Request<Body>) -> Answer {
        let (parts, body) = self.open(request).await.into_parts();
        let bytes = to_bytes(body, 64 << 20).await.expect("a whole body").to_vec();
        Answer { status: parts.status.as_u16(), headers: parts.headers, bytes }
    }

    /// Starts a run and answers its id.
    pub async fn start_run(&self, workflow: &str, input: &Value) -> String {
        let call = Call::post(format!("/api/v1/workflows/{workflow}/runs")).json(&json!({ "input": input }));
        let answer = self.send(call).await.expect(201);
        answer.json()["id"].as_str().expect("an id").to_owned()
    }

    pub async fn run(&self, id: &str) -> Value {
        self.send(Call::get(format!("/api/v1/runs/{id}"))).await.expect(200).json()
    }

    pub async fn until_status(&self, id: &str, status: &str) -> Value {
        database::until(&format!("{id} is {status}"), async || {
            Some(self.run(id).await).filter(|run| run["status"] == status)
        })
        .await
    }

    /// Runs in the database, live or ended, of whatever tenant.
    pub async fn runs_stored(&self) -> i64 {
        let count = "SELECT (SELECT count(*) FROM runs) + (SELECT count(*) FROM finished_runs)";
        sqlx::query_scalar(count).fetch_one(self.pool()).await.expect("a count")
    }
}
