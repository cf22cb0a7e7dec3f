//! Queues and workers, as operators see them.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use valet_core::id::{RunId, SessionId};
use valet_protocol::api::{AtWorkView, QueueList, QueueView, WorkerList, WorkerView};

use super::auth::Caller;
use super::{App, Fault};
use crate::store::postgres::queries::AtWorkRecord;

/// Queues with their backlog and the workers that pull them.
#[utoipa::path(get, operation_id = "list_queues", path = "/api/v1/queues", tag = "operations", responses((status = 200, body = QueueList)))]
pub(super) async fn queues(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<QueueList>, Fault> {
    let records = app.engine.store.list_queues(&caller.tenant).await?;
    let queues = records
        .into_iter()
        .map(|q| QueueView {
            name: q.name,
            ready: q.ready as u64,
            running: q.running as u64,
            backing_off: q.backing_off as u64,
            workers: q.workers as u64,
            free_slots: q.free_slots as u64,
        })
        .collect();
    Ok(Json(QueueList { queues }))
}

fn at_work(step: AtWorkRecord) -> AtWorkView {
    let AtWorkRecord { run_id, seq, workflow, name, granted_at } = step;
    AtWorkView { run: RunId(run_id).to_string(), seq, workflow, name, granted_at }
}

/// Live workers that do steps of this tenant.
#[utoipa::path(get, operation_id = "list_workers", path = "/api/v1/workers", tag = "operations", responses((status = 200, body = WorkerList)))]
pub(super) async fn workers(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<WorkerList>, Fault> {
    let records = app.engine.store.list_workers(&caller.tenant, &caller.reach).await?;
    let workers = records
        .into_iter()
        .map(|w| WorkerView {
            session: SessionId(w.id).to_string(),
            name: w.name,
            queues: w.queues,
            slots: w.slots as u32,
            free_slots: w.free_slots as u32,
            running: w.running as u64,
            last_seen_at: w.seen_at,
            draining: w.draining,
            labels: w.labels,
            at_work: w.at_work.into_iter().map(at_work).collect(),
        })
        .collect();
    Ok(Json(WorkerList { workers }))
}
