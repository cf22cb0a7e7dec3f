//! Keeps the sandbox's one browser: starts it, or adopts the one a killed gate left, and gives it a new driver when its driver ends.
//!
//! Returns when the browser has ended, or when no driver can be had for it. Never ends the browser itself: that is the caller's,
//! together with everything else of the sandbox.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use tokio::net::TcpListener;

use super::driver::Driver;
use super::proxy::Forwarder;
use super::state::{DisplayRef, GatePhase, GateState};
use super::{GateError, Shared, display, forward};
use crate::sandbox::process::{self, ProcessRef};

/// Between two looks at whether the browser lives: it is not a child of the gate, nobody tells.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// A driver that worked for so long was sound; what ended it says nothing of the next.
const SOUND_AFTER: Duration = Duration::from_mins(10);
/// Killed processes are gone within moments.
const END_DRIVER_WITHIN: Duration = Duration::from_secs(5);

/// A browser that is there to be kept.
pub struct Kept {
    proxy: SocketAddr,
    browser: ProcessRef,
    join_address: String,
    /// The tab in use, and its place among all tabs.
    window: Option<String>,
    place: usize,
}

impl Kept {
    /// What a former gate wrote down of its browser.
    pub fn of(state: &GateState) -> Result<Self, GateError> {
        if state.phase == GatePhase::Ended {
            return Err(GateError::NothingToAdopt("the former gate ended it"));
        }
        let browser = state.browser.filter(ProcessRef::is_alive).ok_or(GateError::BrowserEnded)?;
        let unknown = || GateError::NothingToAdopt("its addresses are not known");
        Ok(Self {
            proxy: state.proxy_address.ok_or_else(unknown)?,
            browser,
            join_address: state.debugger_address.clone().ok_or_else(unknown)?,
            window: state.window.clone(),
            place: state.window_place,
        })
    }
}

/// Runs until the browser is gone.
pub async fn keep(
    shared: &Shared,
    forwarder: &Forwarder,
    kept: Option<Kept>,
    egress: forward::Egress,
) -> Result<(), GateError> {
    let proxy = bind_proxy(&shared.config.sandbox_dir, kept.as_ref().map(|kept| kept.proxy)).await?;
    let address = proxy.local_addr().map_err(GateError::Listen)?;
    let _proxy = AbortOnDrop(tokio::spawn(forward::serve(proxy, egress)));
    shared.write_state(|state| {
        state.proxy_port = Some(address.port());
        state.proxy_address = Some(address);
    })?;
    let keeper = Keeper { shared, forwarder };
    let mut restarts = Restarts::default();
    let (mut kept, mut driver) = if let Some(kept) = kept {
        end_drivers(shared).await;
        let driver = keeper.rejoin(&kept, &mut restarts).await?;
        (kept, driver)
    } else {
        keeper.start(address).await?
    };
    tracing::info!("the browser is ready");
    loop {
        let status = tokio::select! {
            status = driver.wait() => status,
            () = ended(kept.browser) => return Err(GateError::BrowserEnded),
        };
        tracing::warn!(?status, "the driver ended; the browser gets a new one");
        if let Some(window) = forwarder.down() {
            kept.window = Some(window);
        }
        kept.place = shared.state.lock().window_place;
        shared.write_state(|state| {
            state.driver = None;
            state.driver_port = None;
            state.session_id = None;
            state.driver_restarts += 1;
        })?;
        driver = keeper.rejoin(&kept, &mut restarts).await?;
    }
}

struct Keeper<'a> {
    shared: &'a Shared,
    forwarder: &'a Forwarder,
}

impl Keeper<'_> {
    async fn start(&self, proxy: SocketAddr) -> Result<(Kept, Driver), GateError> {
        let config = &self.shared.config;
        let mut own_display = None;
        if !config.headless && config.display.is_none() {
            own_display = Some(display::start(config).await?);
            self.shared.write_state(|state| state.display = own_display)?;
        }
        let driver = self.driver(own_display, None).await?;
        let session = driver.open_session(config, proxy).await?;
        let unknown = || GateError::NothingToAdopt("the driver does not tell where its browser is");
        let kept = Kept {
            proxy,
            browser: session.browser.ok_or_else(unknown)?,
            join_address: session.join_address.ok_or_else(unknown)?,
            window: session.window,
            place: 0,
        };
        self.shared.write_state(|state| {
            state.browser = Some(kept.browser);
            state.debugger_address = Some(kept.join_address.clone());
            state.capabilities = session.capabilities;
        })?;
        self.ready(&driver, session.id, kept.window.clone(), kept.place)?;
        Ok((kept, driver))
    }

    /// A driver for a browser that runs.
    async fn join(&self, kept: &Kept) -> Result<Driver, GateError> {
        let driver = self.driver(None, Some(&kept.join_address)).await?;
        let config = &self.shared.config;
        let joined = driver.join_session(config, &kept.join_address, kept.window.as_deref(), kept.place).await?;
        self.ready(&driver, joined.id, joined.window, joined.place)?;
        Ok(driver)
    }

    /// The next driver after one that ended, tried as often as is reasonable.
    async fn rejoin(&self, kept: &Kept, restarts: &mut Restarts) -> Result<Driver, GateError> {
        let limits = self.shared.config.limits;
        while restarts.another(limits.driver_restarts_max) {
            tokio::time::sleep(Duration::from_millis(limits.restart_pause_ms)).await;
            let joined = tokio::select! {
                joined = self.join(kept) => joined,
                () = ended(kept.browser) => return Err(GateError::BrowserEnded),
            };
            match joined {
                Ok(driver) => return Ok(driver),
                Err(error) => tracing::warn!(%error, "a new driver did not join the browser"),
            }
        }
        Err(GateError::DriverKeepsEnding(limits.driver_restarts_max))
    }

    async fn driver(&self, display: Option<DisplayRef>, join: Option<&str>) -> Result<Driver, GateError> {
        let driver = Driver::start(&self.shared.config, display, join).await?;
        self.shared.write_state(|state| {
            state.driver = driver.process();
            state.driver_port = Some(driver.port);
        })?;
        Ok(driver)
    }

    fn ready(&self, driver: &Driver, session: String, window: Option<String>, place: usize) -> Result<(), GateError> {
        // First for whoever reads the state, so that nobody is told of a session that commands do not reach.
        self.forwarder.open(driver.port, session.clone(), window.clone());
        self.shared.write_state(|state| {
            state.session_id = Some(session);
            state.window = window;
            state.window_place = place;
            state.phase = GatePhase::Ready;
        })
    }
}

/// Drivers started in a row, none of which worked for long.
struct Restarts {
    count: u32,
    last: Instant,
}

impl Default for Restarts {
    fn default() -> Self {
        Self { count: 0, last: Instant::now() }
    }
}

impl Restarts {
    fn another(&mut self, max: u32) -> bool {
        if self.last.elapsed() >= SOUND_AFTER {
            self.count = 0;
        }
        self.last = Instant::now();
        self.count += 1;
        self.count <= max
    }
}

async fn ended(browser: ProcessRef) {
    while browser.is_alive() {
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// A killed gate leaves its driver, perhaps at work on a command of a holder that is none any more.
async fn end_drivers(shared: &Shared) {
    let (dir, program) = (shared.config.sandbox_dir.clone(), shared.config.driver.clone());
    let recorded = shared.former_driver;
    let ending = tokio::task::spawn_blocking(move || {
        let drivers = process::of_sandbox(&dir).into_iter();
        drivers.filter(|process| Some(*process) == recorded || process.program() == Some(program.clone())).collect()
    });
    let drivers: Vec<ProcessRef> = ending.await.unwrap_or_default();
    process::end(&drivers, END_DRIVER_WITHIN).await;
}

/// Each sandbox has a loopback address of its own, so that no other gate is by chance given the port of one that was killed and
/// serves its browser by another rule. A browser cannot be told a new proxy: where its address is taken, it cannot be kept.
async fn bind_proxy(sandbox_dir: &Path, former: Option<SocketAddr>) -> Result<TcpListener, GateError> {
    match former {
        Some(address) => TcpListener::bind(address).await.map_err(|source| GateError::ProxyAddress { address, source }),
        None => TcpListener::bind((own_loopback(sandbox_dir), 0)).await.map_err(GateError::Listen),
    }
}

/// 127.64.0.0 to 127.127.255.255, from the folder's name; all of 127/8 is this machine.
fn own_loopback(sandbox_dir: &Path) -> Ipv4Addr {
    let digest = Sha256::digest(sandbox_dir.as_os_str().as_encoded_bytes());
    Ipv4Addr::new(127, 64 | (digest[0] & 63), digest[1], digest[2])
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::{Path, Restarts, SOUND_AFTER, own_loopback};

    #[test]
    fn drivers_that_keep_ending_are_given_up() {
        let mut restarts = Restarts::default();
        assert_eq!([restarts.another(2), restarts.another(2), restarts.another(2)], [true, true, false]);
        restarts.last -= SOUND_AFTER;
        assert!(restarts.another(2), "a driver that worked for long is not held against the next");
    }

    #[test]
    fn sandboxes_have_addresses_of_their_own() {
        let (one, other) = (own_loopback(Path::new("/r/1")), own_loopback(Path::new("/r/2")));
        assert!(one.is_loopback() && other.is_loopback() && one != other);
        assert_eq!(one, own_loopback(Path::new("/r/1")));
    }
}
