//! `valet engine`: the durable engine with its HTTP surface.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::connect_info::{Connected, IntoMakeServiceWithConnectInfo};
use axum::serve::{IncomingStream, Listener, ListenerExt};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use valet_core::Registry;
use valet_core::callbacks::Callbacks;
use valet_core::workflow::Door;
use valet_engine::access::Role;
use valet_engine::blobs::{BlobError, Blobs, Bucket};
use valet_engine::bounds::{CACHE_BYTES_MAX, ERASURE_GRACE, WRITERS};
use valet_engine::deliverer::Deliverer;
use valet_engine::engine::{Engine, EngineError, Parts, STOP_GRACE, Threading};
use valet_engine::housekeeping::{Housekeeper, HousekeepingError};
use valet_engine::http::{
    App, AppConfig, FixedToken, SchemaError, run_bulk_operations, run_schedules, run_triggers, service,
};
use valet_engine::notify;
use valet_engine::pauses::{PauseError, pause_at_start};
use valet_engine::ports::Machine;
use valet_engine::retention::Retention;
use valet_engine::store::StoreError;
use valet_engine::store::postgres::{MigrateError, PgStore, migrate};
use valet_queue::{ApalisRedis, ApalisRedisConfig, QueueError, RedisTriggers};

use super::master_keys;
use crate::hooks;
use crate::settings::{Settings, SettingsError, wrong};
use crate::tls::{self, ListenerBounds, Renewing, TlsListener};

/// Why an engine could not start.
#[derive(Debug, thiserror::Error)]
pub enum EngineRoleError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("the database cannot be used: {0}")]
    Store(#[from] StoreError),
    #[error("the database's schema cannot be brought up to date: {0}")]
    Migrate(#[from] MigrateError),
    #[error("redis cannot be used: {0}")]
    Queue(#[from] QueueError),
    #[error("{0}: {source}", source = std::error::Error::source(.0).map(ToString::to_string).unwrap_or_default())]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Schema(#[from] SchemaError),
    #[error(transparent)]
    Blobs(#[from] BlobError),
    #[error("what was erased cannot be kept so: {0}")]
    Housekeeping(#[from] HousekeepingError),
    #[error("the engine cannot start paused: {0}")]
    Pause(#[from] PauseError),
    #[error("the engine cannot listen on {address}: {source}")]
    Listen { address: SocketAddr, source: std::io::Error },
}

/// An engine that serves.
pub struct RunningEngine {
    pub address: SocketAddr,
    is_tls: bool,
    engine: Arc<Engine<PgStore>>,
    stop: watch::Sender<bool>,
    serving: JoinHandle<std::io::Result<()>>,
    notifying: JoinHandle<()>,
    delivering: JoinHandle<()>,
    triggering: JoinHandle<()>,
    scheduling: JoinHandle<()>,
    bulk_operating: JoinHandle<()>,
    housekeeping: JoinHandle<()>,
    retaining: Option<JoinHandle<()>>,
    watching_keys: JoinHandle<()>,
}

impl RunningEngine {
    /// Where it serves.
    pub fn url(&self) -> String {
        url(self.is_tls, self.address)
    }

    /// Lets requests in flight end, then gives the shards up.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        if tokio::time::timeout(STOP_GRACE, self.serving).await.is_err() {
            tracing::warn!("some requests did not end in time");
        }
        // What is on its way is delivered again by another engine, or at the next start.
        self.notifying.abort();
        self.delivering.abort();
        self.triggering.abort();
        self.scheduling.abort();
        self.bulk_operating.abort();
        self.housekeeping.abort();
        if let Some(retaining) = &self.retaining {
            retaining.abort();
        }
        self.watching_keys.abort();
        self.engine.stop().await;
    }
}

/// Applies the migrations.
pub async fn migrate_database(settings: &Settings) -> Result<(), EngineRoleError> {
    Ok(migrate(settings.text("database.url")?).await?)
}

/// Starts an engine on the given address; port 0 picks a free one.
pub async fn start(
    settings: &Settings,
    registry: Registry,
    address: SocketAddr,
) -> Result<RunningEngine, EngineRoleError> {
    let masters = master_keys::read(settings)?;
    let certificate = tls::certificate(settings)?;
    let is_tls = certificate.is_some();
    let listeners = hooks::listeners(settings)?;
    let names = listeners.iter().map(|listener| listener.name().to_owned()).collect();
    let store = PgStore::connect_with_listeners(settings.text("database.url")?, masters, WRITERS, names).await?;
    if settings.flag("engine.start_paused")? {
        pause_at_start(&store).await?;
        // Also where no log is read.
        eprintln!(
            "the engine starts paused: it takes everything and grants nothing; `valet resume engine` lets it go on"
        );
    }
    let mut redis = ApalisRedisConfig::new(settings.text("redis.url")?);
    settings.text("redis.prefix")?.clone_into(&mut redis.prefix);
    let taker = uuid::Uuid::now_v7().simple().to_string();
    let triggers = RedisTriggers::new(&redis, &taker)?;
    let queue = ApalisRedis::new(redis)?;
    // Before anything is committed that somebody is to be told.
    store.learn_outgoing().await?;
    let machine = Arc::new(Machine);
    // Taken now, so that callback URLs can name it; served when all is ready.
    let listener = TcpListener::bind(address).await.map_err(|source| EngineRoleError::Listen { address, source })?;
    let address = listener.local_addr().map_err(|source| EngineRoleError::Listen { address, source })?;
    let registry = registry.with_callbacks(callbacks(settings, is_tls, address));
    let parts = Parts {
        name: format!("engine-{}", std::process::id()),
        store,
        queue: Arc::new(queue),
        registry,
        clock: machine.clone(),
        entropy: machine,
        cache_bytes: CACHE_BYTES_MAX,
    };
    let engine = Engine::start(parts, Threading::Threads).await?;
    let due_soon = Duration::from_secs(settings.number("hooks.due_soon_s", 0, 30 * 24 * 3600)?.into());
    let notifying = tokio::spawn(notify::run(Arc::clone(&engine.store), listeners));
    let config = AppConfig {
        tokens: tokens(settings)?,
        door: Door { allow_hosts: settings.list("door.allow_hosts")? },
        blobs: blobs(settings)?,
        metrics: metrics_handle(),
        limits: settings.limits()?,
        secure_cookies: settings.flag("door.secure_cookies")?,
        outward: hooks::way_out(settings)?,
    };
    let app = App::new(Arc::clone(&engine), config)?;
    let delivering = tokio::spawn(Deliverer::new(&app, due_soon).run());
    let housekeeper = Housekeeper {
        engine: Arc::clone(&engine),
        blobs: app.blobs.clone(),
        grace: ERASURE_GRACE,
        wake: Arc::clone(&app.erasures),
    };
    // Before it serves: a back-up that was restored has what was erased.
    housekeeper.keep_erased().await?;
    let housekeeping = tokio::spawn(housekeeper.run());
    let retaining = settings.retention()?.map(|kept| {
        let (engine, blobs) = (Arc::clone(&engine), app.blobs.clone());
        tokio::spawn(Retention { engine, blobs, kept }.run())
    });
    let keys = settings.path("secrets.key_file")?;
    let watching_keys = tokio::spawn(master_keys::watch(keys, Arc::clone(&engine.store)));
    let triggering = tokio::spawn(run_triggers(Arc::clone(&app), triggers));
    let scheduling = tokio::spawn(run_schedules(Arc::clone(&app)));
    let bulk_operating = tokio::spawn(run_bulk_operations(Arc::clone(&app)));
    let (stop, stopping) = watch::channel(false);
    let serving = listen(listener, certificate, service(app, valet_console::routes()), stopping)
        .map_err(|source| EngineRoleError::Listen { address, source })?;
    tracing::info!(%address, "the engine serves");
    Ok(RunningEngine {
        address,
        is_tls,
        engine,
        stop,
        serving,
        notifying,
        delivering,
        triggering,
        scheduling,
        bulk_operating,
        housekeeping,
        retaining,
        watching_keys,
    })
}

/// A bucket where one is named, else a folder.
fn blobs(settings: &Settings) -> Result<Blobs, EngineRoleError> {
    let Some(url) = settings.find("files.url") else { return Ok(Blobs::folder(&settings.path("files.dir")?)?) };
    Ok(Blobs::bucket(&Bucket {
        url: url.to_owned(),
        endpoint: settings.find("files.s3_endpoint").map(ToOwned::to_owned),
        region: settings.text("files.s3_region")?.to_owned(),
        access_key_id: settings.text("files.s3_access_key_id")?.to_owned(),
        secret_access_key: settings.text("files.s3_secret_access_key")?.to_owned(),
    })?)
}

/// Where callers outside complete what runs wait for.
fn callbacks(settings: &Settings, is_tls: bool, address: SocketAddr) -> Callbacks {
    let base_url = settings.find("door.public_url").map(|url| url.trim_end_matches('/').to_owned());
    Callbacks::at(base_url.unwrap_or_else(|| url(is_tls, address)))
}

fn url(is_tls: bool, address: SocketAddr) -> String {
    let scheme = if is_tls { "https" } else { "http" };
    format!("{scheme}://{address}")
}

/// The routes, which are told who connects.
type Service = IntoMakeServiceWithConnectInfo<Router, SocketAddr>;

/// Serves over TLS where there is a certificate, else over plain HTTP.
fn listen(
    tcp: TcpListener,
    certificate: Option<Renewing>,
    service: Service,
    stopping: watch::Receiver<bool>,
) -> std::io::Result<JoinHandle<std::io::Result<()>>> {
    let Some(certificate) = certificate else {
        // Without this a small answer may wait 40 ms for the client's acknowledgement.
        let tcp = tcp.tap_io(|stream| {
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "TCP_NODELAY");
            }
        });
        return Ok(tokio::spawn(serve(tcp, service, stopping)));
    };
    let tls = TlsListener::start(tcp, certificate, ListenerBounds::default())?;
    // Tapped for its type: of such listeners axum knows where a connection comes from.
    Ok(tokio::spawn(serve(tls.tap_io(|_| {}), service, stopping)))
}

/// Until it is told to stop; handlers see whom they talk to.
async fn serve<L>(listener: L, service: Service, mut stopping: watch::Receiver<bool>) -> std::io::Result<()>
where
    L: Listener<Addr = SocketAddr>,
    SocketAddr: for<'a> Connected<IncomingStream<'a, L>>,
{
    let stopped = async move {
        let _ = stopping.wait_for(|stop| *stop).await;
    };
    axum::serve(listener, service).with_graceful_shutdown(stopped).await
}

fn tokens(settings: &Settings) -> Result<Vec<FixedToken>, SettingsError> {
    let api = settings.secret_file("tokens.api_file")?;
    let worker = settings.secret_file("tokens.worker_file")?;
    if api.len() < 16 || worker.len() < 16 {
        return Err(wrong("tokens.api_file", "a token has at least 16 characters".to_owned()));
    }
    Ok(vec![
        FixedToken::new(&api, Role::Admin, "default", "operator"),
        FixedToken::new(&worker, Role::Worker, "default", "worker"),
    ])
}

/// One recorder a process; a second engine in it shares the first's.
fn metrics_handle() -> Option<PrometheusHandle> {
    use std::sync::OnceLock;
    static HANDLE: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
    let handle = HANDLE.get_or_init(|| PrometheusBuilder::new().install_recorder().ok()).clone();
    if let Some(handle) = &handle {
        let upkeep = handle.clone();
        tokio::spawn(async move {
            // Histograms keep raw samples until this drains them.
            loop {
                tokio::time::sleep(std::time::Duration::from_secs(10)).await;
                upkeep.run_upkeep();
            }
        });
    }
    handle
}
