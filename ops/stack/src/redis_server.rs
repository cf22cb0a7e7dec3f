//! One private Redis: started, adopted and stopped. It keeps nothing: Postgres is the only truth.
//!
//! It listens on loopback, which every local user reaches, so that a password guards it.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::bounds;
use crate::config::StackConfig;
use crate::error::{Server, StackError};
use crate::files;
use crate::home::{Home, short_hash};
use crate::ports;
use crate::process::{self, Ladder, Process};
use crate::programs;
use crate::state::{RedisState, StateFile};

const PROCESS_NAMES: [&str; 2] = ["redis-server", "valkey-server"];

const GENTLE: Ladder<'static> = &[(Signal::SIGTERM, bounds::REDIS_TERM), (Signal::SIGKILL, bounds::KILLED)];
const AT_ONCE: Ladder<'static> = &[(Signal::SIGKILL, bounds::KILLED)];

#[derive(Debug)]
pub(crate) struct RedisServer {
    home: Arc<Home>,
    state: Arc<StateFile>,
    password: String,
    max_memory_mb: u32,
    program: PathBuf,
    port: u16,
    process: Option<Process>,
    version: String,
    adopted: bool,
}

impl RedisServer {
    /// Adopts what an owner that was killed left running, or starts a server.
    pub(crate) async fn open(
        home: Arc<Home>,
        state: Arc<StateFile>,
        password: String,
        config: &StackConfig,
    ) -> Result<Self, StackError> {
        let program = programs::find_redis().await?;
        let recorded = state.get().redis;
        let mut server = Self {
            home,
            state,
            password,
            max_memory_mb: config.redis_max_memory_mb,
            program,
            port: 0,
            process: None,
            version: String::new(),
            adopted: false,
        };
        let preferred_port = recorded.as_ref().map(|recorded| recorded.port);
        let adopted = match recorded {
            Some(recorded) => server.adopt(recorded).await,
            None => Err(String::from("none is on record")),
        };
        match adopted {
            Ok(()) => tracing::info!("adopted the Redis that an earlier process left running"),
            Err(reason) => {
                tracing::debug!(%reason, "starting a Redis instead of adopting one");
                server.clear().await?;
                server.start_on_a_free_port(preferred_port).await?;
            }
        }
        Ok(server)
    }

    /// Starts it again after [`RedisServer::stop`], or after it died, at the same address and empty.
    pub(crate) async fn start(&mut self) -> Result<(), StackError> {
        if self.process.as_mut().is_some_and(Process::is_alive) {
            return Ok(());
        }
        self.clear().await?;
        self.launch().await
    }

    pub(crate) async fn stop(&mut self) -> Result<(), StackError> {
        if let Some(process) = &mut self.process {
            process.end(Server::Redis, GENTLE).await?;
            self.process = None;
        }
        self.clear().await?;
        self.record()
    }

    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    pub(crate) fn was_adopted(&self) -> bool {
        self.adopted
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://:{}@127.0.0.1:{}/0", self.password, self.port)
    }

    async fn start_on_a_free_port(&mut self, preferred: Option<u16>) -> Result<(), StackError> {
        let mut preferred = preferred;
        for attempt in 1.. {
            self.port = ports::free(preferred.take())?;
            match self.launch().await {
                Err(StackError::DiedAtStart { .. })
                    if attempt < bounds::PORT_ATTEMPTS && !ports::is_free(self.port) => {}
                ended => return ended,
            }
        }
        Err(StackError::NoPort)
    }

    async fn launch(&mut self) -> Result<(), StackError> {
        let dir = self.home.redis();
        let settings = self.settings_file();
        files::replace(&settings, &self.settings()?, self.home.user.owner())?;
        let log = self.log();
        let out = files::open_log(&log, self.home.user.owner())?;
        let errors = out.try_clone().map_err(StackError::io("open", &log))?;
        let mut command = self.home.user.command(&self.program);
        command.arg(&settings).current_dir(&dir).stdout(Stdio::from(out)).stderr(Stdio::from(errors));
        let child = command.spawn().map_err(StackError::io("run", &self.program))?;
        self.process = Process::of_child(child);
        self.adopted = false;
        self.record()?;
        self.version = self.ready().await?;
        tracing::info!(version = %self.version, port = self.port, "Redis is ready");
        Ok(())
    }

    async fn ready(&mut self) -> Result<String, StackError> {
        let deadline = Instant::now() + bounds::REDIS_READY;
        loop {
            if !self.process.as_mut().is_some_and(Process::is_alive) {
                return Err(StackError::DiedAtStart {
                    server: Server::Redis,
                    log: self.log(),
                    tail: files::tail(&self.log()),
                });
            }
            match version(&self.url(), bounds::ONE_ANSWER).await {
                Ok(version) => return Ok(version),
                Err(last) if Instant::now() >= deadline => {
                    return Err(StackError::NotReady {
                        server: Server::Redis,
                        after: bounds::REDIS_READY,
                        last,
                        log: self.log(),
                        tail: files::tail(&self.log()),
                    });
                }
                Err(_) => tokio::time::sleep(bounds::POLL).await,
            }
        }
    }

    /// As for Postgres. The error is the reason why not.
    async fn adopt(&mut self, recorded: RedisState) -> Result<(), String> {
        let identity = recorded.process.ok_or("none was left running")?;
        if !identity.is_alive() {
            return Err(String::from("it has ended"));
        }
        self.port = recorded.port;
        let wanted = self.fingerprint().map_err(|error| error.to_string())?;
        if recorded.fingerprint != wanted {
            return Err(String::from("it runs with other settings"));
        }
        self.version = version(&self.url(), bounds::ADOPTION_ANSWER).await?;
        self.process = Some(Process::adopted(identity));
        self.adopted = true;
        Ok(())
    }

    async fn clear(&mut self) -> Result<(), StackError> {
        self.process = None;
        end_leftovers(&self.home).await
    }

    fn record(&self) -> Result<(), StackError> {
        let recorded = RedisState {
            process: self.process.as_ref().map(|p| p.identity().clone()),
            port: self.port,
            fingerprint: self.fingerprint()?,
        };
        self.state.change(|state| state.redis = Some(recorded))
    }

    fn fingerprint(&self) -> Result<String, StackError> {
        let text = self.settings()?;
        Ok(short_hash(format!("{}\n{text}", self.program.display()).as_bytes()))
    }

    fn settings_file(&self) -> PathBuf {
        self.home.root.join("redis.conf")
    }

    fn log(&self) -> PathBuf {
        self.home.log().join("redis.log")
    }

    fn settings(&self) -> Result<String, StackError> {
        let dir = self.home.redis();
        let text =
            dir.to_str().ok_or_else(|| StackError::Path { path: dir.clone(), reason: "its name is not UTF-8" })?;
        let lines = [
            ("bind", String::from("127.0.0.1")),
            ("port", self.port.to_string()),
            ("protected-mode", String::from("yes")),
            ("requirepass", self.password.clone()),
            ("dir", quoted(text)),
            ("daemonize", String::from("no")),
            // Nothing is kept: tickets are a copy of what Postgres says is ready.
            ("save", String::from("\"\"")),
            ("appendonly", String::from("no")),
            ("maxmemory", format!("{}mb", self.max_memory_mb)),
            // A dropped ticket would be a step that waits for the next sweep; a refused write is seen at once.
            ("maxmemory-policy", String::from("noeviction")),
        ];
        let mut conf = String::from("# Written by valet at each start; changes are lost.\n");
        for (name, value) in lines {
            let _ = writeln!(conf, "{name} {value}");
        }
        Ok(conf)
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            process.end_blocking(AT_ONCE);
            self.process = None;
            let _ = self.record();
        }
    }
}

/// Ends whatever still runs in a Redis's directory.
pub(crate) async fn end_leftovers(home: &Home) -> Result<(), StackError> {
    process::clear(&home.redis(), home.user.uid(), &PROCESS_NAMES, GENTLE)
        .await
        .map_err(|pid| StackError::WontEnd { server: Server::Redis, pid })
}

/// In double quotes, where Redis knows backslash escapes.
fn quoted(value: &str) -> String {
    let escaped = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("\"{escaped}\"")
}

/// The server's version, as `INFO` tells it. The error is the reason as text.
pub(crate) async fn version(url: &str, bound: Duration) -> Result<String, String> {
    let ask = async {
        let client = redis::Client::open(url)?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        let info: String = redis::cmd("INFO").arg("server").query_async(&mut connection).await?;
        Ok::<_, redis::RedisError>(info)
    };
    let info = match tokio::time::timeout(bound, ask).await {
        Ok(Ok(info)) => info,
        Ok(Err(error)) => return Err(error.to_string()),
        Err(_) => return Err(format!("no answer within {} s", bound.as_secs())),
    };
    info.lines()
        .find_map(|line| line.strip_prefix("redis_version:"))
        .map(|version| version.trim().to_owned())
        .ok_or_else(|| String::from("it does not tell its version"))
}
