//! `valet worker`: pulls steps from queues and runs them. `valet gate`: guards one browser's driver for it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use valet_core::placement::label_problem;
use valet_core::step::queue_of_host;
use valet_outward::{Outward, OutwardConfig};
use valet_queue::{ApalisRedis, ApalisRedisConfig, QueueError, QueueName, QueueNameError};
use valet_workers::browser::AgentLimits;
use valet_workers::direct::{Systems, SystemsConfig};
use valet_workers::gate::{self, BrowserKind, GateConfig, GateError, HostPort};
use valet_workers::runtime::{
    ConfigError, Drained, Handlers, Worker, WorkerConfig, WorkerError, WorkerToken, connect_trusting,
};
use valet_workers::sandbox::SandboxProvider;
use valet_workers::sandbox::fly::{FlyConfig, FlyProvider};
use valet_workers::sandbox::guarded::Guarded;
use valet_workers::sandbox::local::{LocalConfig, LocalProvider};
use valet_workers::sandbox::reaper::run_reaper;
use valet_workers::sandbox::reconcile::Reconciler;
use valet_workers::sandbox::rows::Whose;
use valet_workers::steps::job_application::{Browsers, Memory, register};
use valet_workers::steps::multi_scrape;
use valet_workers::vendor::Secret;
use valet_workflows::bench::Noop;
use valet_workflows::job_application::steps::BROWSER_QUEUE;

use crate::settings::{Settings, SettingsError, wrong};
use crate::tls;
use crate::tools;

/// Why a worker could not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum WorkerRoleError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error(transparent)]
    QueueName(#[from] QueueNameError),
    #[error(transparent)]
    Worker(#[from] WorkerError),
    #[error("the folder of sandboxes cannot be used")]
    Host(#[source] std::io::Error),
    #[error("this program's own path is not known: {0}")]
    OwnPath(#[source] std::io::Error),
}

/// How often a worker looks for what sandboxes left behind.
const REAP_EVERY: Duration = Duration::from_secs(30);
/// How often a worker compares what a provider has with what the engine knows; a sandbox that an operator kills is ended so soon.
const RECONCILE_EVERY: Duration = Duration::from_secs(10);
/// How often machines are made for the pool of a provider.
const POOL_EVERY: Duration = Duration::from_secs(30);
const POOL_MAX: u32 = 100;
/// Sandboxes on one machine, at most.
const SANDBOXES_MAX: u32 = 1_000;
/// A subject's inbox answers whether a code has come, in so long and no more.
const INBOX_ANSWER_WITHIN: Duration = Duration::from_secs(10);
const INBOX_ANSWER_BYTES_MAX: usize = 4 * 1024;

/// A worker as configured, with the browsers of its machine.
pub struct WorkerRole {
    worker: Worker,
    browsers: Option<Arc<LocalProvider>>,
    reconcilers: Vec<Reconciler>,
    pool: Option<(Arc<FlyProvider>, u32)>,
}

/// Which kind of browser this machine's runs get.
pub fn browser_kind(settings: &Settings) -> Result<BrowserKind, SettingsError> {
    match settings.text("worker.browser")? {
        "chromium" => Ok(BrowserKind::Chromium),
        "firefox" => Ok(BrowserKind::Firefox),
        other => Err(wrong("worker.browser", format!("`{other}` is neither `chromium` nor `firefox`"))),
    }
}

/// The browsers of this machine.
fn browsers(settings: &Settings) -> Result<LocalProvider, WorkerRoleError> {
    let mut local = local_browsers(settings, browser_kind(settings)?, &settings.path("worker.sandbox_dir")?)?;
    local.max_sandboxes = Some(settings.number("worker.sandboxes", 1, SANDBOXES_MAX)?);
    Ok(LocalProvider::new(local))
}

/// Browsers of a kind with their folders in this one.
pub fn local_browsers(settings: &Settings, kind: BrowserKind, root: &Path) -> Result<LocalConfig, WorkerRoleError> {
    let own = std::env::current_exe().map_err(WorkerRoleError::OwnPath)?;
    let gate_command = vec![own.display().to_string(), "gate".to_owned()];
    let mut local = LocalConfig::new(absolute(root), gate_command);
    local.kind = kind;
    let (browser, driver) = match local.kind {
        BrowserKind::Chromium => ("browser.chromium", "browser.chromedriver"),
        BrowserKind::Firefox => ("browser.firefox", "browser.geckodriver"),
    };
    local.browser = tools::find(&settings.path(browser)?);
    local.driver = tools::find(&settings.path(driver)?);
    local.xvfb = tools::find(&settings.path("browser.xvfb")?);
    Ok(local)
}

/// The handlers of all steps that Valet ships, beside those of the program itself.
fn handlers(
    settings: &Settings,
    own_handlers: Handlers,
    provider: &Arc<dyn SandboxProvider>,
    machines: Option<Arc<dyn SandboxProvider>>,
    host: &str,
) -> Result<Handlers, WorkerRoleError> {
    let allow_private = allowed_places(settings)?;
    let systems = Systems::new(&SystemsConfig {
        greenhouse_url: settings.text("greenhouse.url")?.to_owned(),
        greenhouse_keys: keys(settings, "greenhouse.keys")?,
        lever_url: settings.text("lever.url")?.to_owned(),
        lever_keys: keys(settings, "lever.keys")?,
        recruitee_url: settings.text("recruitee.url")?.to_owned(),
        opened: allow_private.clone(),
        authorities: tls::authorities(settings)?,
    });
    let outward = Outward::new(OutwardConfig {
        opened: allow_private.clone(),
        authorities: tls::authorities(settings)?,
        time_max: INBOX_ANSWER_WITHIN,
        body_bytes_max: INBOX_ANSWER_BYTES_MAX,
        redirects_max: 0,
        ..OutwardConfig::default()
    });
    let browsers = Arc::new(Browsers {
        provider: Arc::clone(provider),
        host: host.to_owned(),
        headed: tools::find(&settings.path("browser.xvfb")?).is_file(),
        paced: settings.flag("worker.human_pace")?,
        keeps_states: settings.flag("worker.site_states")?,
        allow_private,
        fly: machines,
        systems,
        memory: Memory::at(absolute(&settings.path("worker.sandbox_dir")?).with_file_name("learned")),
        outward,
        limits: AgentLimits::default(),
    });
    let handlers = multi_scrape::register(register(own_handlers, &browsers), &browsers);
    Ok(handlers.on(|_, step: Noop| async move {
        if step.ms > 0 {
            tokio::time::sleep(Duration::from_millis(step.ms)).await;
        }
        Ok(step.n)
    }))
}

/// Private places that may be reached.
fn allowed_places(settings: &Settings) -> Result<Vec<HostPort>, SettingsError> {
    let places = settings.list("door.allow_hosts")?;
    let places: Result<Vec<HostPort>, _> = places.iter().map(|place| place.parse()).collect();
    places.map_err(|_| wrong("door.allow_hosts", "every place is `host:port`, separated by commas".to_owned()))
}

/// Machines at Fly, where there is an account.
fn fly(settings: &Settings) -> Result<Option<Arc<FlyProvider>>, WorkerRoleError> {
    let Some(token) = settings.find("fly.token") else { return Ok(None) };
    let (app, image) = (settings.text("fly.app")?.to_owned(), settings.text("fly.image")?.to_owned());
    let mut config = FlyConfig::new(Secret::new(token), app, image);
    settings.text("fly.url")?.clone_into(&mut config.url);
    config.regions = settings.list("fly.regions")?;
    config.live_view = settings.find("fly.live_view").map(ToOwned::to_owned);
    config.opened = allowed_places(settings)?;
    config.authorities = tls::authorities(settings)?;
    Ok(Some(Arc::new(FlyProvider::new(config))))
}

/// `name=key,…`. What is wrong is told without a key.
fn keys(settings: &Settings, key: &'static str) -> Result<BTreeMap<String, Secret>, SettingsError> {
    let given: Vec<&str> = settings.find(key).unwrap_or_default().split(',').map(str::trim).collect();
    let given = given.into_iter().filter(|pair| !pair.is_empty());
    given
        .map(|pair| match pair.split_once('=') {
            Some((name, held)) if !name.is_empty() && !held.is_empty() => Ok((name.to_owned(), Secret::new(held))),
            _ => Err(wrong(key, "is not `name=key,…`".to_owned())),
        })
        .collect()
}

/// What steps may require of the worker; one that no step can require is a mistake.
fn labels(settings: &Settings) -> Result<BTreeMap<String, String>, SettingsError> {
    let bad = |why: String| wrong("worker.labels", why);
    let read = |text: String| {
        let (name, value) = text.split_once('=').ok_or_else(|| bad(format!("`{text}` is not `label=value`")))?;
        match label_problem(name, value) {
            Some(problem) => Err(bad(problem)),
            None => Ok((name.to_owned(), value.to_owned())),
        }
    };
    settings.list("worker.labels")?.into_iter().map(read).collect()
}

/// A worker as configured, ready to run.
pub fn build(settings: &Settings, urls: &str, own_handlers: Handlers) -> Result<WorkerRole, WorkerRoleError> {
    let mut redis = ApalisRedisConfig::new(settings.text("redis.url")?);
    settings.text("redis.prefix")?.clone_into(&mut redis.prefix);
    let tickets = ApalisRedis::new(redis)?;
    let token = WorkerToken::new(settings.secret_file("tokens.worker_file")?);
    let mut queues =
        settings.list("worker.queues")?.iter().map(|name| QueueName::new(name)).collect::<Result<Vec<_>, _>>()?;
    let provider = Arc::new(browsers(settings)?);
    // A worker without browsers needs no folder for them.
    let browses = queues.iter().any(|queue| queue.as_str() == BROWSER_QUEUE);
    let mut host = String::new();
    if browses {
        host = provider.host_id().map_err(WorkerRoleError::Host)?;
        // Steps of browsers that run on this machine.
        queues.push(QueueName::new(&queue_of_host(BROWSER_QUEUE, &host))?);
    }
    let slots = settings.number("worker.slots", 1, 4096)?;
    let mut config = WorkerConfig::new(settings.text("worker.name")?, queues, slots);
    config.labels = labels(settings)?;
    config.hand_over = settings.flag("worker.hand_over")?;
    let guarded: Arc<dyn SandboxProvider> = Arc::new(Guarded::new(Arc::clone(&provider)));
    let fly = fly(settings)?;
    let machines = fly.as_ref().map(|fly| Arc::new(Guarded::new(Arc::clone(fly))) as Arc<dyn SandboxProvider>);
    let handlers = handlers(settings, own_handlers, &guarded, machines.clone(), &host)?;
    let worker = Worker::new(
        config,
        handlers,
        connect_trusting(urls, &token, &tls::client_authorities(settings)?)?,
        Arc::new(tickets),
    )?;
    let pool_size = settings.number("fly.pool", 0, POOL_MAX)?;
    let pool = fly.filter(|_| browses && pool_size > 0).map(|fly| (fly, pool_size));
    let here = Whose::here(guarded.as_ref(), &host);
    let anywhere = machines.map(|machines| (Whose::anywhere(machines.as_ref()), machines));
    let all = [(here, guarded)].into_iter().chain(anywhere).filter(|_| browses);
    let reconcilers = all.map(|(whose, provider)| Reconciler::new(provider, worker.desk(), whose)).collect();
    Ok(WorkerRole { worker, browsers: browses.then_some(provider), reconcilers, pool })
}

impl WorkerRole {
    /// Runs until `shutdown`, then drains. Meanwhile what sandboxes of this machine left behind is ended.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<Drained, WorkerRoleError> {
        let reaping =
            self.browsers.map(|browsers| tokio::spawn(run_reaper(browsers, REAP_EVERY, std::future::pending())));
        let reconciling =
            self.reconcilers.into_iter().map(|one| tokio::spawn(async move { one.run(RECONCILE_EVERY).await }));
        let filling = self.pool.map(|(fly, size)| tokio::spawn(keep_pool(fly, size)));
        let beside: Vec<_> = reaping.into_iter().chain(reconciling).chain(filling).collect();
        let drained = self.worker.run(shutdown).await;
        for beside in beside {
            // What it is at, the next one finishes.
            beside.abort();
        }
        Ok(drained?)
    }
}

/// Until it is dropped.
async fn keep_pool(fly: Arc<FlyProvider>, size: u32) {
    loop {
        if let Err(error) = fly.fill_pool(size).await {
            tracing::warn!(%error, "the pool of machines at Fly is filled later");
        }
        tokio::time::sleep(POOL_EVERY).await;
    }
}

/// Runs until `shutdown`, then drains.
pub async fn run(
    settings: &Settings,
    own_handlers: Handlers,
    shutdown: impl Future<Output = ()>,
) -> Result<Drained, WorkerRoleError> {
    build(settings, settings.text("client.url")?, own_handlers)?.run(shutdown).await
}

/// Runs the gate of one sandbox until its lease ends or it is told to.
pub async fn run_gate(config: &Path) -> Result<(), GateError> {
    gate::run(GateConfig::read(config)?).await
}

/// The gate works in another folder than its worker.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}
