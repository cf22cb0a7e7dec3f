//! The driver gate: the only way to a sandbox's browser.
//!
//! A process of its own that outlives the worker. It starts chromedriver and one browser session, forwards WebDriver commands that carry
//! the current fence key (in the path, `/{key}/session/…`), bounds each in time, and holds the egress rule through a forward proxy the
//! browser cannot go around. A take-over re-keys it *before* its first command, so a worker that wakes from the dead cannot click.
//! When its lease ends it ends the browser, then itself. It never speaks to the engine and stores no page content.
//!
//! Started by a sandbox provider as `valet gate --config <file>`; the file's shape is [`GateConfig`].

mod chrome;
pub mod config;
mod control;
mod driver;
pub mod egress;
mod fence;
pub mod forward;
mod http;
mod proxy;
mod server;
pub mod state;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

pub use config::{GateConfig, GateLimits};
pub use driver::browser_tmp;
pub use egress::{EgressRule, HostPort};
pub use fence::RekeyError;
pub use state::{GatePhase, GateState};

use crate::sandbox::process::{self, ProcessRef};
use driver::Driver;
use fence::Fence;
use forward::{Dial, EgressCounts, PublicOnly, Resolve, SystemResolver};
use proxy::Forwarder;

/// To end every process of the sandbox at the end.
const END_WITHIN: Duration = Duration::from_secs(5);

#[derive(Debug, Error)]
pub enum GateError {
    #[error("cannot read the gate's configuration {path}")]
    ReadConfig { path: PathBuf, source: std::io::Error },
    #[error("the gate's configuration {path} is not valid")]
    ParseConfig { path: PathBuf, source: serde_json::Error },
    #[error("the egress rule is not valid")]
    EgressRule(#[from] egress::BadRule),
    #[error("cannot listen on loopback")]
    Listen(#[source] std::io::Error),
    #[error("cannot write the gate's state")]
    WriteState(#[source] std::io::Error),
    #[error("cannot start the driver: {0}")]
    Driver(#[from] driver::DriverError),
    #[error("cannot wait for signals")]
    Signals(#[source] std::io::Error),
    #[error("{0} processes of the sandbox are still running")]
    Leftover(usize),
}

/// What the parts of a running gate share.
struct Shared {
    config: GateConfig,
    fence: Mutex<Fence>,
    /// Counts the changes of the key; commands in flight watch it.
    generation: tokio::sync::watch::Sender<u64>,
    lease_until: Mutex<Instant>,
    lease_changed: Notify,
    shutdown: Notify,
    state: Mutex<GateState>,
    egress: Arc<EgressCounts>,
}

impl Shared {
    fn write_state(&self, change: impl FnOnce(&mut GateState)) -> Result<(), GateError> {
        let mut state = self.state.lock();
        change(&mut state);
        state.write(&self.config.sandbox_dir).map_err(GateError::WriteState)
    }

    fn renew(&self, lease: Duration) -> Result<(), GateError> {
        *self.lease_until.lock() = Instant::now() + lease;
        self.lease_changed.notify_one();
        self.write_state(|state| {
            state.lease_until_ms = state::unix_ms() + u64::try_from(lease.as_millis()).unwrap_or(u64::MAX);
        })
    }
}

/// Runs until the lease ends, a shutdown is asked for, or the driver dies; then nothing of the sandbox is left running.
pub async fn run(config: GateConfig) -> Result<(), GateError> {
    let rule = EgressRule::new(&config.allowed_hosts, &config.allow_private)?;
    run_with(config, Arc::new(SystemResolver), Arc::new(PublicOnly::new(rule))).await
}

/// [`run`] with another way to resolve names and to dial.
pub async fn run_with(config: GateConfig, resolver: Arc<dyn Resolve>, dialer: Arc<dyn Dial>) -> Result<(), GateError> {
    let rule = EgressRule::new(&config.allowed_hosts, &config.allow_private)?;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(GateError::Listen)?;
    let port = listener.local_addr().map_err(GateError::Listen)?.port();
    let lease = config.lease();
    let shared = Arc::new(Shared {
        fence: Mutex::new(Fence::new(config.fence, config.fence_key.clone())),
        generation: tokio::sync::watch::Sender::new(0),
        lease_until: Mutex::new(Instant::now() + lease),
        lease_changed: Notify::new(),
        shutdown: Notify::new(),
        state: Mutex::new(GateState::starting(ProcessRef::of_self(), port, config.fence, lease)),
        egress: Arc::default(),
        config,
    });
    shared.write_state(|_| ())?;

    let served =
        serve(&shared, listener, forward::Egress { rule, resolver, dialer, counts: Arc::clone(&shared.egress) }).await;
    if let Err(error) = &served {
        tracing::error!(%error, "the gate ends with an error");
    }
    let left = process::end_sandbox(&shared.config.sandbox_dir, ProcessRef::of_self(), END_WITHIN).await;
    // The folder may be gone already: whoever destroys the sandbox removes it.
    let _ = shared.write_state(|state| state.phase = GatePhase::Ended);
    served?;
    if left == 0 { Ok(()) } else { Err(GateError::Leftover(left)) }
}

async fn serve(shared: &Arc<Shared>, listener: TcpListener, egress: forward::Egress) -> Result<(), GateError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(GateError::Signals)?;
    // From the first moment on: a start that hangs must be stoppable too.
    let forwarder = Arc::new(Forwarder::new(Arc::clone(shared)));
    let server = tokio::spawn(server::serve(listener, Arc::clone(shared), Arc::clone(&forwarder)));
    let ended = tokio::select! {
        result = drive(shared, &forwarder, egress) => result,
        () = lease_ended(shared) => { tracing::info!("the lease ended"); Ok(()) }
        () = shared.shutdown.notified() => { tracing::info!("asked to shut down"); Ok(()) }
        _ = terminate.recv() => { tracing::info!("terminated"); Ok(()) }
    };
    server.abort();
    ended
}

/// Starts the browser and stays until the driver is gone.
async fn drive(shared: &Arc<Shared>, forwarder: &Forwarder, egress: forward::Egress) -> Result<(), GateError> {
    let proxy = TcpListener::bind(("127.0.0.1", 0)).await.map_err(GateError::Listen)?;
    let proxy_port = proxy.local_addr().map_err(GateError::Listen)?.port();
    let _proxy = AbortOnDrop(tokio::spawn(forward::serve(proxy, egress)));

    let mut driver = Driver::start(&shared.config).await?;
    shared.write_state(|state| {
        state.proxy_port = Some(proxy_port);
        state.driver = driver.process();
        state.driver_port = Some(driver.port);
    })?;
    let session = driver.open_session(&shared.config, proxy_port).await?;
    forwarder.open(driver.port, session.id.clone());
    shared.write_state(|state| {
        state.session_id = Some(session.id);
        state.debugger_address = session.debugger_address;
        state.browser = session.browser;
        state.capabilities = session.capabilities;
        state.phase = GatePhase::Ready;
    })?;
    tracing::info!("the browser is ready");
    let status = driver.wait().await;
    tracing::warn!(?status, "the driver ended by itself");
    Ok(())
}

async fn lease_ended(shared: &Shared) {
    loop {
        let until = *shared.lease_until.lock();
        if until <= Instant::now() {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep_until(until.into()) => {}
            () = shared.lease_changed.notified() => {}
        }
    }
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
