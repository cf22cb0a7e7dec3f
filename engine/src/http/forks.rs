//! A new run that begins with what another has done.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use valet_core::command::StartRun;
use valet_core::decide::{Fork, kept};
use valet_core::id::RunId;
use valet_core::payload::Payload;
use valet_core::workflow::InputProblem;
use valet_protocol::api::{ForkRequest, RunForked, StartRunRequest};
use valet_protocol::problem::Problem;

use super::auth::Caller;
use super::body::Body;
use super::doing::Doing;
use super::{App, Fault, key, runs, subjects, workflows};
use crate::access::Reach;
use crate::engine::Started;
use crate::store::postgres::queries::RunRecord;
use crate::store::{Loaded, RunStore as _};

/// Starts a run that keeps the first entries of another's journal: the results are copied, what that run has to clean,
/// its tokens, messages and children are not. The same `Idempotency-Key` and body answer the first fork with 200.
#[utoipa::path(post, operation_id = "fork_run", path = "/api/v1/runs/{id}/fork", tag = "runs", request_body = ForkRequest,
    params(("id" = String, Path), ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 201, body = RunForked), (status = 200, body = RunForked), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(super) async fn fork(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    doing: Doing,
    Path(id): Path<String>,
    headers: HeaderMap,
    Body(request): Body<ForkRequest>,
) -> Result<Response, Fault> {
    let record = runs::find(&app, &caller, &id).await?;
    let from = RunId(record.id);
    let key = key::read(&headers)?.map(|key| workflows::idempotency_key(key, &(from, &request))).transpose()?;
    let (start, entry_kept) = fork_of(&app, (&caller.name, &caller.reach), record, request).await?;
    let start = StartRun { idempotency: key, ..start };
    let (run, status) = match app.engine.start_run(doing.on(""), start).await? {
        Started::Created(run) => (run, StatusCode::CREATED),
        Started::Existing(run) => (run, StatusCode::OK),
    };
    let created = status == StatusCode::CREATED;
    Ok((status, Json(RunForked { id: run.to_string(), created, entry: entry_kept })).into_response())
}

/// What starts a fork of this run, by whom, within what reach; and how many entries it keeps.
pub(super) async fn fork_of(
    app: &App,
    (by, reach): (&str, &Reach),
    record: RunRecord,
    request: ForkRequest,
) -> Result<(StartRun, u32), Fault> {
    let from = RunId(record.id);
    let Some((_, Loaded::Live(stored) | Loaded::Ended(stored))) = app.engine.store.load(&[from]).await?.pop() else {
        return Err(Fault::not_found("run", format!("there is no run {from}")).at("id"));
    };
    let ForkRequest { entry, input, repeat_effects } = request;
    let has_input = input.is_some();
    let start = start(app, reach, record, entry, input).await?;
    let input = has_input.then(|| start.input.clone());
    let entry_kept = kept(&stored.chunks, entry);
    let (chunks, build) = (stored.chunks.into(), stored.build);
    let fork = Fork { from, chunks, build, by: by.to_owned(), entry, input, repeat_effects };
    Ok((StartRun { fork: Some(Box::new(fork)), ..start }, entry_kept))
}

/// As the other run was started. One that begins anew may have another input, which is checked like any.
async fn start(
    app: &App,
    reach: &Reach,
    record: RunRecord,
    entry: u32,
    input: Option<serde_json::Value>,
) -> Result<StartRun, Fault> {
    let RunRecord { tenant, subject, workflow, plan, attributes, .. } = record;
    subjects::refuse_erasing(app, &tenant, &subject, "id").await?;
    let Some(input) = input else {
        return Ok(StartRun {
            attributes: attributes.0,
            ..StartRun::new(tenant, subject, workflow, plan, Payload::null())
        });
    };
    if entry > 0 {
        let message =
            "only a fork that keeps no entry may have another input: give entry 0, or leave it out".to_owned();
        return Err(Fault::invalid_input(vec![InputProblem { field: "/input".to_owned(), message }]));
    }
    let (subject, plan) = (Some(subject), Some(plan));
    let request = StartRunRequest { input, subject, plan, attributes: attributes.0, ..StartRunRequest::default() };
    workflows::checked(app, &tenant, reach, &workflow, None, request).await
}
