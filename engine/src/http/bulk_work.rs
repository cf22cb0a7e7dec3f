//! Works bulk operations off, in turns: each takes an operation under a lease, looks up some of its runs or acts on some, and writes
//! down what became of them with the operation's figures, in one statement that holds only while the turn does.
//!
//! A run is acted on by the command that its own route gives, audited under the operation's name. So whoever takes up what another left
//! finds in the audit which runs that acted on; a fork has an id that follows from the operation and the run; what is deleted is gone.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use sha2::{Digest, Sha256};
use valet_core::command::Command;
use valet_core::id::RunId;
use valet_crash_points::crash_point;
use valet_protocol::api::{BulkAction, BulkFilter, BulkFork, ForkRequest};

use super::bulk_operations::{Options, bulk_id, run_filter};
use super::{App, Fault, forks, pushed_events};
use crate::access::Reach;
use crate::audit::{Deed, Via};
use crate::bounds::{
    BULK_LOOK_AGAIN, BULK_LOOK_EVERY, BULK_OPERATION_RUNS_MAX, BULK_PAGE_RUNS, BULK_REMOVALS_PER_TURN,
    BULK_RENEW_EVERY, BULK_RUNS_AT_ONCE, BULK_TRIES_MAX, BULK_TURN_RUNS_MAX, BULK_TURNS_AT_ONCE, BULK_TURNS_PER_S,
};
use crate::retention::{RetentionError, remove_whole};
use crate::store::postgres::bulk_operations::{BulkItem, BulkPage, BulkTurn, Outcome};
use crate::store::{RunStore as _, StoreError};

/// The action does not fit the run any more.
const NOT_FITTING: [&str; 4] = ["run_not_found", "run_ended", "run_closing", "nothing_to_retry"];

/// Why a turn came to nothing.
#[derive(Debug, thiserror::Error)]
enum TurnError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Removal(#[from] RetentionError),
    #[error("this build cannot read the operation; a newer one may")]
    Unreadable,
}

/// Until it is dropped. While no operation is at work it waits to be told.
pub async fn run(app: Arc<App>) {
    loop {
        let wait = look(&app).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "bulk operations are looked at again");
            Some(BULK_LOOK_AGAIN)
        });
        match wait {
            // Either way it is time for the next look.
            Some(wait) => drop(tokio::time::timeout(wait, app.bulk.notified()).await),
            None => app.bulk.notified().await,
        }
    }
}

/// Has the turns that there are; answers how long there is none, or `None` if no operation is at work.
pub async fn look(app: &App) -> Result<Option<Duration>, StoreError> {
    let store = &app.engine.store;
    let mut turns = FuturesUnordered::new();
    loop {
        while turns.len() < BULK_TURNS_AT_ONCE {
            let Some(turn) = store.take_bulk_turn().await? else { break };
            turns.push(have(app, turn));
        }
        if turns.next().await.is_none() {
            break;
        }
    }
    // What another engine has may be left at any time.
    Ok(store.next_bulk_turn().await?.map(|wait| wait.min(BULK_LOOK_EVERY)))
}

async fn have(app: &App, turn: BulkTurn) {
    let result = tokio::select! {
        result = work(app, &turn) => result,
        () = hold(app, &turn) => {
            tracing::warn!(operation = bulk_id(turn.id), "the turn of a bulk operation went to another engine");
            return;
        }
    };
    if let Err(error) = result {
        // The lease ends by itself, which is pause enough.
        tracing::warn!(%error, operation = bulk_id(turn.id), "a turn of a bulk operation is had again");
    }
}

/// Returns when the turn is another's.
async fn hold(app: &App, turn: &BulkTurn) {
    loop {
        tokio::time::sleep(BULK_RENEW_EVERY).await;
        match app.engine.store.renew_bulk_turn(turn).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => tracing::warn!(%error, "the lease of a bulk operation is renewed later"),
        }
    }
}

async fn work(app: &App, turn: &BulkTurn) -> Result<(), TurnError> {
    let action = BulkAction::parse(&turn.action).ok_or(TurnError::Unreadable)?;
    if !turn.collected {
        return collect(app, turn, action).await;
    }
    let options: Options = serde_json::from_value(turn.options.clone()).map_err(|_| TurnError::Unreadable)?;
    let began = Instant::now();
    let most = (turn.rate.unsigned_abs() / BULK_TURNS_PER_S).clamp(1, BULK_TURN_RUNS_MAX);
    let name = bulk_id(turn.id);
    let store = &app.engine.store;
    let (settled, rest) = if action == BulkAction::Delete {
        let items = store.bulk_items_pending(turn.id, &name, most.min(BULK_REMOVALS_PER_TURN)).await?;
        match remove(app, turn, &name, items).await? {
            Some(settled) => (settled, Duration::ZERO),
            // Retention is at it, here or elsewhere.
            None => (Vec::new(), BULK_LOOK_AGAIN),
        }
    } else {
        let items = store.bulk_items_pending(turn.id, &name, most).await?;
        let work = Work { app, turn, name: &name, action, options: &options };
        let acted = items.into_iter().map(|item| async {
            let outcome = work.act(&item).await;
            (item, outcome)
        });
        let settled: Vec<_> = futures::stream::iter(acted).buffer_unordered(BULK_RUNS_AT_ONCE).collect().await;
        let is_busy = settled.iter().any(|(_, outcome)| matches!(outcome, Outcome::Again(_)));
        (settled, if is_busy { BULK_LOOK_AGAIN } else { Duration::ZERO })
    };
    crash_point!(EngineBulkActed);
    if store.settle_bulk_items(turn, &settled, (began.elapsed(), rest)).await? {
        for (_, outcome) in &settled {
            let (action, result) = (action.as_str(), outcome.as_str());
            metrics::counter!("valet_bulk_runs_total", "action" => action, "result" => result).increment(1);
        }
    }
    Ok(())
}

/// Looks a page of runs up.
async fn collect(app: &App, turn: &BulkTurn, action: BulkAction) -> Result<(), TurnError> {
    let store = &app.engine.store;
    let mut page = if let Some(undone) = turn.undo_of {
        let found = store.bulk_items_done(undone, turn.cursor_position, BULK_PAGE_RUNS).await?;
        BulkPage {
            after: None,
            position: found.last().map_or(turn.cursor_position, |(position, _)| *position),
            is_last: found.len() < BULK_PAGE_RUNS as usize,
            is_limited: false,
            runs: found.into_iter().map(|(_, run)| run).collect(),
        }
    } else {
        let filter: BulkFilter = serde_json::from_value(turn.filter.clone()).map_err(|_| TurnError::Unreadable)?;
        let mut filter = run_filter(&filter, action, turn.reach()).map_err(|_| TurnError::Unreadable)?;
        // Those that began later are none of it.
        filter.created_before = Some(filter.created_before.map_or(turn.created_at, |at| at.min(turn.created_at)));
        let found = store.list_runs(&turn.tenant, &filter, turn.after(), BULK_PAGE_RUNS).await?;
        BulkPage {
            after: found.next,
            position: 0,
            is_last: found.next.is_none(),
            is_limited: false,
            runs: found.runs.iter().map(|run| run.id).collect(),
        }
    };
    let room = BULK_OPERATION_RUNS_MAX.saturating_sub(turn.total.unsigned_abs()) as usize;
    if page.runs.len() > room || page.runs.len() == room && !page.is_last {
        page.runs.truncate(room);
        (page.is_last, page.is_limited) = (true, true);
    }
    store.add_bulk_items(turn, &page).await?;
    Ok(())
}

/// Removes what may go; `None`: somebody else is removing, and no two do.
async fn remove(
    app: &App,
    turn: &BulkTurn,
    name: &str,
    items: Vec<BulkItem>,
) -> Result<Option<Vec<(BulkItem, Outcome)>>, TurnError> {
    let store = &app.engine.store;
    let Some(mut removal) = store.begin_removal().await? else { return Ok(None) };
    let runs: Vec<_> = items.iter().map(|item| item.run_id).collect();
    let verdicts = store.removable_trees(&turn.tenant, &runs).await?;
    let of = |verdict: &str| verdicts.iter().filter(|v| v.verdict == verdict).map(|v| v.id).collect::<Vec<_>>();
    let removable = of("removable");
    store.audit_removals(turn, name, &removable).await?;
    remove_whole(&mut removal, &app.blobs, &removable).await?;
    // What is gone went with its root, or was removed by whoever did not live to tell.
    let gone = of("gone");
    let settle = |item: BulkItem| {
        let is_gone = removable.contains(&item.run_id) || gone.contains(&item.run_id);
        (item, if is_gone { Outcome::Done } else { Outcome::Skipped })
    };
    Ok(Some(items.into_iter().map(settle).collect()))
}

/// What acts on the runs of one turn.
struct Work<'a> {
    app: &'a App,
    turn: &'a BulkTurn,
    name: &'a str,
    action: BulkAction,
    options: &'a Options,
}

impl Work<'_> {
    async fn act(&self, item: &BulkItem) -> Outcome {
        if item.acted {
            return Outcome::Done;
        }
        let by = self.turn.created_by.clone();
        let command = match self.action {
            BulkAction::Fork => return self.outcome(item, self.fork(item).await),
            // Nothing would change: whoever undoes it is to leave alone what was so before.
            BulkAction::Pause if item.paused == Some(true) || item.status.as_deref() == Some("closing") => {
                return Outcome::Skipped;
            }
            BulkAction::Resume if item.paused == Some(false) => return Outcome::Skipped,
            BulkAction::Pause => Command::Pause { by },
            BulkAction::Resume => Command::Unpause { by },
            BulkAction::Retry => Command::Retry { by },
            BulkAction::Cancel => Command::Cancel { by, reason: self.options.reason.clone().unwrap_or_default() },
            // Removed many at a time.
            BulkAction::Delete => return Outcome::Skipped,
        };
        let run = RunId(item.run_id);
        let result = self.app.engine.command_by(self.deed(run), run, command).await;
        self.outcome(item, result.map(drop).map_err(Fault::from))
    }

    async fn fork(&self, item: &BulkItem) -> Result<(), Fault> {
        let (engine, turn) = (&self.app.engine, self.turn);
        let from = RunId(item.run_id);
        let fork = fork_id(turn, from);
        if engine.store.identity(fork).await?.is_some() {
            return Ok(());
        }
        let record = engine.store.find_run(&turn.tenant, from).await?;
        let record = record.ok_or_else(|| Fault::not_found("run", "it is gone"))?;
        let BulkFork { entry, repeat_effects } = self.options.fork.unwrap_or_default();
        let request = ForkRequest { entry, input: None, repeat_effects };
        let (start, _) = forks::fork_of(self.app, (&turn.created_by, &Reach::default()), record, request).await?;
        engine.start_run_as(self.deed(fork), fork, start).await?;
        Ok(())
    }

    fn outcome(&self, item: &BulkItem, result: Result<(), Fault>) -> Outcome {
        let Err(fault) = result else { return Outcome::Done };
        if NOT_FITTING.contains(&fault.problem().code.as_str()) {
            return Outcome::Skipped;
        }
        let reason = pushed_events::reason(&fault);
        tracing::debug!(operation = self.name, run = %RunId(item.run_id), reason, "a bulk operation failed on a run");
        if fault.is_passing() && item.tries + 1 < BULK_TRIES_MAX {
            Outcome::Again(reason)
        } else {
            Outcome::Failed(reason)
        }
    }

    fn deed(&self, target: RunId) -> Deed {
        Deed {
            tenant: self.turn.tenant.clone(),
            who: self.turn.created_by.clone(),
            via: Via::Bulk,
            address: None,
            request: Some(self.name.to_owned()),
            action: match self.action {
                BulkAction::Cancel => "run.cancel",
                BulkAction::Retry => "run.retry",
                BulkAction::Fork => "run.fork",
                BulkAction::Pause => "run.pause",
                BulkAction::Resume => "run.resume",
                BulkAction::Delete => "run.delete",
            },
            target: target.to_string(),
            task: None,
        }
    }
}

/// The same for each engine that comes to it.
fn fork_id(turn: &BulkTurn, from: RunId) -> RunId {
    let digest = Sha256::new().chain_update(turn.id).chain_update(from.0).finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    RunId::root(turn.created_at, bytes)
}
