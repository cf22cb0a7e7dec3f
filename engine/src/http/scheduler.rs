//! Starts what schedules are due for, through the door of `POST /workflows/{name}/runs`.
//!
//! A look asks the store what is due, plans (`schedule::plan`), and has the plan carried out: one statement moves the schedule's next
//! instant and notes what becomes of those before it, with the id of each run that is to be started. Only then are those runs started, by
//! their ids. Whoever dies in between leaves them to any engine; whoever comes late finds the schedule moved, or the run there.
//! What events were to start, and whom they were to wake, is taken on the same way.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use valet_core::command::Command;
use valet_core::id::RunId;
use valet_crash_points::crash_point;
use valet_protocol::api::StartRunRequest;

use super::{App, Fault, pushed_events, workflows};
use crate::access::Reach;
use crate::audit::Deed;
use crate::bounds::{FIRE_LEFT_AFTER, FIRES_AT_ONCE, SCHEDULE_LOOK_BUSY, SCHEDULE_LOOK_EVERY, SCHEDULE_LOOK_UNUSED};
use crate::schedule::plan;
use crate::store::postgres::schedules::{FireToStart, Settled};
use crate::store::{RunStore as _, StoreError};

/// Who cancels the run that a later instant takes the place of.
const SCHEDULER: &str = "schedule";
/// Rounds of one look; then the loop takes a breath.
const ROUNDS_MAX: u32 = 50;

/// Looks, until it is dropped.
pub async fn run(app: Arc<App>) {
    loop {
        let wait = match look(&app).await {
            Ok(wait) => wait,
            Err(error) => {
                tracing::warn!(%error, "schedules are looked at again");
                SCHEDULE_LOOK_BUSY
            }
        };
        // Either way it is time for the next look.
        let _ = tokio::time::timeout(wait, app.schedules.notified()).await;
    }
}

/// One look; answers how long nothing is due.
pub async fn look(app: &App) -> Result<Duration, StoreError> {
    let store = &app.engine.store;
    let mut next = store.next_schedule(FIRE_LEFT_AFTER).await?;
    let most = match (next.was_left, next.due_in()) {
        (true, _) => SCHEDULE_LOOK_BUSY,
        (false, Some(_)) => SCHEDULE_LOOK_EVERY,
        (false, None) => SCHEDULE_LOOK_UNUSED,
    };
    if next.bulk {
        // Perhaps its engine is no more.
        app.bulk.notify_one();
    }
    if next.was_left {
        let left = store.left_fires(FIRE_LEFT_AFTER).await?;
        start_all(app, left, true).await?;
        pushed_events::start_left(app).await?;
        pushed_events::tell_left(app).await?;
    }
    for _ in 0..ROUNDS_MAX {
        let due_in = next.due_in().unwrap_or(most);
        if !due_in.is_zero() && !next.waits {
            return Ok(due_in.min(most));
        }
        if !advance(app).await? {
            // All that there is waits for some run to end.
            return Ok(if due_in.is_zero() { SCHEDULE_LOOK_BUSY } else { due_in.min(SCHEDULE_LOOK_BUSY) });
        }
        next = store.next_schedule(FIRE_LEFT_AFTER).await?;
    }
    Ok(Duration::ZERO)
}

/// True if something was planned, here or by an engine that was faster.
async fn advance(app: &App) -> Result<bool, StoreError> {
    let store = &app.engine.store;
    let (mut plans, mut cancelled) = (Vec::new(), Vec::new());
    for due in store.due_schedules().await? {
        let Some(standing) = &due.standing else {
            tracing::warn!(schedule = %due.id, "this build cannot read a schedule; a newer one may");
            continue;
        };
        let plan = plan(standing, due.now);
        cancelled.extend_from_slice(&plan.cancel);
        if due.is_moved_by(&plan) {
            plans.push((due, plan));
        }
    }
    if !plans.is_empty() {
        let run_id = || RunId::root(app.engine.clock.now(), app.engine.entropy.bytes());
        crash_point!(EngineFirePlanned);
        let fires = store.advance_schedules(&plans, run_id).await?;
        crash_point!(EngineFireNoted if !fires.is_empty());
        start_all(app, fires, false).await?;
    }
    // Again with each look until they end: no more is needed for what is lost in between.
    let cancels = cancelled.into_iter().map(|run| cancel(app, run));
    futures::stream::iter(cancels).buffer_unordered(FIRES_AT_ONCE).collect::<Vec<()>>().await;
    Ok(!plans.is_empty())
}

async fn cancel(app: &App, run: RunId) {
    let reason = "a later instant of its schedule takes its place".to_owned();
    // One that has just ended, or is about to start, is looked at again.
    if let Err(error) = app.engine.command(run, Command::Cancel { by: SCHEDULER.to_owned(), reason }).await {
        tracing::debug!(%error, %run, "not cancelled");
    }
}

async fn start_all(app: &App, fires: Vec<FireToStart>, is_again: bool) -> Result<(), StoreError> {
    let started = fires.into_iter().map(|fire| start(app, fire, is_again));
    let settled: Vec<Option<Settled>> = futures::stream::iter(started).buffer_unordered(FIRES_AT_ONCE).collect().await;
    let settled: Vec<Settled> = settled.into_iter().flatten().collect();
    for fire in &settled {
        let result = if fire.refused.is_some() { "refused" } else { "started" };
        metrics::counter!("valet_schedule_fires_total", "result" => result).increment(1);
    }
    if settled.is_empty() {
        return Ok(());
    }
    app.engine.store.settle_fires(&settled).await?;
    crash_point!(EngineFireSettled);
    Ok(())
}

/// `None`: it is not the run's fault that it could not be started now; it stays to be started.
async fn start(app: &App, fire: FireToStart, is_again: bool) -> Option<Settled> {
    let refused = match try_start(app, &fire, is_again).await {
        Ok(()) => {
            crash_point!(EngineFireStarted);
            None
        }
        Err(fault) if fault.is_passing() => {
            tracing::warn!(code = fault.problem().code, schedule = fire.name, "a scheduled run is started later");
            return None;
        }
        Err(fault) => {
            let problem = fault.problem();
            tracing::warn!(
                code = problem.code,
                schedule = fire.name,
                tenant = fire.tenant,
                "a scheduled run was refused"
            );
            // Never what was in the input.
            let place = problem.field.as_ref().map(|field| format!(" at {field}")).unwrap_or_default();
            Some(format!("{}{place}", problem.code))
        }
    };
    Some(Settled { schedule_id: fire.schedule_id, at: fire.at, refused })
}

async fn try_start(app: &App, fire: &FireToStart, is_again: bool) -> Result<(), Fault> {
    let engine = &app.engine;
    // What its input named may be gone since it was started.
    if is_again && engine.store.identity(fire.run()).await?.is_some() {
        return Ok(());
    }
    let request: StartRunRequest =
        serde_json::from_slice(&engine.store.open_fire(fire).await?).map_err(StoreError::Json)?;
    let start = workflows::checked(app, &fire.tenant, &Reach::default(), &fire.workflow, None, request).await?;
    engine.start_run_as(Deed::scheduled(&fire.tenant, &fire.name), fire.run(), start).await?;
    Ok(())
}
