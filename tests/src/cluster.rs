//! A whole Valet of one test: private Postgres and Redis, engines and workers as processes, all in temporary folders.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use valet_stack::Stack;

use crate::api::Api;
use crate::bounds::{LOG_LINES_SHOWN, PORT_DRAWS, PORTS, START_MAX};
use crate::oracle::Oracle;
use crate::process::{Launch, Process, require};
use crate::redis_probe::RedisProbe;
use crate::stage::Stage;
use crate::wait::until;

/// Every queue that the tests' workflows use.
pub const QUEUES: &str = "bench,stage";

/// What a test wants.
#[derive(Clone, Debug)]
pub struct Shape {
    pub engines: usize,
    pub workers: usize,
    pub queues: String,
    /// Of each worker.
    pub slots: u32,
    pub log: &'static str,
    /// Of the first worker, the second, …; the others have none.
    pub labels: Vec<&'static str>,
    /// Of every process besides.
    pub environment: Vec<(&'static str, String)>,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            engines: 1,
            workers: 1,
            queues: QUEUES.to_owned(),
            slots: 16,
            log: "info",
            labels: Vec::new(),
            environment: Vec::new(),
        }
    }
}

/// Running parts. Dropped, everything ends; after a failure the ends of all logs are printed.
pub struct Cluster {
    pub engines: Vec<Process>,
    pub workers: Vec<Process>,
    pub stack: Stack,
    urls: Vec<String>,
    token: String,
    folder: TempDir,
    program: PathBuf,
    environment: Vec<(&'static str, String)>,
    shape: Shape,
}

impl Cluster {
    /// Starts the servers and all processes of the shape, and waits until every engine is ready and sees every worker.
    pub async fn start(program: &str, shape: Shape) -> Self {
        let mut cluster = Self::prepare(program, shape).await;
        for engine in &mut cluster.engines {
            engine.start();
            // One after another: the first makes the schema.
            cluster_ready(&cluster.urls, &cluster.token, engine).await;
        }
        for worker in &mut cluster.workers {
            worker.start();
        }
        cluster.workers_seen(cluster.workers.len()).await;
        cluster
    }

    /// Starts the servers only; processes are there to be started.
    async fn prepare(program: &str, shape: Shape) -> Self {
        valet::cli::install_tls();
        let program = PathBuf::from(program);
        require(&program);
        let stack = Stack::temporary(false).await.expect("the private servers start");
        let folder = tempfile::Builder::new().prefix("valet-test-").tempdir().expect("a temporary folder");
        for (name, prefix) in [("secret.key", ""), ("token", "vt_"), ("worker-token", "vw_")] {
            valet::secrets::ensure(&folder.path().join(name), prefix).expect("a secret is written");
        }
        let token = std::fs::read_to_string(folder.path().join("token")).expect("the token is there").trim().to_owned();
        let urls: Vec<String> = (0..shape.engines).map(|_| format!("http://127.0.0.1:{}", free_port())).collect();
        let mut environment = environment(&stack, folder.path(), &urls, shape.log);
        environment.extend(shape.environment.iter().cloned());
        let mut cluster =
            Self { engines: Vec::new(), workers: Vec::new(), stack, urls, token, folder, program, environment, shape };
        cluster.engines = (0..cluster.shape.engines).map(|index| Process::new(cluster.engine_launch(index))).collect();
        cluster.workers = (0..cluster.shape.workers).map(|index| Process::new(cluster.worker_launch(index))).collect();
        cluster
    }

    fn engine_launch(&self, index: usize) -> Launch {
        let listen = self.urls[index].trim_start_matches("http://").to_owned();
        self.launch(format!("engine-{index}"), vec!["engine".into(), "--migrate".into(), "--listen".into(), listen])
    }

    fn worker_launch(&self, index: usize) -> Launch {
        let name = format!("worker-{index}");
        let mut launch = self.launch(name.clone(), vec!["worker".into()]);
        launch.environment.extend([
            ("VALET_WORKER_NAME", name),
            ("VALET_QUEUES", self.shape.queues.clone()),
            ("VALET_SLOTS", self.shape.slots.to_string()),
        ]);
        launch.environment.extend(self.shape.labels.get(index).map(|labels| ("VALET_LABELS", (*labels).to_owned())));
        launch
    }

    fn launch(&self, name: String, arguments: Vec<String>) -> Launch {
        let (program, folder) = (self.program.clone(), self.folder.path().to_owned());
        Launch { name, program, arguments, environment: self.environment.clone(), folder }
    }

    /// What every process of this Valet is started with.
    pub fn environment(&self) -> &[(&'static str, String)] {
        &self.environment
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Of the engines.
    pub fn urls(&self) -> &[String] {
        &self.urls
    }

    /// The token that may do everything.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// A client that asks the engines in turn.
    pub fn api(&self) -> Api {
        Api::new(self.urls.clone(), &self.token)
    }

    /// A client of one engine.
    pub fn api_of(&self, engine: usize) -> Api {
        Api::new(vec![self.urls[engine].clone()], &self.token)
    }

    pub async fn oracle(&self) -> Oracle {
        Oracle::connect(self.stack.database_url()).await
    }

    pub fn redis(&self) -> RedisProbe {
        RedisProbe::new(self.stack.redis_url())
    }

    /// A new, closed stage.
    pub fn stage(&self, name: &str) -> Stage {
        Stage::create(self.folder.path().join(name))
    }

    /// Waits until an engine's `/readyz` says yes.
    pub async fn engine_ready(&mut self, engine: usize) {
        cluster_ready(&self.urls[engine..=engine], &self.token, &mut self.engines[engine]).await;
    }

    /// Starts an engine again and waits until it is ready.
    pub async fn restart_engine(&mut self, engine: usize) {
        if self.engines[engine].is_running() {
            self.engines[engine].kill().await;
        }
        self.engines[engine].start();
        self.engine_ready(engine).await;
    }

    /// Waits until so many live workers are known.
    pub async fn workers_seen(&self, count: usize) {
        let api = self.api();
        until(&format!("{count} workers"), START_MAX, async || match api.workers().await {
            Ok(workers) if workers.iter().filter(|worker| !worker.draining).count() >= count => Ok(()),
            Ok(workers) => Err(format!("{} are known", workers.len())),
            Err(error) => Err(error.to_string()),
        })
        .await;
    }

    fn print_logs(&self) {
        for process in self.engines.iter().chain(&self.workers) {
            eprintln!("---- the end of the log of {}:\n{}", process.name(), process.log_tail(LOG_LINES_SHOWN));
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.print_logs();
        }
    }
}

async fn cluster_ready(urls: &[String], token: &str, engine: &mut Process) {
    let api = Api::new(urls.to_vec(), token);
    let name = engine.name().to_owned();
    until(&format!("{name} to be ready"), START_MAX, async || {
        assert!(engine.is_running(), "{name} ended; its log:\n{}", engine.log_tail(LOG_LINES_SHOWN));
        let answer = api.readiness().await.map_err(|error| error.to_string())?;
        if answer.body.ready { Ok(()) } else { Err(format!("{:?}", answer.body)) }
    })
    .await;
}

fn environment(stack: &Stack, folder: &Path, urls: &[String], log: &str) -> Vec<(&'static str, String)> {
    let file = |name: &str| folder.join(name).display().to_string();
    vec![
        ("VALET_DATABASE_URL", stack.database_url().to_owned()),
        ("VALET_REDIS_URL", stack.redis_url().to_owned()),
        ("VALET_SECRET_KEY_FILE", file("secret.key")),
        ("VALET_TOKEN_FILE", file("token")),
        ("VALET_WORKER_TOKEN_FILE", file("worker-token")),
        ("VALET_FILES_DIR", file("files")),
        ("VALET_SANDBOX_DIR", file("sandboxes")),
        ("VALET_DATA_DIR", file("data")),
        ("VALET_URL", urls.join(",")),
        ("VALET_LOG", log.to_owned()),
    ]
}

/// Free now; whoever takes it first fails to listen and says so.
fn free_port() -> u16 {
    (0..PORT_DRAWS)
        .map(|_| rand::random_range(PORTS))
        .find(|&port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok())
        .expect("a free port on loopback")
}
