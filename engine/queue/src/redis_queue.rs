//! The adapter on apalis and apalis-redis 1.0, hardened against what that pair was measured to do.
//!
//! How a ticket travels: [`push`] writes it in the layout of apalis-redis straight into `:active` and publishes; the
//! [`watch`] of each process hears that (or polls) and promises tickets to the puller's [`intake`]; the [`gate`], which
//! is the puller's apalis backend, lets its storage fetch as many as the caller waits for; the apalis worker's handler
//! puts them into the intake; and [`tidy`] removes every trace of those that the [`ledger`] says are acknowledged.
//!
//! Nothing of a ticket's work runs inside apalis: its handler returns at once, so a worker that dies with its connection
//! cancels nothing. [`pull`] starts the next one, under a new name, and returns to the queue what the old one fetched and
//! never delivered.

mod gate;
mod intake;
mod keys;
mod ledger;
mod link;
mod pull;
mod push;
mod tidy;
mod watch;
mod wire;

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use backon::ExponentialBuilder;
use redis::{Client, IntoConnectionInfo, Script, io::tcp::TcpSettings};

pub(crate) use self::link::{Link, Request};
use self::{keys::QueueKeys, watch::Watch};
use crate::{Epoch, QueueDepth, QueueError, QueueName, Ticket, TicketPull, TicketPush, TicketSource, bounds};

/// How to reach Redis, and the few things that differ between a deployment and a test.
#[derive(Clone)]
pub struct ApalisRedisConfig {
    /// `redis://[user:password@]host:port[/db]`, `redis+unix:///path`. It may hold a password, so it is never shown.
    pub url: String,
    /// First part of every key and channel; a name like a queue's.
    pub prefix: String,
    /// Bounds each push, depth or epoch call as a whole.
    pub command_limit: Duration,
    /// How often a puller tells Redis that it lives. In whole seconds, at least one.
    pub heartbeat: Duration,
    /// After so many missed heartbeats other pullers of the queue take its tickets back.
    pub heartbeats_missed: u32,
}

impl ApalisRedisConfig {
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            prefix: "valet".to_owned(),
            command_limit: bounds::COMMAND_LIMIT,
            heartbeat: bounds::HEARTBEAT,
            heartbeats_missed: bounds::HEARTBEATS_MISSED,
        }
    }
}

impl fmt::Debug for ApalisRedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApalisRedisConfig").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// The ticket queue in Redis. Clones share their connections: one for pushing, one for all pullers of the process, and
/// one for wake-ups.
#[derive(Clone)]
pub struct ApalisRedis {
    inner: Arc<Inner>,
}

struct Inner {
    config: ApalisRedisConfig,
    client: Client,
    commands: Link,
    pulls: Arc<Link>,
    watch: Arc<Watch>,
    epoch: Script,
}

impl ApalisRedis {
    /// Checks the configuration. Nothing is connected before it is needed.
    pub fn new(config: ApalisRedisConfig) -> Result<Self, QueueError> {
        QueueName::new(&config.prefix).map_err(QueueError::Prefix)?;
        let client = open_client(&config.url).map_err(QueueError::Address)?;
        let inner = Inner {
            commands: Link::new(client.clone(), config.command_limit),
            pulls: Arc::new(Link::new(client.clone(), bounds::PULL_ANSWER_LIMIT)),
            watch: Arc::new(Watch::new()),
            epoch: Script::new(include_str!("redis_queue/scripts/epoch.lua")),
            client,
            config,
        };
        Ok(Self { inner: Arc::new(inner) })
    }
}

pub(crate) fn open_client(url: &str) -> Result<Client, redis::RedisError> {
    let settings = TcpSettings::default()
        // Without it a command that follows another waits for the delayed ACK of the first, 40 ms.
        .set_nodelay(true);
    Client::open(url.into_connection_info()?.set_tcp_settings(settings))
}

/// The pauses between attempts to get back to Redis: bounded, growing, and spread so that workers do not come in step.
fn restart_delays() -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_min_delay(bounds::RESTART_MIN)
        .with_max_delay(bounds::RESTART_MAX)
        .with_jitter()
        .without_max_times()
}

impl Inner {
    fn keys(&self, queue: &QueueName) -> QueueKeys {
        QueueKeys::new(&self.config.prefix, queue, self.config.heartbeat, self.config.heartbeats_missed)
    }
}

#[async_trait]
impl TicketPush for ApalisRedis {
    async fn push(&self, batch: &[(QueueName, Vec<Ticket>)]) -> Result<Vec<QueueDepth>, QueueError> {
        push::push(&self.inner, batch).await
    }

    async fn depths(&self, queues: &[QueueName]) -> Result<Vec<QueueDepth>, QueueError> {
        push::depths(&self.inner, queues).await
    }

    async fn epoch(&self) -> Result<Epoch, QueueError> {
        let mut script = self.inner.epoch.prepare_invoke();
        script.key(keys::epoch_key(&self.inner.config.prefix)).arg(format!("{:032x}", rand::random::<u128>()));
        let value: String = self.inner.commands.call(Request::Script(&script)).await?;
        Ok(Epoch::new(value))
    }
}

impl TicketSource for ApalisRedis {
    fn open(&self, queue: &QueueName) -> Box<dyn TicketPull> {
        Box::new(pull::Puller::open(&self.inner, queue))
    }
}

#[cfg(test)]
mod tests {
    use backon::BackoffBuilder as _;

    use super::restart_delays;

    #[test]
    fn workers_do_not_come_back_in_step() {
        let [one, other] = [(); 2].map(|()| restart_delays().build().take(5).collect::<Vec<_>>());
        assert_ne!(one, other);
    }
}
