//! The processes of a benchmark: private Postgres and Redis, one engine, one worker, each a process of its own.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};
use valet_stack::{Stack, StackError};

use crate::secrets;

/// How long a process may take to start.
const START_MAX: Duration = Duration::from_secs(30);

/// A benchmark that could not be set up.
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
    #[error("the engine: {0}")]
    Http(#[from] reqwest::Error),
    #[error("{0}")]
    Refused(String),
}

/// Running processes; dropping ends them.
pub struct Processes {
    pub stack: Stack,
    pub url: String,
    pub token: String,
    engine: Child,
    worker: Child,
    folder: PathBuf,
}

impl Processes {
    pub async fn start(slots: u32) -> Result<Self, BenchError> {
        let stack = Stack::temporary(true).await?;
        let folder = std::env::temp_dir().join(format!("valet-bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        for (name, prefix) in [("secret.key", ""), ("token", "vt_"), ("worker-token", "vw_")] {
            secrets::ensure(&folder.join(name), prefix)?;
        }
        let port = free_port()?;
        let url = format!("http://127.0.0.1:{port}");
        let environment = [
            ("VALET_DATABASE_URL", stack.database_url().to_owned()),
            ("VALET_REDIS_URL", stack.redis_url().to_owned()),
            ("VALET_SECRET_KEY_FILE", folder.join("secret.key").display().to_string()),
            ("VALET_TOKEN_FILE", folder.join("token").display().to_string()),
            ("VALET_WORKER_TOKEN_FILE", folder.join("worker-token").display().to_string()),
            ("VALET_FILES_DIR", folder.join("files").display().to_string()),
            ("VALET_LISTEN", format!("127.0.0.1:{port}")),
            ("VALET_URL", url.clone()),
            ("VALET_LOG", "warn".to_owned()),
            // What the engine can do is measured, not what it allows.
            ("VALET_TOKEN_RATE_PER_S", "0".to_owned()),
            ("VALET_TENANT_RATE_PER_S", "0".to_owned()),
        ];
        let program = std::env::current_exe()?;
        let spawn = |arguments: &[&str], log: &str| -> Result<Child, BenchError> {
            let log = std::fs::File::create(folder.join(log))?;
            let mut command = Command::new(&program);
            command.args(arguments).envs(environment.clone()).stdin(Stdio::null()).kill_on_drop(true);
            Ok(command.stdout(log.try_clone()?).stderr(log).spawn()?)
        };
        let engine = spawn(&["engine", "--migrate"], "engine.log")?;
        let slots = slots.to_string();
        let token = std::fs::read_to_string(folder.join("token"))?.trim().to_owned();
        wait_ready(&url, &folder.join("engine.log")).await?;
        let worker = spawn(&["worker", "--queues", valet_workflows::bench::QUEUE, "--slots", &slots], "worker.log")?;
        Ok(Self { stack, url, token, engine, worker, folder })
    }

    /// Process ids by name, for CPU and memory.
    pub fn pids(&self) -> Vec<(&'static str, u32)> {
        let servers = self.stack.pids();
        [
            ("engine", self.engine.id()),
            ("worker", self.worker.id()),
            ("postgres", servers.postgres),
            ("redis", servers.redis),
        ]
        .into_iter()
        .filter_map(|(name, id)| Some((name, id?)))
        .collect()
    }

    pub async fn stop(mut self) -> Result<(), BenchError> {
        // Ended by id: they are ours.
        self.worker.kill().await?;
        self.engine.kill().await?;
        self.stack.stop().await?;
        std::fs::remove_dir_all(&self.folder)?;
        Ok(())
    }
}

fn free_port() -> Result<u16, BenchError> {
    Ok(std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

async fn wait_ready(url: &str, log: &std::path::Path) -> Result<(), BenchError> {
    let client = reqwest::Client::new();
    let ready = async {
        loop {
            let answer = client.get(format!("{url}/readyz")).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(START_MAX, ready)
        .await
        .map_err(|_| BenchError::NotReady { log: std::fs::read_to_string(log).unwrap_or_default() })
}
