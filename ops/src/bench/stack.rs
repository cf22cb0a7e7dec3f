//! The processes of a benchmark: private Postgres and Redis, one engine, workers, each a process of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};
use valet_stack::{Stack, StackConfig, StackError};

use super::PlaceArgs;
use super::bounds::START_MAX;
use super::line::Line;
use super::meter::Pids;
use crate::secrets;

/// A benchmark that could not be set up or carried out.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    #[error("the private stack: {0}")]
    Stack(#[from] StackError),
    #[error("a process of the benchmark: {0}")]
    Process(#[from] std::io::Error),
    #[error("the engine did not become ready within {} s; its log: {log}", START_MAX.as_secs())]
    NotReady { log: String },
    #[error("the database: {0}")]
    Database(#[from] sqlx::Error),
    #[error("Redis: {0}")]
    Redis(#[from] redis::RedisError),
    #[error("the engine: {0}")]
    Http(#[from] reqwest::Error),
    #[error(transparent)]
    Settings(#[from] crate::settings::SettingsError),
    #[error("{0}")]
    Refused(String),
}

/// Counts statements; a server without it starts all the same.
const COUNTS: [(&str, &str); 3] = [
    ("shared_preload_libraries", "pg_stat_statements"),
    ("pg_stat_statements.track_utility", "on"),
    ("pg_stat_statements.max", "1000"),
];

/// A folder with the servers' data and the secrets.
pub struct Place {
    pub stack: Stack,
    pub folder: PathBuf,
    _temporary: Option<TempDir>,
}

impl Place {
    pub async fn open(args: &PlaceArgs) -> Result<Self, BenchError> {
        let temporary = match args.dir {
            Some(_) => None,
            None => Some(tempfile::Builder::new().prefix("valet-bench-").tempdir()?),
        };
        let folder = match (&args.dir, &temporary) {
            (Some(dir), _) => std::path::absolute(dir)?,
            (None, Some(temporary)) => temporary.path().to_owned(),
            (None, None) => return Err(BenchError::Refused("no folder".to_owned())),
        };
        std::fs::create_dir_all(&folder)?;
        for (name, prefix) in [("secret.key", ""), ("token", "vt_"), ("worker-token", "vw_")] {
            secrets::ensure(&folder.join(name), prefix)?;
        }
        let given = args.postgres_settings();
        let mut counting: BTreeMap<String, String> =
            COUNTS.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        counting.extend(given.clone());
        let stack = match servers(args, &folder, counting).await {
            Ok(stack) => stack,
            // The library is part of most servers, not of all.
            Err(StackError::DiedAtStart { .. }) => servers(args, &folder, given).await?,
            Err(error) => return Err(error.into()),
        };
        Ok(Self { stack, folder, _temporary: temporary })
    }

    pub fn token(&self) -> Result<String, BenchError> {
        Ok(std::fs::read_to_string(self.folder.join("token"))?.trim().to_owned())
    }
}

async fn servers(
    args: &PlaceArgs,
    folder: &Path,
    postgres_settings: BTreeMap<String, String>,
) -> Result<Stack, StackError> {
    match args.dir {
        Some(_) => Stack::start(StackConfig { postgres_settings, ..StackConfig::new(folder) }).await,
        None => Stack::temporary_with(true, postgres_settings).await,
    }
}

/// Running processes; dropping ends them.
pub struct Processes {
    pub place: Place,
    pub url: String,
    pub token: String,
    port: u16,
    slots: u32,
    hand_over: bool,
    engine: Child,
    workers: Vec<Child>,
    /// Between a worker and its servers, where they are to be cut.
    lines: Vec<Line>,
    /// Workers that stand still or are cut off.
    faulty: Vec<Child>,
}

/// What happens to a worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Fault {
    /// It is killed (SIGKILL)
    #[default]
    Kill,
    /// It stands still (SIGSTOP)
    Stop,
    /// It reaches neither engine nor Redis any more, and is not told: its connections stay open
    CutOff,
}

impl Processes {
    /// Servers, an engine and a worker.
    pub async fn start(args: &PlaceArgs, slots: u32, hand_over: bool) -> Result<Self, BenchError> {
        let place = Place::open(args).await?;
        let port = free_port()?;
        let token = place.token()?;
        let engine = spawn(&place, port, hand_over, "engine", &["engine", "--migrate"], &[])?;
        let url = format!("http://127.0.0.1:{port}");
        let mut processes = Self {
            place,
            url,
            token,
            port,
            slots,
            hand_over,
            engine,
            workers: Vec::new(),
            lines: Vec::new(),
            faulty: Vec::new(),
        };
        processes.until_ready().await?;
        processes.start_worker()?;
        Ok(processes)
    }

    pub fn start_worker(&mut self) -> Result<(), BenchError> {
        self.spawn_worker(&[])
    }

    /// Starts a worker whose lines to engine and Redis can be cut, instead of those that run.
    pub async fn restart_worker_on_lines(&mut self) -> Result<(), BenchError> {
        for mut worker in self.workers.drain(..) {
            worker.kill().await?;
        }
        let redis = self.place.stack.redis_url().to_owned();
        let (scheme, server) = redis.split_once("://").ok_or_else(|| unusable(&redis))?;
        let (server, database) = server.split_once('/').unwrap_or((server, ""));
        let (login, server) = server.rsplit_once('@').map_or(("", server), |(login, server)| (login, server));
        let to_redis = Line::to(server.parse().map_err(|_| unusable(&redis))?).await?;
        let to_engine = Line::to(([127, 0, 0, 1], self.port).into()).await?;
        let at = if login.is_empty() { "" } else { "@" };
        let through = [
            ("VALET_REDIS_URL", format!("{scheme}://{login}{at}{}/{database}", to_redis.address())),
            ("VALET_URL", format!("http://{}", to_engine.address())),
        ];
        self.lines = vec![to_redis, to_engine];
        self.spawn_worker(&through)
    }

    fn spawn_worker(&mut self, through: &[(&str, String)]) -> Result<(), BenchError> {
        let slots = self.slots.to_string();
        let arguments = ["worker", "--queues", valet_workflows::bench::QUEUE, "--slots", &slots];
        self.workers.push(spawn(&self.place, self.port, self.hand_over, "worker", &arguments, through)?);
        Ok(())
    }

    /// Does this to the worker that was started first.
    pub async fn fail_worker(&mut self, fault: Fault) -> Result<(), BenchError> {
        if self.workers.is_empty() {
            return Err(BenchError::Refused("no worker runs".to_owned()));
        }
        let mut worker = self.workers.remove(0);
        let ended = || BenchError::Refused("the worker ended by itself".to_owned());
        let pid = worker.id().and_then(|id| i32::try_from(id).ok()).ok_or_else(ended)?;
        match fault {
            Fault::Kill => return Ok(worker.kill().await?),
            Fault::Stop => kill(Pid::from_raw(pid), Signal::SIGSTOP).map_err(std::io::Error::from)?,
            Fault::CutOff => self.lines.iter().for_each(Line::cut),
        }
        self.faulty.push(worker);
        Ok(())
    }

    /// Ends the workers that stood still or were cut off.
    pub async fn end_faulty(&mut self) -> Result<(), BenchError> {
        for mut worker in self.faulty.drain(..) {
            worker.kill().await?;
        }
        self.lines.clear();
        Ok(())
    }

    /// Kills the engine and starts it again; answers how long it took from the kill until it was ready.
    pub async fn restart_engine(&mut self) -> Result<Duration, BenchError> {
        self.engine.kill().await?;
        let killed = Instant::now();
        self.engine = spawn(&self.place, self.port, self.hand_over, "engine", &["engine"], &[])?;
        self.until_ready().await?;
        Ok(killed.elapsed())
    }

    /// Process ids by name.
    pub fn pids(&self) -> Pids {
        let servers = self.place.stack.pids();
        let workers = self.workers.iter().map(|worker| ("worker", worker.id()));
        [("engine", self.engine.id()), ("postgres", servers.postgres), ("redis", servers.redis)]
            .into_iter()
            .chain(workers)
            .filter_map(|(name, id)| Some((name, id?)))
            .collect()
    }

    pub async fn stop(mut self) -> Result<(), BenchError> {
        // Ended by id: they are ours.
        for worker in self.workers.iter_mut().chain(&mut self.faulty) {
            worker.kill().await?;
        }
        self.engine.kill().await?;
        self.place.stack.stop().await?;
        Ok(())
    }

    async fn until_ready(&mut self) -> Result<(), BenchError> {
        let client = reqwest::Client::builder().timeout(START_MAX).build()?;
        let (url, engine) = (&self.url, &mut self.engine);
        let ready = async {
            loop {
                let answer = client.get(format!("{url}/readyz")).send().await;
                if answer.is_ok_and(|answer| answer.status().is_success()) {
                    return true;
                }
                if !matches!(engine.try_wait(), Ok(None)) {
                    return false;
                }
                sleep(Duration::from_millis(10)).await;
            }
        };
        if timeout(START_MAX, ready).await.unwrap_or(false) {
            return Ok(());
        }
        Err(BenchError::NotReady { log: std::fs::read_to_string(log(&self.place, "engine")).unwrap_or_default() })
    }
}

fn log(place: &Place, role: &str) -> PathBuf {
    place.folder.join(format!("{role}.log"))
}

/// `other` takes the place of the usual settings.
fn spawn(
    place: &Place,
    port: u16,
    hand_over: bool,
    role: &str,
    arguments: &[&str],
    other: &[(&str, String)],
) -> Result<Child, BenchError> {
    let folder = &place.folder;
    let file = |name: &str| folder.join(name).display().to_string();
    let environment = [
        ("VALET_DATA_DIR", folder.display().to_string()),
        ("VALET_DATABASE_URL", place.stack.database_url().to_owned()),
        ("VALET_REDIS_URL", place.stack.redis_url().to_owned()),
        ("VALET_SECRET_KEY_FILE", file("secret.key")),
        ("VALET_TOKEN_FILE", file("token")),
        ("VALET_WORKER_TOKEN_FILE", file("worker-token")),
        ("VALET_FILES_DIR", file("files")),
        ("VALET_LISTEN", format!("127.0.0.1:{port}")),
        ("VALET_URL", format!("http://127.0.0.1:{port}")),
        ("VALET_HAND_OVER", hand_over.to_string()),
        ("VALET_LOG", "warn".to_owned()),
        // What the engine can do is measured, not what it allows.
        ("VALET_TOKEN_RATE_PER_S", "0".to_owned()),
        ("VALET_TENANT_RATE_PER_S", "0".to_owned()),
    ];
    let log = std::fs::OpenOptions::new().create(true).append(true).open(log(place, role))?;
    let mut command = Command::new(std::env::current_exe()?);
    command
        .args(arguments)
        .envs(environment)
        .envs(other.iter().map(|(name, value)| (*name, value)))
        .stdin(Stdio::null())
        .kill_on_drop(true);
    Ok(command.stdout(log.try_clone()?).stderr(log).spawn()?)
}

fn unusable(redis: &str) -> BenchError {
    BenchError::Refused(format!("{redis} is not the address of a Redis on this machine"))
}

fn free_port() -> Result<u16, BenchError> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
