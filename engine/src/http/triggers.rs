//! Triggers from Redis: the door of `POST /workflows/{name}/runs`, without HTTP.
//!
//! A trigger is the route's body with `workflow` and `idempotency_key`. It belongs to its producer until
//! `triggers:result:<key>` names a run or an error; producers repeat it until then, so that nothing is lost with Redis.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::time::Instant;
use valet_protocol::api::StartRunRequest;
use valet_queue::{QueueError, TriggerSource};

use super::{App, Fault, body, key, workflows};
use crate::access::Reach;
use crate::audit::Deed;
use crate::bounds::REQUEST_BYTES_MAX;
use crate::engine::Started;

/// Triggers started at once by one engine; their starts share commits.
const AT_ONCE_MAX: usize = 64;
/// Pause before what could not be stored, or not be told, is tried again.
const PAUSE: Duration = Duration::from_secs(1);
/// Times that a start is tried while a part is away or busy.
const STARTS_MAX: u32 = 60;
/// Times that a result is told anew before it is left to the producer's repeat.
const TELL_MAX: u32 = 60;
/// How often is looked for what dead engines took.
const ADOPT_EVERY: Duration = Duration::from_secs(10);
/// Who starts what comes this way: whoever can write to Redis.
const TENANT: &str = "default";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Trigger {
    workflow: String,
    idempotency_key: String,
    input: Value,
    #[serde(default)]
    subject: Option<String>,
    #[serde(default)]
    plan: Option<String>,
    #[serde(default)]
    attributes: Map<String, Value>,
    #[serde(default)]
    timeout_seconds: Option<u32>,
    #[serde(default)]
    budget_usd_micros: Option<u64>,
}

/// Starts what producers push, until it is dropped.
pub async fn run(app: Arc<App>, source: Arc<dyn TriggerSource>) {
    let mut adopted: Option<Instant> = None;
    let mut away = false;
    loop {
        let taken = async {
            if adopted.is_none_or(|at| at.elapsed() > ADOPT_EVERY) {
                source.adopt().await?;
                adopted = Some(Instant::now());
            }
            source.take().await
        };
        match taken.await {
            Ok(triggers) => {
                away = false;
                let handled = triggers.into_iter().map(|trigger| handle(&app, source.as_ref(), trigger));
                futures::stream::iter(handled).buffer_unordered(AT_ONCE_MAX).collect::<Vec<()>>().await;
            }
            Err(error) => {
                if !std::mem::replace(&mut away, true) {
                    tracing::warn!(%error, "triggers cannot be read; producers keep them");
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn handle(app: &App, source: &dyn TriggerSource, trigger: Vec<u8>) {
    let (key, outcome) = start(app, &trigger).await;
    let result = match &outcome {
        Ok((run, created)) => json!({ "run": run, "created": created }),
        Err(fault) => json!({ "error": fault.problem() }),
    };
    let counted = if outcome.is_ok() { "started" } else { "refused" };
    metrics::counter!("valet_triggers_total", "result" => counted).increment(1);
    let result = result.to_string();
    let note = outcome.err().map(|fault| {
        tracing::warn!(code = fault.problem().code, key, "a trigger was refused");
        json!({ "code": fault.problem().code, "key": key }).to_string()
    });
    for _ in 0..TELL_MAX {
        if tell(source, &trigger, key.as_deref(), &result, note.as_deref()).await.is_ok() {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
    tracing::warn!(key, "what came of a trigger could not be told; its producer will repeat it");
}

async fn tell(
    source: &dyn TriggerSource,
    trigger: &[u8],
    key: Option<&str>,
    result: &str,
    note: Option<&str>,
) -> Result<(), QueueError> {
    match note {
        None => source.settle(trigger, key, result).await,
        Some(note) => source.refuse(trigger, key, result, note).await,
    }
}

/// The key, if there is a usable one, and what came of the trigger.
async fn start(app: &App, bytes: &[u8]) -> (Option<String>, Result<(String, bool), Fault>) {
    if bytes.len() > REQUEST_BYTES_MAX {
        return (None, Err(body::too_large()));
    }
    let trigger: Trigger = match body::read(bytes) {
        Ok(trigger) => trigger,
        Err(fault) => return (None, Err(fault)),
    };
    let key = match key::checked(&trigger.idempotency_key) {
        Ok(key) => key,
        Err(fault) => return (None, Err(fault.at("idempotency_key"))),
    };
    let Trigger { workflow, input, subject, plan, attributes, timeout_seconds, budget_usd_micros, .. } = trigger;
    let request = StartRunRequest { input, subject, plan, attributes, timeout_seconds, budget_usd_micros };
    let mut tries = 0;
    loop {
        tries += 1;
        let asked =
            workflows::checked(app, TENANT, &Reach::default(), &workflow, Some(key.clone()), request.clone()).await;
        let started = match asked {
            Ok(start) => app.engine.start_run(Deed::queued(TENANT), start).await.map_err(Fault::from),
            Err(fault) => Err(fault),
        };
        match started {
            Ok(Started::Created(run)) => return (Some(key), Ok((run.to_string(), true))),
            Ok(Started::Existing(run)) => return (Some(key), Ok((run.to_string(), false))),
            // Not the trigger's fault. A long outage is told to the producer, who repeats it.
            Err(fault) if fault.is_passing() && tries < STARTS_MAX => tokio::time::sleep(PAUSE).await,
            Err(fault) => return (Some(key), Err(fault)),
        }
    }
}
