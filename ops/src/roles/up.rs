//! `valet up`: private Postgres and Redis, an engine, a worker and the local job board on this machine, and one real
//! application filed in a real browser.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use valet_board::{Board, BoardConfig, BoardError, FormKind};
use valet_protocol::api::StartRunRequest;
use valet_stack::{Provide, Stack, StackConfig, StackError};
use valet_workers::runtime::Drained;

use super::asked_to_stop;
use super::engine::{self, EngineRoleError, RunningEngine};
use super::worker::{self, WorkerRoleError};
use crate::cli::client::Client;
use crate::cli::progress::{FollowEnd, follow, show_result};
use crate::cli::{CliError, ClientConfig, Exit, Output};
use crate::hooks;
use crate::registry::Registry;
use crate::secrets;
use crate::settings::{Announcement, Settings, SettingsError};
use crate::tls;

/// The sample application, and its résumé.
const SAMPLE: &str = include_str!("../../../workflows/examples/job-application.json");
const RESUME: &[u8] = include_bytes!("../../sample/resume.pdf");
/// How long the worker may take to end its steps.
const WORKER_STOP_MAX: Duration = Duration::from_secs(40);

/// Options of `valet up`.
#[derive(Args)]
pub struct UpCommand {
    /// End after the application; exit code 0 if it succeeded
    #[arg(long)]
    once: bool,
    /// Start without filing an application
    #[arg(long, conflicts_with = "once")]
    no_application: bool,
    /// Pause everything before anything is granted, until `valet resume engine`
    #[arg(long, conflicts_with = "once")]
    start_paused: bool,
    /// Which of the board's forms; `steps`, `check`, `code` and `login` ask a person
    #[arg(long, default_value = "simple", value_parser = clap::builder::PossibleValuesParser::new(forms()))]
    form: String,
    /// Seed of the form; another one every time if not given
    #[arg(long)]
    seed: Option<u32>,
}

fn forms() -> impl Iterator<Item = &'static str> {
    FormKind::ALL.into_iter().map(FormKind::as_str)
}

/// Why `valet up` ended.
#[derive(Debug, thiserror::Error)]
enum UpError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("{0}")]
    Stack(#[from] StackError),
    #[error(transparent)]
    Engine(#[from] EngineRoleError),
    #[error(transparent)]
    Worker(#[from] WorkerRoleError),
    #[error("the local job board: {0}")]
    Board(#[from] BoardError),
    #[error("{path} cannot be made: {source}")]
    Secret { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Cli(#[from] CliError),
    #[error("the sample application is not JSON: {0}")]
    Sample(#[from] serde_json::Error),
}

/// Runs until Ctrl-C, or with `--once` until the application ended.
pub async fn run(command: UpCommand, mut settings: Settings, registry: Registry) -> u8 {
    let output = Output::detect(false);
    match up(&command, &mut settings, registry, &output).await {
        Ok(exit) => exit.code(),
        Err(error) => {
            output.note(&format!("error: {error}"));
            2
        }
    }
}

async fn up(
    command: &UpCommand,
    settings: &mut Settings,
    registry: Registry,
    output: &Output,
) -> Result<Exit, UpError> {
    if command.start_paused {
        settings.set("engine.start_paused", "true".to_owned());
    }
    let started = Instant::now();
    let parts = Parts::start(settings, registry, output).await?;
    output.note(&format!("everything runs after {:.1} s", started.elapsed().as_secs_f64()));
    // Nothing would be filed until somebody resumes.
    let filed = if command.no_application || settings.flag("engine.start_paused")? {
        Ok(Exit::Done)
    } else {
        tokio::select! {
            filed = parts.file_application(command, output) => filed,
            () = asked_to_stop() => Ok(Exit::Done),
        }
    };
    if !command.once && filed.is_ok() {
        parts.tell(settings, output)?;
        asked_to_stop().await;
        output.note("stopping");
    }
    parts.stop().await?;
    filed
}

/// What runs.
struct Parts {
    stack: Stack,
    board: Board,
    engine: RunningEngine,
    client: Client,
    stop_worker: watch::Sender<bool>,
    worker: JoinHandle<Result<Drained, WorkerRoleError>>,
    announcement: Announcement,
}

impl Parts {
    async fn start(settings: &mut Settings, registry: Registry, output: &Output) -> Result<Self, UpError> {
        let folder = settings.path("data.dir")?;
        let stack = Stack::start(StackConfig {
            postgres: provide(settings, "database.url"),
            redis: provide(settings, "redis.url"),
            ..StackConfig::new(&folder)
        })
        .await?;
        let versions = stack.versions();
        output.note(&format!("Postgres {} and Redis {} run", versions.postgres, versions.redis));
        settings.set("database.url", stack.database_url().to_owned());
        settings.set("redis.url", stack.redis_url().to_owned());
        make_secrets(settings)?;
        engine::migrate_database(settings).await?;

        let board = start_board(&folder).await?;
        let mut places = settings.list("door.allow_hosts")?;
        places.push(board.address().to_string());
        settings.set("door.allow_hosts", places.join(","));

        hooks::open_loopback(settings)?;

        let engine = start_engine(settings, registry.workflows).await?;
        settings.set("client.url", engine.url());
        let (stop_worker, mut stopping) = watch::channel(false);
        let worker = worker::build(settings, &engine.url(), registry.handlers)?;
        let worker = tokio::spawn(async move {
            let stop = async move {
                let _ = stopping.wait_for(|stop| *stop).await;
            };
            worker.run(stop).await
        });
        let announcement = settings.announce(&["client.url", "database.url", "redis.url", "door.allow_hosts"])?;
        let urls = ClientConfig::parse_urls(&engine.url()).map_err(CliError::usage)?;
        let token = Some(settings.secret_file("tokens.api_file")?);
        let authorities = tls::client_authorities(settings)?;
        let client = Client::trusting(ClientConfig { urls, token }, authorities).map_err(CliError::from)?;
        Ok(Self { stack, board, engine, client, stop_worker, worker, announcement })
    }

    /// Files the sample application on the board and shows it on its way.
    async fn file_application(&self, command: &UpCommand, output: &Output) -> Result<Exit, UpError> {
        let seed = command.seed.unwrap_or_else(rand::random);
        let job_url = format!("{}/jobs/{}/{seed}", self.board.base_url(), command.form);
        output.note(&format!("applying at {job_url}"));
        let resume =
            self.client.upload("resume.pdf", RESUME.to_vec(), Some("applicant-1")).await.map_err(CliError::from)?;
        let mut input: serde_json::Value = serde_json::from_str(SAMPLE)?;
        input["job_url"] = json!(job_url);
        input["documents"] = json!([{ "kind": "resume", "file": resume.id }]);
        let request = StartRunRequest { input, ..StartRunRequest::default() };
        let key = uuid::Uuid::new_v4().to_string();
        let started = self.client.start("job-application", &request, &key).await.map_err(CliError::from)?;
        let begun = Instant::now();
        let never = std::future::pending();
        match follow(&self.client, &started.id, output, never).await? {
            FollowEnd::Ended(run) => {
                let exit = show_result(output, &run)?;
                output.note(&format!("the application took {:.1} s", begun.elapsed().as_secs_f64()));
                Ok(exit)
            }
            FollowEnd::Stopped => Ok(Exit::Done),
        }
    }

    /// What a person needs to go on.
    fn tell(&self, settings: &Settings, output: &Output) -> Result<(), UpError> {
        let url = self.engine.url();
        let token = settings.text("tokens.api_file")?;
        let text = format!(
            "\n  console    {url}/console/\n  API        {url}/api/v1\n  document   {url}/api/v1/openapi.json\n  token      {token}\n  job board  {}\n\n  \
             valet runs      valet human      valet worker      valet doctor\n\n\
             Ctrl-C ends all servers. All data stay, and so do the browsers of runs that wait for a person.",
            self.board.base_url()
        );
        Ok(output.print(&text)?)
    }

    async fn stop(self) -> Result<(), UpError> {
        drop(self.announcement);
        self.stop_worker.send_replace(true);
        match tokio::time::timeout(WORKER_STOP_MAX, self.worker).await {
            Ok(Ok(Ok(_))) => {}
            Ok(Ok(Err(error))) => tracing::warn!(%error, "the worker ended badly"),
            Ok(Err(_)) | Err(_) => tracing::warn!("the worker did not end in time"),
        }
        self.engine.stop().await;
        self.board.stop().await?;
        self.stack.stop().await?;
        Ok(())
    }
}

fn provide(settings: &Settings, key: &str) -> Provide {
    settings.find(key).map_or(Provide::Private, |url| Provide::External(url.to_owned()))
}

fn make_secrets(settings: &Settings) -> Result<(), UpError> {
    for (key, prefix) in [
        ("secrets.key_file", ""),
        ("tokens.api_file", "vt_"),
        ("tokens.worker_file", "vw_"),
        ("hooks.webhook_secret_file", "wh_"),
    ] {
        let path = settings.path(key)?;
        secrets::ensure(Path::new(&path), prefix).map_err(|source| UpError::Secret { path, source })?;
    }
    Ok(())
}

/// At the address it had before, where that is free: a run that waits over a restart finds its site again.
async fn start_board(folder: &Path) -> Result<Board, UpError> {
    let kept = folder.join("board.address");
    let before = std::fs::read_to_string(&kept).ok().and_then(|text| text.trim().parse::<SocketAddr>().ok());
    let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let config = |bind| BoardConfig { state_file: Some(folder.join("board.jsonl")), ..BoardConfig::new(bind) };
    let board = match Board::start(config(before.filter(|at| at.ip().is_loopback()).unwrap_or(anywhere))).await {
        Err(BoardError::Bind { .. }) => Board::start(config(anywhere)).await?,
        started => started?,
    };
    if let Err(error) = secrets::replace(&kept, &board.address().to_string()) {
        tracing::warn!(%error, "the job board's address is not kept");
    }
    Ok(board)
}

/// On the configured address; where another program has it, on a free one.
async fn start_engine(settings: &Settings, registry: valet_core::Registry) -> Result<RunningEngine, UpError> {
    let wanted = settings.address("engine.listen")?;
    match engine::start(settings, registry.clone(), wanted).await {
        Err(EngineRoleError::Listen { address, source }) if source.kind() == std::io::ErrorKind::AddrInUse => {
            tracing::warn!(%address, "the address is taken; the engine serves on a free one");
            Ok(engine::start(settings, registry, SocketAddr::new(address.ip(), 0)).await?)
        }
        other => Ok(other?),
    }
}
