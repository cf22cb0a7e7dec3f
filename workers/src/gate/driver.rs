//! Starts the driver and opens the sandbox's one browser session: with a new browser, or with the one a former driver left.

use std::ffi::OsString;
use std::io::{self, Read as _};
use std::net::SocketAddr;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::{Method, Request};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use thiserror::Error;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::config::GateConfig;
use super::display;
use super::family::Family;
use super::state::DisplayRef;
use crate::sandbox::process::{MARKER, ProcessRef};

/// The answer to a new session is a few kilobytes of capabilities.
const ANSWER_MAX_BYTES: usize = 1 << 20;
/// A port that is taken again and again is something else.
const START_ATTEMPTS: u32 = 4;
/// The driver writes a handful of lines before the one with its port.
const START_BYTES_MAX: u64 = 64 << 10;
/// Between two looks at what it wrote.
const START_POLL: Duration = Duration::from_millis(10);
/// What the driver, and a browser that inherits it, writes to standard output. A file, not a pipe: the browser outlives its reader.
const OUTPUT_FILE: &str = "driver.out";
/// Room left for what Chromium appends to its temporary folder in a Unix socket's path (108 bytes in all).
const TMP_PATH_MAX_BYTES: usize = 60;
/// Of a sandbox's id; 80 bits tell them apart.
const SHORT_ID_CHARS: usize = 20;
/// Begins the name of a temporary folder outside of its sandbox.
const TMP_PREFIX: &str = "valet-";
/// In such a folder: whose it is.
const TMP_OWNER: &str = "sandbox";
/// To look at and choose a tab.
const WINDOW_WITHIN: Duration = Duration::from_secs(10);

#[derive(Debug, Error)]
pub enum DriverError {
    #[error("cannot start {path}")]
    Spawn { path: PathBuf, source: std::io::Error },
    #[error("cannot make a folder of the sandbox")]
    Folder(#[source] std::io::Error),
    #[error("the driver did not tell its port, it said `{0}`")]
    NoPort(String),
    #[error("the driver did not start within {0:?}")]
    StartTimeout(Duration),
    #[error("the driver did not open a session within {0:?}")]
    SessionTimeout(Duration),
    #[error("cannot ask the driver for a session: {0}")]
    Session(String),
    #[error("the driver refused: {0}")]
    Refused(String),
}

pub struct Driver {
    child: Child,
    pub port: u16,
}

pub struct Session {
    pub id: String,
    /// Where another driver joins the browser.
    pub join_address: Option<String>,
    pub browser: Option<ProcessRef>,
    pub window: Option<String>,
    pub capabilities: Value,
}

/// A session in a browser that ran before.
pub struct Joined {
    pub id: String,
    /// The tab it is in, and its place among all tabs.
    pub window: Option<String>,
    pub place: usize,
}

impl Driver {
    /// A driver that will start a browser, or one that will join the browser at this address.
    pub async fn start(
        config: &GateConfig,
        display: Option<DisplayRef>,
        join: Option<&str>,
    ) -> Result<Self, DriverError> {
        for dir in [config.profile_dir(), config.downloads_dir(), config.logs_dir(), config.home_dir()] {
            std::fs::create_dir_all(dir).map_err(DriverError::Folder)?;
        }
        // The driver chooses a port on one protocol and may find it taken on the other; it ends then.
        let mut attempt = 1;
        loop {
            match Self::start_once(config, display, join).await {
                Err(DriverError::NoPort(said)) if attempt < START_ATTEMPTS => {
                    tracing::warn!(said, attempt, "the driver did not start");
                    attempt += 1;
                }
                started => return started,
            }
        }
    }

    async fn start_once(
        config: &GateConfig,
        display: Option<DisplayRef>,
        join: Option<&str>,
    ) -> Result<Self, DriverError> {
        let output = config.logs_dir().join(OUTPUT_FILE);
        let mut child = command(config, display, join, &output)?
            .spawn()
            .map_err(|source| DriverError::Spawn { path: config.driver.clone(), source })?;
        let within = Duration::from_millis(config.limits.driver_start_ms);
        let port = timeout(within, read_port(&mut child, &output, config.kind.family())).await;
        let port = port.map_err(|_| DriverError::StartTimeout(within))??;
        Ok(Self { child, port })
    }

    pub fn process(&self) -> Option<ProcessRef> {
        ProcessRef::of(i32::try_from(self.child.id()?).ok()?)
    }

    pub async fn wait(&mut self) -> Option<ExitStatus> {
        self.child.wait().await.ok()
    }

    /// Starts the browser.
    pub async fn open_session(&self, config: &GateConfig, proxy: SocketAddr) -> Result<Session, DriverError> {
        let family = config.kind.family();
        let value = self.new_session(config, &family.new_session(config, proxy)).await?;
        let id = session_id(&value)?;
        let capabilities = value["capabilities"].clone();
        Ok(Session {
            window: self.current_window(&id).await,
            id,
            join_address: family.join_address(config, &capabilities),
            browser: family.process_id(&capabilities).and_then(|pid| ProcessRef::of(i32::try_from(pid).ok()?)),
            capabilities,
        })
    }

    /// Opens a session with a browser that runs, in the tab that was in use where it is still open.
    pub async fn join_session(
        &self,
        config: &GateConfig,
        join: &str,
        former: Option<&str>,
        place: usize,
    ) -> Result<Joined, DriverError> {
        let id = session_id(&self.new_session(config, &config.kind.family().joining_session(join)).await?)?;
        let tabs = self.session_get(&id, "window/handles").await?;
        let tabs: Vec<&str> = tabs.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let place = former.and_then(|former| tabs.iter().position(|tab| *tab == former)).unwrap_or(place);
        let place = if place < tabs.len() { place } else { 0 };
        if let Some(tab) = tabs.get(place) {
            let body = json!({"handle": tab});
            within(WINDOW_WITHIN, self.ask(Method::POST, &format!("/session/{id}/window"), &body)).await?;
        }
        Ok(Joined { window: self.current_window(&id).await, place, id })
    }

    async fn new_session(&self, config: &GateConfig, body: &Value) -> Result<Value, DriverError> {
        within(Duration::from_millis(config.limits.session_start_ms), self.ask(Method::POST, "/session", body)).await
    }

    async fn current_window(&self, session: &str) -> Option<String> {
        self.session_get(session, "window").await.ok()?.as_str().map(str::to_owned)
    }

    async fn session_get(&self, session: &str, what: &str) -> Result<Value, DriverError> {
        within(WINDOW_WITHIN, self.ask(Method::GET, &format!("/session/{session}/{what}"), &Value::Null)).await
    }

    async fn ask(&self, method: Method, path: &str, body: &Value) -> Result<Value, DriverError> {
        let failed = |error: &dyn std::fmt::Display| DriverError::Session(error.to_string());
        let body = if method == Method::GET { Bytes::new() } else { Bytes::from(body.to_string()) };
        let request = Request::builder()
            .method(method)
            .uri(format!("http://127.0.0.1:{}{path}", self.port))
            .header("content-type", "application/json")
            .body(Full::new(body))
            .map_err(|error| failed(&error))?;
        let client: Client<HttpConnector, Full<Bytes>> =
            Client::builder(TokioExecutor::new()).build(HttpConnector::new());
        let answer = client.request(request).await.map_err(|error| failed(&error))?;
        let good = answer.status().is_success();
        let bytes = Limited::new(answer.into_body(), ANSWER_MAX_BYTES)
            .collect()
            .await
            .map_err(|error| failed(&error))?
            .to_bytes();
        let mut json: Value = serde_json::from_slice(&bytes).map_err(|error| failed(&error))?;
        let value = json["value"].take();
        if good {
            Ok(value)
        } else {
            Err(DriverError::Refused(value["message"].as_str().unwrap_or("no message").to_owned()))
        }
    }
}

async fn within<T>(bound: Duration, work: impl Future<Output = Result<T, DriverError>>) -> Result<T, DriverError> {
    timeout(bound, work).await.map_err(|_| DriverError::SessionTimeout(bound))?
}

fn session_id(value: &Value) -> Result<String, DriverError> {
    value["sessionId"].as_str().map(str::to_owned).ok_or_else(|| DriverError::Refused(value.to_string()))
}

fn command(
    config: &GateConfig,
    own_display: Option<DisplayRef>,
    join: Option<&str>,
    output: &Path,
) -> Result<Command, DriverError> {
    let family = config.kind.family();
    let mut command = Command::new(&config.driver);
    command
        .args(family.driver_arguments(config, join))
        // The sandbox's own environment: nothing of the worker's leaks into the browser.
        .env_clear()
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LANG", "C.UTF-8")
        .env("HOME", config.home_dir())
        .env(MARKER, &config.sandbox_dir)
        .envs(family.environment().iter().copied())
        .stdin(Stdio::null())
        .stdout(new_output(output).map_err(DriverError::Folder)?)
        .stderr(Stdio::null())
        .process_group(0)
        .kill_on_drop(true);
    if let Some(own) = own_display {
        command.env("DISPLAY", format!(":{}", own.number)).env("XAUTHORITY", display::authority(&config.sandbox_dir));
    } else if let Some(display) = &config.display {
        command.env("DISPLAY", display);
    }
    command.env("TMPDIR", make_tmp(&config.sandbox_dir).map_err(DriverError::Folder)?);
    Ok(command)
}

fn make_tmp(sandbox_dir: &Path) -> io::Result<PathBuf> {
    let tmp = browser_tmp(sandbox_dir);
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&tmp)?;
    if !tmp.starts_with(sandbox_dir) {
        std::fs::write(tmp.join(TMP_OWNER), sandbox_dir.as_os_str().as_encoded_bytes())?;
    }
    Ok(tmp)
}

/// Temporary folders outside of their sandboxes, each with the folder of the sandbox it belongs to.
pub fn browser_tmps_outside() -> Vec<(PathBuf, PathBuf)> {
    let entries = std::fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten();
    let ours = entries.filter(|entry| entry.file_name().as_encoded_bytes().starts_with(TMP_PREFIX.as_bytes()));
    ours.filter_map(|entry| {
        let tmp = entry.path();
        let owner = PathBuf::from(OsString::from_vec(std::fs::read(tmp.join(TMP_OWNER)).ok()?));
        // The name follows from the sandbox, so nobody's word alone has a folder taken for another's.
        (browser_tmp(&owner) == tmp).then_some((tmp, owner))
    })
    .collect()
}

/// Where a sandbox's browser keeps what it does not clean up when it is killed: in the sandbox, or where that path is too
/// long for Chromium's sockets, in a short folder that is found by the sandbox's id and removed with it.
pub fn browser_tmp(sandbox_dir: &Path) -> PathBuf {
    let inside = sandbox_dir.join("tmp");
    if inside.as_os_str().len() <= TMP_PATH_MAX_BYTES {
        return inside;
    }
    let id = sandbox_dir.file_name().unwrap_or_default().to_string_lossy();
    let short: String = id.chars().filter(char::is_ascii_alphanumeric).take(SHORT_ID_CHARS).collect();
    std::env::temp_dir().join(format!("{TMP_PREFIX}{short}"))
}

/// Another file each time: a browser goes on writing to that of its first driver.
fn new_output(path: &Path) -> io::Result<std::fs::File> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    std::fs::OpenOptions::new().append(true).create_new(true).mode(0o600).open(path)
}

/// Reads what the driver writes until it says on which port it listens.
async fn read_port(child: &mut Child, output: &Path, family: &dyn Family) -> Result<u16, DriverError> {
    loop {
        // Asked before its words are read, so that the last of them are seen.
        let ended = !matches!(child.try_wait(), Ok(None));
        let said = read_start(output).map_err(DriverError::Folder)?;
        let whole = said.rsplit_once('\n').map_or("", |(whole, _)| whole);
        if let Some(port) = whole.lines().find_map(|line| family.port_in(line)) {
            return Ok(port);
        }
        if ended {
            return Err(DriverError::NoPort(said.lines().last().unwrap_or_default().to_owned()));
        }
        tokio::time::sleep(START_POLL).await;
    }
}

fn read_start(output: &Path) -> io::Result<String> {
    let mut bytes = Vec::new();
    std::fs::File::open(output)?.take(START_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
