//! Several runs of one workflow in one request. Each is checked, started and refused for itself, as if it had come alone; their starts
//! share commits.

use std::collections::HashSet;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::{Extension, Json};
use futures::StreamExt as _;
use serde_json::Value;
use valet_protocol::api::{RunsStarted, StartRunResult, StartRunsRequest};
use valet_protocol::problem::Problem;

use super::auth::Caller;
use super::body::{Body, read_part};
use super::doing::Doing;
use super::workflows::{Found, checked_for, find};
use super::{App, Fault, key};
use crate::bounds::{BULK_AT_ONCE, BULK_RUNS_MAX};
use crate::engine::{StartError, Started};

/// Where an item's own key stands.
const KEY: &str = "/idempotency_key";

/// Starts 1 to 1,000 runs. One that is refused is named with its place and holds up no other. With an `Idempotency-Key` the request may be
/// repeated as a whole: runs without a key of their own then have one each.
#[utoipa::path(post, operation_id = "start_runs", path = "/api/v1/workflows/{name}/runs/bulk", tag = "runs", request_body = StartRunsRequest,
    params(("name" = String, Path), ("Idempotency-Key" = Option<String>, Header, description = "Up to 250 characters")),
    responses((status = 200, body = RunsStarted), (status = 400, body = Problem), (status = 404, body = Problem), (status = 413, body = Problem),
        (status = 422, body = Problem)))]
pub(super) async fn start_runs(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    doing: Doing,
    Path(name): Path<String>,
    headers: HeaderMap,
    Body(request): Body<StartRunsRequest>,
) -> Result<Json<RunsStarted>, Fault> {
    let count = request.runs.len();
    if !(1..=BULK_RUNS_MAX).contains(&count) {
        return Err(Fault::bad_request("invalid_count", format!("1 to {BULK_RUNS_MAX} runs at once")).at("/runs"));
    }
    let key_of_all = key::read(&headers)?;
    let found = find(&app, &caller.tenant, &caller.reach, &name).await?;
    let bulk = Bulk { app: &app, caller: &caller, doing: &doing, found };
    let mut keys = HashSet::new();
    let items = request.runs.into_iter().enumerate().map(|(place, run)| Item::read(place, run, key_of_all.as_deref()));
    // Of those with one key the first starts the run: the others come after it.
    let is_first =
        |item: &Item| item.key.as_ref().ok().and_then(Option::as_ref).is_none_or(|key| keys.insert(key.clone()));
    let (first, repeated): (Vec<Item>, Vec<Item>) = items.partition(is_first);
    let first = futures::stream::iter(first).map(|item| bulk.start(item)).buffer_unordered(BULK_AT_ONCE);
    let mut results: Vec<(usize, StartRunResult)> = first.collect().await;
    for item in repeated {
        results.push(bulk.start(item).await);
    }
    results.sort_by_key(|(place, _)| *place);
    let results: Vec<StartRunResult> = results.into_iter().map(|(_, result)| result).collect();
    let refused = results.iter().filter(|result| result.error.is_some()).count();
    Ok(Json(RunsStarted { results, refused: u32::try_from(refused).unwrap_or(u32::MAX) }))
}

/// One of the request's runs.
struct Item {
    place: usize,
    key: Result<Option<String>, Fault>,
    run: Value,
}

impl Item {
    fn read(place: usize, mut run: Value, key_of_all: Option<&str>) -> Self {
        let key = match run.as_object_mut().and_then(|run| run.remove("idempotency_key")) {
            Some(Value::String(key)) => key::checked(&key).map(Some),
            Some(_) => {
                Err(Fault::bad_request("invalid_idempotency_key", "use a string of 1 to 255 visible ASCII characters"))
            }
            None => key_of_all.map(|key| key::checked(&format!("{key}/{place}"))).transpose(),
        };
        Self { place, key: key.map_err(|fault| fault.at(KEY)), run }
    }
}

/// What all of a request have in common.
struct Bulk<'a> {
    app: &'a App,
    caller: &'a Caller,
    doing: &'a Doing,
    found: Found<'a>,
}

impl Bulk<'_> {
    async fn start(&self, item: Item) -> (usize, StartRunResult) {
        let place = item.place;
        let result = match self.try_start(item).await {
            Ok(started) => {
                let (run, created) = match started {
                    Started::Created(run) => (run, true),
                    Started::Existing(run) => (run, false),
                };
                StartRunResult { id: Some(run.to_string()), created: Some(created), error: None }
            }
            Err(fault) => {
                let error = fault.below(&format!("/runs/{place}")).into_problem();
                StartRunResult { error: Some(error), ..StartRunResult::default() }
            }
        };
        (place, result)
    }

    async fn try_start(&self, Item { key, run, .. }: Item) -> Result<Started, Fault> {
        let (key, request) = (key?, read_part(run)?);
        let Caller { tenant, reach, .. } = self.caller;
        let start = checked_for(self.app, tenant, reach, &self.found, key, request).await?;
        self.app.engine.start_run(self.doing.on(""), start).await.map_err(|error| match error {
            StartError::KeyTaken(_) => Fault::from(error).at(KEY),
            error => error.into(),
        })
    }
}
