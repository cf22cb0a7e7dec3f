//! Tells the outside what happens to runs and tasks: webhooks, commands. Notices are written with the commit that they
//! speak of and delivered afterwards, at least once, with growing pauses; each has an id by which repeats are told.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::SecondsFormat;
use futures::StreamExt as _;
use serde_json::{Value, json};

use crate::bounds::{NOTICE_WAIT_MAX, NOTICES_AT_ONCE_MAX};
use crate::store::postgres::PgStore;
use crate::store::postgres::notices::DueNotice;

/// How often is looked for notices, where there are listeners.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Longest error that is kept.
const ERROR_CHARS_MAX: usize = 400;

/// A way out. Implementations bound their own time as well.
#[async_trait]
pub trait Listener: Send + Sync {
    /// The name in the store: `webhook`, `command`.
    fn name(&self) -> &str;
    /// Delivers the document; an error is tried again later.
    async fn deliver(&self, notice: &DueNotice, document: &Value) -> Result<(), String>;
}

/// What a listener is given. Ids, states and what the workflow's author chose to say; no inputs, no answers.
/// `link` is the token of the notice's task.
pub fn document(notice: &DueNotice, link: Option<&str>) -> Value {
    let mut document = json!({
        "id": format!("notice_{}", notice.id.simple()),
        "kind": notice.kind,
        "at": notice.at.to_rfc3339_opts(SecondsFormat::Millis, true),
        "tenant": notice.tenant,
        "workflow": notice.workflow,
        "run": notice.run.to_string(),
        "attempt": notice.attempt,
    });
    if let Some(task) = notice.task {
        document["task"] = json!(task.to_string());
    }
    if let Some(link) = link {
        document["link"] = json!(link);
    }
    if let Some(data) = notice.data.as_ref().and_then(|data| data.read::<Value>().ok()) {
        document["data"] = data;
    }
    document
}

/// Delivers until it is dropped.
pub async fn run(store: Arc<PgStore>, listeners: Vec<Arc<dyn Listener>>) {
    if !store.has_listeners() {
        return;
    }
    let mut looks = tokio::time::interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        looks.tick().await;
        match store.due_notices().await {
            Ok(notices) => deliver_all(&store, &listeners, notices).await,
            Err(error) => tracing::warn!(%error, "notices cannot be read; they are tried again"),
        }
    }
}

async fn deliver_all(store: &PgStore, listeners: &[Arc<dyn Listener>], notices: Vec<DueNotice>) {
    let deliveries = notices.into_iter().map(|notice| async move {
        let Some(listener) = listeners.iter().find(|listener| listener.name() == notice.target) else { return };
        // Once the task is closed its link opens nothing.
        let open = notice.task.filter(|_| notice.kind != "human_task.closed");
        let link = open.map(|task| store.masters().link_token(task.0));
        let document = document(&notice, link.as_deref());
        let delivered = tokio::time::timeout(NOTICE_WAIT_MAX, listener.deliver(&notice, &document));
        let outcome = delivered.await.unwrap_or_else(|_| Err(format!("no answer within {} s", NOTICE_WAIT_MAX.as_secs())));
        let result = if outcome.is_ok() { "delivered" } else { "failed" };
        metrics::counter!("valet_notices_total", "target" => notice.target.clone(), "result" => result).increment(1);
        let error = outcome.err().map(|error| error.chars().take(ERROR_CHARS_MAX).collect::<String>().replace('\0', ""));
        if let Some(error) = &error {
            tracing::warn!(notice = %notice.id, run = %notice.run, kind = notice.kind, attempt = notice.attempt, error, "a notice was not delivered");
        }
        if let Err(error) = store.end_notice(notice.id, error.as_deref()).await {
            // It is delivered once more: listeners tell repeats by the id.
            tracing::warn!(%error, notice = %notice.id, "the end of a notice was not stored");
        }
    });
    futures::stream::iter(deliveries).buffer_unordered(NOTICES_AT_ONCE_MAX).collect::<Vec<()>>().await;
}
