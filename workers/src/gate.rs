//! The driver gate: the only way to a sandbox's browser.
//!
//! A process of its own that outlives the worker. It starts a driver (chromedriver or geckodriver) and one browser session, forwards WebDriver commands that carry
//! the current fence key (in the path, `/{key}/session/…`), bounds each in time, and holds the egress rule through a forward proxy the
//! browser cannot go around. A take-over re-keys it *before* its first command, so a worker that wakes from the dead cannot click.
//! When its lease or its browser ends it ends all of the sandbox, then itself. It never speaks to the engine and stores no page content.
//!
//! The browser outlives its driver and its gate: a driver that ends is started anew, and a gate that was killed is followed by another
//! one that adopts the browser. In between the browser reaches nobody, because its proxy is gone.
//!
//! Started by a sandbox provider as `valet gate --config <file>`; the file's shape is [`GateConfig`].

mod chrome;
pub mod config;
mod context;
mod control;
pub(crate) mod display;
mod driver;
pub mod egress;
mod family;
mod fence;
mod firefox;
pub mod forward;
mod http;
mod keeper;
mod proxy;
mod server;
pub mod state;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

pub use config::{BrowserKind, GateConfig, GateLimits};
pub use driver::browser_tmp;
pub(crate) use driver::browser_tmps_outside;
pub use egress::{EgressRule, HostPort};
pub use fence::RekeyError;
pub use state::{DisplayRef, GatePhase, GateState};

use crate::sandbox::process::{self, ProcessRef};
use fence::Fence;
use forward::{Dial, EgressCounts, PublicOnly, Resolve, SystemResolver};
use keeper::Kept;
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
    #[error("cannot listen for its holder")]
    Listen(#[source] std::io::Error),
    #[error("cannot write the gate's state")]
    WriteState(#[source] std::io::Error),
    #[error("cannot start the driver: {0}")]
    Driver(#[from] driver::DriverError),
    #[error("cannot start a display: {0}")]
    Display(#[from] display::DisplayError),
    #[error("there is no browser to adopt: {0}")]
    NothingToAdopt(&'static str),
    #[error("the browser ended")]
    BrowserEnded,
    #[error("the driver ended {0} times in a row")]
    DriverKeepsEnding(u32),
    #[error("the browser's proxy cannot be served at {address} again")]
    ProxyAddress { address: std::net::SocketAddr, source: std::io::Error },
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
    /// The driver of the gate this one follows.
    former_driver: Option<ProcessRef>,
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

/// Runs until the lease ends, a shutdown is asked for, or the browser is gone; then nothing of the sandbox is left running.
pub async fn run(config: GateConfig) -> Result<(), GateError> {
    let rule = EgressRule::new(&config.allowed_hosts, &config.allow_private)?;
    run_with(config, Arc::new(SystemResolver), Arc::new(PublicOnly::new(rule))).await
}

/// [`run`] with another way to resolve names and to dial.
pub async fn run_with(config: GateConfig, resolver: Arc<dyn Resolve>, dialer: Arc<dyn Dial>) -> Result<(), GateError> {
    let rule = EgressRule::new(&config.allowed_hosts, &config.allow_private)?;
    let before = config.adopt.then(|| GateState::read(&config.sandbox_dir)).transpose();
    let before = before.map_err(|_| GateError::NothingToAdopt("the former gate left no state"))?;
    let listener = listen(config.listen, before.as_ref().map(|state| state.gate_port)).await?;
    let port = listener.local_addr().map_err(GateError::Listen)?.port();
    let (lease, me) = (config.lease(), ProcessRef::of_self());
    let kept = before.as_ref().map(Kept::of).transpose();
    let former_driver = before.as_ref().and_then(|state| state.driver);
    let state = match before {
        Some(before) => before.adopting(me, port, config.fence, lease),
        None => GateState::starting(me, port, config.fence, lease),
    };
    let shared = Arc::new(Shared {
        fence: Mutex::new(Fence::new(state.fence, config.fence_key.clone())),
        generation: tokio::sync::watch::Sender::new(0),
        lease_until: Mutex::new(Instant::now() + lease),
        lease_changed: Notify::new(),
        shutdown: Notify::new(),
        state: Mutex::new(state),
        egress: Arc::default(),
        former_driver,
        config,
    });
    shared.write_state(|_| ())?;

    let egress = forward::Egress { rule, resolver, dialer, counts: Arc::clone(&shared.egress) };
    let served = match kept {
        Ok(kept) => serve(&shared, listener, kept, egress).await,
        Err(error) => Err(error),
    };
    if let Err(error) = &served {
        tracing::error!(%error, "the gate ends with an error");
    }
    let left = process::end_sandbox(&shared.config.sandbox_dir, ProcessRef::of_self(), END_WITHIN).await;
    // The folder may be gone already: whoever destroys the sandbox removes it.
    let _ = shared.write_state(|state| state.phase = GatePhase::Ended);
    served?;
    if left == 0 { Ok(()) } else { Err(GateError::Leftover(left)) }
}

async fn serve(
    shared: &Arc<Shared>,
    listener: TcpListener,
    kept: Option<Kept>,
    egress: forward::Egress,
) -> Result<(), GateError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(GateError::Signals)?;
    // From the first moment on: a start that hangs must be stoppable too.
    let forwarder = Arc::new(Forwarder::new(Arc::clone(shared)));
    let server = tokio::spawn(server::serve(listener, Arc::clone(shared), Arc::clone(&forwarder)));
    let ended = tokio::select! {
        result = keeper::keep(shared, &forwarder, kept, egress) => result,
        () = lease_ended(shared) => { tracing::info!("the lease ended"); Ok(()) }
        () = shared.shutdown.notified() => { tracing::info!("asked to shut down"); Ok(()) }
        _ = terminate.recv() => { tracing::info!("terminated"); Ok(()) }
    };
    server.abort();
    ended
}

/// Where the former gate listened, so that its holder's address stays good; another port does as well.
async fn listen(wanted: Option<SocketAddr>, former: Option<u16>) -> Result<TcpListener, GateError> {
    if let Some(wanted) = wanted {
        return TcpListener::bind(wanted).await.map_err(GateError::Listen);
    }
    if let Some(port) = former
        && let Ok(listener) = TcpListener::bind(("127.0.0.1", port)).await
    {
        return Ok(listener);
    }
    TcpListener::bind(("127.0.0.1", 0)).await.map_err(GateError::Listen)
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
