//! One private Postgres: made, adopted, started and stopped.
//!
//! Who may connect: the socket lies in a directory that only the servers' user (and root) can enter, and a
//! password is asked even there. The directory alone would do, were it not that root falls back to a user that
//! other daemons share, and that peer authentication would refuse root, who is the client then. TCP, when asked
//! for, is loopback only, and there every local user reaches the port, so that the password decides.
//! Valet's role is no superuser: what works here works on a managed Postgres, row-level security included.

mod cluster;
mod roles;
mod settings;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use sqlx::postgres::PgConnectOptions;

use crate::bounds;
use crate::config::StackConfig;
use crate::database;
use crate::error::{Server, StackError};
use crate::files;
use crate::home::{Home, SOCKET_PORT, short_hash};
use crate::ports;
use crate::process::{self, Ladder, Process};
use crate::programs::PostgresPrograms;
use crate::secrets::{Secrets, hex};
use crate::state::{PostgresState, StateFile};

/// The role, and the database, that Valet uses.
pub(crate) const VALET: &str = "valet";
/// Postgres's own superuser and first database.
const ADMIN: &str = "postgres";

const PROCESS_NAMES: [&str; 2] = ["postgres", "postmaster"];

/// SIGINT is Postgres's fast shutdown: sessions end, everything is written. SIGQUIT leaves it to recovery.
const GENTLE: Ladder<'static> = &[
    (Signal::SIGINT, bounds::POSTGRES_FAST),
    (Signal::SIGQUIT, bounds::POSTGRES_IMMEDIATE),
    (Signal::SIGKILL, bounds::KILLED),
];
/// For data that nobody needs any more.
const AT_ONCE: Ladder<'static> = &[(Signal::SIGQUIT, bounds::POSTGRES_IMMEDIATE), (Signal::SIGKILL, bounds::KILLED)];
const IN_DROP: Ladder<'static> = &[
    (Signal::SIGINT, bounds::DROP_GRACE),
    (Signal::SIGQUIT, Duration::from_secs(1)),
    (Signal::SIGKILL, bounds::KILLED),
];

#[derive(Debug)]
pub(crate) struct PostgresServer {
    home: Arc<Home>,
    state: Arc<StateFile>,
    secrets: Secrets,
    config: StackConfig,
    /// The data are thrown away at the end, so that nothing need be written.
    discard: bool,
    programs: PostgresPrograms,
    socket_dir: PathBuf,
    tcp_port: Option<u16>,
    process: Option<Process>,
    version: String,
    adopted: bool,
}

impl PostgresServer {
    /// Adopts what an owner that was killed left running, or starts a server.
    pub(crate) async fn open(
        home: Arc<Home>,
        state: Arc<StateFile>,
        secrets: Secrets,
        config: StackConfig,
        discard: bool,
    ) -> Result<Self, StackError> {
        let data = home.postgres();
        let programs = PostgresPrograms::find(&data).await?;
        let recorded = state.get().postgres;
        let socket_dir = home.socket_dir(recorded.as_ref().map(|r| r.socket_dir.as_path()))?;
        let mut server = Self {
            home,
            state,
            secrets,
            config,
            discard,
            programs,
            socket_dir,
            tcp_port: None,
            process: None,
            version: String::new(),
            adopted: false,
        };
        let preferred_port = recorded.as_ref().and_then(|r| r.tcp_port);
        let adopted = match recorded {
            Some(recorded) => server.adopt(recorded).await,
            None => Err(String::from("none is on record")),
        };
        match adopted {
            Ok(()) => tracing::info!("adopted the Postgres that an earlier process left running"),
            Err(reason) => {
                tracing::debug!(%reason, "starting a Postgres instead of adopting one");
                server.clear().await?;
                cluster::ensure(&server).await?;
                server.start_on_a_free_port(preferred_port).await?;
            }
        }
        roles::ensure(&server).await?;
        Ok(server)
    }

    /// Starts it again after [`PostgresServer::stop`], or after it died, at the same address.
    pub(crate) async fn start(&mut self) -> Result<(), StackError> {
        if self.process.as_mut().is_some_and(Process::is_alive) {
            return Ok(());
        }
        self.clear().await?;
        self.launch().await
    }

    pub(crate) async fn stop(&mut self) -> Result<(), StackError> {
        if let Some(process) = &mut self.process {
            let ladder = if self.discard { AT_ONCE } else { GENTLE };
            process.end(Server::Postgres, ladder).await?;
            self.process = None;
        }
        self.clear().await?;
        self.record()
    }

    /// What only a last stop does.
    pub(crate) fn forget_places(&self) {
        self.home.forget_socket_dir(&self.socket_dir);
    }

    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    pub(crate) fn was_adopted(&self) -> bool {
        self.adopted
    }

    /// The address of one of its databases for Valet's role, over the socket.
    pub(crate) fn url(&self, database: &str) -> String {
        self.socket_url(VALET, &self.secrets.postgres_valet, database)
    }

    pub(crate) fn tcp_url(&self, database: &str) -> Option<String> {
        let password = &self.secrets.postgres_valet;
        self.tcp_port.map(|port| format!("postgres://{VALET}:{password}@127.0.0.1:{port}/{database}?sslmode=disable"))
    }

    pub(crate) fn admin_url(&self) -> String {
        self.socket_url(ADMIN, &self.secrets.postgres_admin, ADMIN)
    }

    /// The TCP port, which also names the socket, or the usual one: a private directory has no other.
    fn port(&self) -> u16 {
        self.tcp_port.unwrap_or(SOCKET_PORT)
    }

    /// Passwords here are hexadecimal digits; the path may hold anything. The port and the mode are written out
    /// because sqlx would otherwise take them from PGPORT and PGSSLMODE.
    fn socket_url(&self, role: &str, password: &str, database: &str) -> String {
        let port = self.port();
        let host = percent_encoded(&self.socket_dir);
        format!("postgres://{role}:{password}@localhost:{port}/{database}?host={host}&sslmode=disable")
    }

    fn admin_options(&self) -> Result<PgConnectOptions, StackError> {
        database::options(&self.admin_url())
    }

    async fn start_on_a_free_port(&mut self, preferred: Option<u16>) -> Result<(), StackError> {
        if !self.config.postgres_tcp {
            return self.launch().await;
        }
        let mut preferred = preferred;
        for attempt in 1.. {
            let port = ports::free(preferred.take())?;
            self.tcp_port = Some(port);
            match self.launch().await {
                Err(StackError::DiedAtStart { .. }) if attempt < bounds::PORT_ATTEMPTS && !ports::is_free(port) => {}
                ended => return ended,
            }
        }
        Err(StackError::NoPort)
    }

    async fn launch(&mut self) -> Result<(), StackError> {
        let data = self.home.postgres();
        settings::write(self)?;
        let log = self.start_log();
        // What Postgres says before its log collector runs; each start has its own.
        let _ = fs::remove_file(&log);
        let out = files::open_log(&log, self.home.user.owner())?;
        let errors = out.try_clone().map_err(StackError::io("open", &log))?;
        let program = self.programs.bin.join("postgres");
        let mut command = self.home.user.command(&program);
        command
            .arg("-D")
            .arg(&data)
            .arg("-c")
            .arg(format!("config_file={}", text(&settings::file(&self.home))?))
            .current_dir(&data)
            .stdout(Stdio::from(out))
            .stderr(Stdio::from(errors));
        let child = command.spawn().map_err(StackError::io("run", &program))?;
        self.process = Process::of_child(child);
        self.adopted = false;
        self.record()?;
        self.version = self.ready().await?;
        tracing::info!(version = %self.version, "Postgres is ready");
        Ok(())
    }

    async fn ready(&mut self) -> Result<String, StackError> {
        let options = self.admin_options()?;
        let deadline = Instant::now() + bounds::POSTGRES_READY;
        loop {
            if !self.process.as_mut().is_some_and(Process::is_alive) {
                return Err(StackError::DiedAtStart {
                    server: Server::Postgres,
                    log: self.home.log(),
                    tail: self.log_tail(),
                });
            }
            let answer = database::version(&options, bounds::ONE_ANSWER).await;
            match answer {
                Ok(version) => return Ok(version),
                Err(last) if Instant::now() >= deadline => {
                    return Err(StackError::NotReady {
                        server: Server::Postgres,
                        after: bounds::POSTGRES_READY,
                        last,
                        log: self.home.log(),
                        tail: self.log_tail(),
                    });
                }
                Err(_) => tokio::time::sleep(bounds::POLL).await,
            }
        }
    }

    /// Takes over the recorded process if it is the one that was recorded, runs with the settings wanted now
    /// and answers. The error is the reason why not.
    async fn adopt(&mut self, recorded: PostgresState) -> Result<(), String> {
        let identity = recorded.process.ok_or("none was left running")?;
        if !identity.is_alive() {
            return Err(String::from("it has ended"));
        }
        if recorded.tcp_port.is_some() == self.config.postgres_tcp {
            self.tcp_port = recorded.tcp_port;
        }
        let wanted = self.fingerprint().map_err(|error| error.to_string())?;
        if recorded.fingerprint != wanted {
            return Err(String::from("it runs with other settings"));
        }
        let options = self.admin_options().map_err(|error| error.to_string())?;
        self.version = database::version(&options, bounds::ADOPTION_ANSWER).await?;
        self.process = Some(Process::adopted(identity));
        self.adopted = true;
        Ok(())
    }

    async fn clear(&mut self) -> Result<(), StackError> {
        self.process = None;
        end_leftovers(&self.home).await
    }

    fn record(&self) -> Result<(), StackError> {
        let recorded = PostgresState {
            process: self.process.as_ref().map(|p| p.identity().clone()),
            socket_dir: self.socket_dir.clone(),
            tcp_port: self.tcp_port,
            fingerprint: self.fingerprint()?,
        };
        self.state.change(|state| state.postgres = Some(recorded))
    }

    fn fingerprint(&self) -> Result<String, StackError> {
        let text = settings::text(self)?;
        Ok(short_hash(format!("{:?}\n{text}", self.programs).as_bytes()))
    }

    fn start_log(&self) -> PathBuf {
        self.home.log().join("postgres-start.log")
    }

    /// The end of what it said at start and of the newest log of its collector.
    fn log_tail(&self) -> String {
        let newest = fs::read_dir(self.home.log())
            .into_iter()
            .flatten()
            .flatten()
            .filter(|entry| settings::is_log_name(&entry.file_name()))
            .max_by_key(|entry| entry.metadata().and_then(|log| log.modified()).ok());
        let mut tail = files::tail(&self.start_log());
        if let Some(newest) = newest {
            tail.push('\n');
            tail.push_str(&files::tail(&newest.path()));
        }
        tail
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            process.end_blocking(if self.discard { AT_ONCE } else { IN_DROP });
            self.process = None;
            self.forget_places();
            let _ = self.record();
        }
    }
}

/// Ends whatever still runs on the data and removes what would make Postgres take it for alive.
pub(crate) async fn end_leftovers(home: &Home) -> Result<(), StackError> {
    let data = home.postgres();
    let uid = home.user.uid();
    let leftovers = process::working_in(&data, uid, &PROCESS_NAMES);
    let lock = data.join("postmaster.pid");
    let postmaster = fs::read_to_string(&lock).ok().and_then(|text| text.lines().next()?.trim().parse::<u32>().ok());
    // First the postmaster alone: told to end, it ends its own processes in order.
    if let Some(left) = leftovers.into_iter().find(|left| Some(left.pid) == postmaster) {
        tracing::warn!(pid = left.pid, "stopping the Postgres that an earlier process left running");
        Process::adopted(left).end(Server::Postgres, GENTLE).await?;
    }
    process::clear(&data, uid, &PROCESS_NAMES, AT_ONCE)
        .await
        .map_err(|pid| StackError::WontEnd { server: Server::Postgres, pid })?;
    // Nothing runs here now. Postgres would refuse to start if an unrelated process had the pid in it.
    match fs::remove_file(&lock) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(StackError::io("remove", &lock)(error)),
        _ => Ok(()),
    }
}

fn percent_encoded(path: &Path) -> String {
    let mut text = String::new();
    for &byte in path.as_os_str().as_encoded_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.".contains(&byte) {
            text.push(char::from(byte));
        } else {
            text.push('%');
            text.push_str(&hex(&[byte]));
        }
    }
    text
}

fn text(path: &Path) -> Result<&str, StackError> {
    path.to_str().ok_or_else(|| StackError::Path { path: path.to_owned(), reason: "its name is not UTF-8" })
}
