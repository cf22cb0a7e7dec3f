//! Triggers that producers push into Redis: `LPUSH <prefix>:triggers <JSON>`.
//!
//! A trigger belongs to its producer until `<prefix>:triggers:result:<key>` names a run or an error; producers push the
//! same trigger again until then. So nothing here has to be exactly once: what an engine took and never settled goes back
//! to the list when the engine is gone, and the trigger's key keeps a second start from making a second run.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use redis::{Client, Script};

use crate::redis_queue::{Link, Request, open_client};
use crate::{ApalisRedisConfig, QueueError, QueueName, bounds};

/// Triggers taken by one call.
pub const TRIGGERS_MAX: usize = 128;
/// How long a call waits for the first trigger: also how often an idle engine says that it lives.
const TRIGGER_WAIT: Duration = Duration::from_secs(5);
/// An engine that said nothing for so long has died; what it took goes back.
const TAKER_LIFE: Duration = Duration::from_secs(30);
/// How long a producer can read what came of its trigger.
const RESULT_LIFE: Duration = Duration::from_hours(24);
/// Refused triggers that are kept for people, code and key only.
const REFUSED_MAX: usize = 1_000;

/// Where triggers come from. One per engine.
#[async_trait]
pub trait TriggerSource: Send + Sync {
    /// Waits some seconds for triggers and takes up to [`TRIGGERS_MAX`], oldest first; none is a normal answer.
    async fn take(&self) -> Result<Vec<Vec<u8>>, QueueError>;

    /// The trigger is dealt with: `result` is what its producer reads under `key`.
    async fn settle(&self, trigger: &[u8], key: Option<&str>, result: &str) -> Result<(), QueueError>;

    /// The trigger cannot be used. `note` names code and key, never the content; people find it in a bounded list.
    async fn refuse(&self, trigger: &[u8], key: Option<&str>, result: &str, note: &str) -> Result<(), QueueError>;

    /// Puts back what engines took that are gone.
    async fn adopt(&self) -> Result<u64, QueueError>;
}

/// Triggers in Redis, for one engine.
pub struct RedisTriggers {
    keys: Keys,
    taker: String,
    waits: Link,
    commands: Link,
    take: Script,
    settle: Script,
    adopt: Script,
}

struct Keys {
    waiting: String,
    taken: String,
    takers: String,
    refused: String,
    prefix: String,
}

impl fmt::Debug for RedisTriggers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisTriggers").field("taker", &self.taker).finish_non_exhaustive()
    }
}

impl RedisTriggers {
    /// `taker` names the engine; another name for each start.
    pub fn new(config: &ApalisRedisConfig, taker: &str) -> Result<Arc<Self>, QueueError> {
        let prefix = QueueName::new(&config.prefix).map_err(QueueError::Prefix)?;
        let client: Client = open_client(&config.url).map_err(QueueError::Address)?;
        let prefix = format!("{prefix}:triggers");
        Ok(Arc::new(Self {
            keys: Keys {
                taken: format!("{prefix}:taken:{taker}"),
                takers: format!("{prefix}:takers"),
                refused: format!("{prefix}:refused"),
                waiting: prefix.clone(),
                prefix,
            },
            taker: taker.to_owned(),
            waits: Link::new(client.clone(), TRIGGER_WAIT + bounds::COMMAND_LIMIT),
            commands: Link::new(client, config.command_limit),
            take: Script::new(include_str!("triggers/take.lua")),
            settle: Script::new(include_str!("triggers/settle.lua")),
            adopt: Script::new(include_str!("triggers/adopt.lua")),
        }))
    }

    async fn end(&self, trigger: &[u8], key: Option<&str>, result: &str, note: Option<&str>) -> Result<(), QueueError> {
        let Keys { taken, refused, prefix, .. } = &self.keys;
        let mut script = self.settle.prepare_invoke();
        script
            .key(taken)
            .key(key.map_or_else(String::new, |key| format!("{prefix}:result:{key}")))
            .key(refused)
            .arg(trigger)
            .arg(result)
            .arg(RESULT_LIFE.as_secs())
            .arg(note.unwrap_or_default())
            .arg(REFUSED_MAX - 1);
        self.commands.call(Request::Script(&script)).await
    }
}

#[async_trait]
impl TriggerSource for RedisTriggers {
    async fn take(&self) -> Result<Vec<Vec<u8>>, QueueError> {
        let Keys { waiting, taken, takers, prefix, .. } = &self.keys;
        // Known before it holds anything, so that what it holds is found when it dies.
        let mut script = self.take.prepare_invoke();
        script
            .key(waiting)
            .key(taken)
            .key(takers)
            .key(format!("{prefix}:alive:{}", self.taker))
            .arg(&self.taker)
            .arg(TAKER_LIFE.as_secs())
            .arg(TRIGGERS_MAX);
        let found: Vec<Vec<u8>> = self.commands.call(Request::Script(&script)).await?;
        if !found.is_empty() {
            return Ok(found);
        }
        let mut wait = redis::cmd("BLMOVE");
        wait.arg(waiting).arg(taken).arg("RIGHT").arg("LEFT").arg(TRIGGER_WAIT.as_secs());
        let first: Option<Vec<u8>> = self.waits.call(Request::Command(&wait)).await?;
        Ok(first.into_iter().collect())
    }

    async fn settle(&self, trigger: &[u8], key: Option<&str>, result: &str) -> Result<(), QueueError> {
        self.end(trigger, key, result, None).await
    }

    async fn refuse(&self, trigger: &[u8], key: Option<&str>, result: &str, note: &str) -> Result<(), QueueError> {
        self.end(trigger, key, result, Some(note)).await
    }

    async fn adopt(&self) -> Result<u64, QueueError> {
        let Keys { waiting, takers, prefix, .. } = &self.keys;
        let mut script = self.adopt.prepare_invoke();
        script.key(waiting).key(takers).arg(prefix).arg(TRIGGERS_MAX);
        self.commands.call(Request::Script(&script)).await
    }
}
