//! A run's journal as server-sent events, from any engine, resumed by `Last-Event-ID`.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::Stream;
use serde_json::Value;
use tokio::time::timeout;
use valet_core::id::RunId;
use valet_core::journal::{Chunk, Entry};
use valet_protocol::api::RunEvent;
use valet_protocol::problem::Problem;

use super::auth::Caller;
use super::places::Place;
use super::{App, Fault, mask, runs};
use crate::bounds::EVENT_POLL;
use crate::watches::Watch;

/// Chunks read at once.
const CHUNKS_MAX: u32 = 100;

/// Events of a run until it ends. Each has the id `revision.index`.
#[utoipa::path(get, operation_id = "stream_events", path = "/api/v1/runs/{id}/events", tag = "runs",
    params(("id" = String, Path), ("Last-Event-ID" = Option<String>, Header, description = "Resume after this event")),
    responses((status = 200, body = RunEvent, content_type = "text/event-stream"), (status = 404, body = Problem), (status = 429, body = Problem)))]
pub(super) async fn stream(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Fault> {
    let record = runs::find(&app, &caller, &id).await?;
    let after = headers.get("last-event-id").map(|v| read_id(v.to_str().unwrap_or_default())).transpose()?;
    if after.is_some_and(|(revision, _)| revision > record.revision as u32) {
        return Err(bad_id("this run has no such event yet"));
    }
    let place = app.places.take(&caller)?;
    let tail = Tail {
        watch: app.engine.routes.watch(RunId(record.id)),
        app,
        run: RunId(record.id),
        after: after.unwrap_or((0, 0)),
        waiting: Vec::new().into_iter(),
        ended: false,
        _place: place,
    };
    Ok(Sse::new(futures::stream::unfold(tail, next)).keep_alive(KeepAlive::default()))
}

struct Tail {
    app: Arc<App>,
    run: RunId,
    watch: Watch,
    /// The last event that was sent.
    after: (u32, u32),
    waiting: std::vec::IntoIter<RunEvent>,
    ended: bool,
    _place: Place,
}

async fn next(mut tail: Tail) -> Option<(Result<Event, Infallible>, Tail)> {
    loop {
        if let Some(event) = tail.waiting.next() {
            tail.after = (event.revision, event.index);
            let id = format!("{}.{}", event.revision, event.index);
            let event = Event::default().id(id).event("journal").json_data(&event).ok()?;
            return Some((Ok(event), tail));
        }
        if tail.ended {
            return None;
        }
        match tail.app.engine.store.journal_after(tail.run, tail.after.0.max(1), CHUNKS_MAX).await {
            Ok(chunks) => {
                let events = tail.unsent(&chunks);
                if !events.is_empty() {
                    tail.waiting = events.into_iter();
                    continue;
                }
                if tail.ended {
                    return None;
                }
            }
            // The stream outlives an outage: the client sees a pause.
            Err(error) => tracing::warn!(%error, "an event stream waits for the database"),
        }
        // Or for a moment: another engine may have changed it.
        let _ = timeout(EVENT_POLL, tail.watch.changed()).await;
    }
}

impl Tail {
    fn unsent(&mut self, chunks: &[Chunk]) -> Vec<RunEvent> {
        let mut events = Vec::new();
        for chunk in chunks {
            for (index, entry) in (1_u32..).zip(&chunk.entries) {
                self.ended |= matches!(entry, Entry::Ended);
                if (chunk.revision, index) > self.after {
                    let mut entry = serde_json::to_value(entry).unwrap_or_default();
                    hide_secret(&mut entry);
                    events.push(RunEvent { revision: chunk.revision, index, at: chunk.at, entry });
                }
            }
        }
        events
    }
}

/// A token opens what it names to whoever holds it: those who read along are not among them.
fn hide_secret(entry: &mut Value) {
    if let Some(secret) = entry.pointer_mut("/op/op/completion/secret") {
        *secret = mask::HIDDEN.into();
    }
}

fn read_id(text: &str) -> Result<(u32, u32), Fault> {
    let read = || {
        let (revision, index) = text.split_once('.')?;
        Some((revision.parse().ok()?, index.parse().ok()?))
    };
    read().ok_or_else(|| bad_id("an event's id is `revision.index`"))
}

fn bad_id(detail: &str) -> Fault {
    Fault::bad_request("invalid_event_id", detail).at("Last-Event-ID")
}
