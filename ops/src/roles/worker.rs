//! `valet worker`: pulls steps from queues and runs them.

use valet_queue::{ApalisRedis, ApalisRedisConfig, QueueError, QueueName, QueueNameError};
use valet_workers::runtime::{ConfigError, Drained, Handlers, Worker, WorkerConfig, WorkerError, WorkerToken, connect};
use valet_workflows::bench::Noop;

use crate::settings::{Settings, SettingsError};

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
}

/// The handlers of all steps that Valet ships.
pub fn handlers(settings: &Settings) -> Result<Handlers, SettingsError> {
    let _ = settings;
    Ok(Handlers::new().on(|_, step: Noop| async move { Ok(step.n) }))
}

/// A worker as configured, ready to run.
pub fn build(settings: &Settings, urls: &str, handlers: Handlers) -> Result<Worker, WorkerRoleError> {
    let mut redis = ApalisRedisConfig::new(settings.text("redis.url")?);
    settings.text("redis.prefix")?.clone_into(&mut redis.prefix);
    let tickets = ApalisRedis::new(redis)?;
    let token = WorkerToken::new(settings.secret_file("tokens.worker_file")?);
    let queues =
        settings.list("worker.queues")?.iter().map(|name| QueueName::new(name)).collect::<Result<Vec<_>, _>>()?;
    let slots = settings.number("worker.slots", 1, 4096)?;
    let config = WorkerConfig::new(settings.text("worker.name")?, queues, slots);
    Ok(Worker::new(config, handlers, connect(urls, &token)?, std::sync::Arc::new(tickets))?)
}

/// Runs until `shutdown`, then drains.
pub async fn run(settings: &Settings, shutdown: impl Future<Output = ()>) -> Result<Drained, WorkerRoleError> {
    let worker = build(settings, settings.text("client.url")?, handlers(settings)?)?;
    Ok(worker.run(shutdown).await?)
}
