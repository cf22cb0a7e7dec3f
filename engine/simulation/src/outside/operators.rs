//! Operators and senders of signals: pause, resume, cancel, retry, messages early and late. Once the world is calm they
//! resume, retry and send whatever a run still waits for, so that every run can end.

use std::sync::Arc;
use std::time::Duration;

use valet_core::command::{Command, Rejection, Reply, StartRun};
use valet_core::decide::Fork;
use valet_core::id::{RunId, Seq};
use valet_core::run::{Reason, Status};
use valet_core::{Payload, Workflow};
use valet_engine::audit::Deed;
use valet_engine::engine::Started;
use valet_engine::executor::CommandError;
use valet_engine::pauses::{EVERYBODY, PauseScope, Paused};
use valet_engine::store::{DeclaredName, DueStore as _, Loaded, StoreError};

use super::fleet::{Fleet, SimEngine};
use super::ledger::SignalSent;
use crate::bounds::QUIET_WITHIN;
use crate::program::{CHANNELS, DECLARED, Fate, Interpreter, Job, NEWEST_BUILD, QUEUES, definition};
use crate::record::{Answer, Call};
use crate::world::Violation;

/// Forks of one seed: each may be as long as what it was forked from.
const FORKS_MAX: usize = 3;
/// Whose runs they all are.
const TENANT: &str = "acme";
/// Requests for one command.
const TRIES_MAX: u32 = 12;
/// Pause before a request is repeated.
const AGAIN: Duration = Duration::from_millis(150);
/// How often an operator looks at runs that do not move, once the world is calm.
const ROUND: Duration = Duration::from_millis(700);

/// Sends messages to runs picked at random.
pub(crate) async fn signal(fleet: Arc<Fleet>) {
    let mut count = 0;
    while !fleet.world.is_calm() {
        let ms = fleet.world.draw(|dice| dice.between(50, 900));
        tokio::time::sleep(Duration::from_millis(ms)).await;
        if let Some(run) = any_run(&fleet) {
            // Several at once are folded into one transition.
            let burst = fleet.world.draw(|dice| dice.pick(&[1, 1, 1, 2, 8]));
            for _ in 0..burst {
                count += 1;
                let channel = fleet.world.draw(|dice| dice.pick(&CHANNELS));
                tokio::spawn(send(Arc::clone(&fleet), run, channel, count));
            }
        }
    }
}

fn any_run(fleet: &Fleet) -> Option<RunId> {
    let runs: Vec<RunId> = fleet.world.tables.lock().live_runs().map(|(run, _)| *run).collect();
    (!runs.is_empty()).then(|| runs[fleet.world.draw(|dice| dice.index(runs.len()))])
}

/// Sends one message until it is answered, and sometimes once more under the same key.
async fn send(fleet: Arc<Fleet>, run: RunId, channel: &'static str, number: u64) {
    let world = &fleet.world;
    let key = format!("signal-{number}");
    let sent_at = world.now();
    let index = {
        let mut ledger = world.ledger.lock();
        let sent = ledger.signals.entry(run).or_default();
        sent.push(SignalSent { channel, key: key.clone(), value: number, sent_at, answered_at: None });
        sent.len() - 1
    };
    let payload = Payload::of(&number).unwrap_or_default();
    let command = Command::Signal { name: channel.to_owned(), key: key.clone(), payload };
    let mut again = world.draw(|dice| dice.chance(0.3));
    for round in 0..TRIES_MAX {
        match ask(&fleet, run, command.clone(), round).await {
            Some(Ok(_)) => {
                if !world.tables.lock().audit.kept_signal(run, channel, &key) {
                    let text = format!("signal {channel}/{key} was accepted and is not committed");
                    world.violated(Violation { run: Some(run), text });
                }
                if let Some(sent) = world.ledger.lock().signals.get_mut(&run).and_then(|all| all.get_mut(index)) {
                    sent.answered_at.get_or_insert(world.now());
                }
                if !std::mem::take(&mut again) {
                    return;
                }
            }
            Some(Err(CommandError::Rejected(why))) => return refused(&fleet, run, &why),
            Some(Err(why)) => contended(&fleet, run, &why).await,
            None => tokio::time::sleep(AGAIN).await,
        }
    }
}

/// An error that says nothing about the run. Nobody may be sent away by a fence that can never hold.
async fn contended(fleet: &Fleet, run: RunId, why: &CommandError) {
    if matches!(why, CommandError::Contended | CommandError::NotFound | CommandError::BadData) {
        let text = format!("a command was not carried out: {why}");
        fleet.world.violated(Violation { run: Some(run), text });
    }
    tokio::time::sleep(AGAIN).await;
}

async fn ask(fleet: &Arc<Fleet>, run: RunId, command: Command, round: u32) -> Option<Result<Reply, CommandError>> {
    let to = (usize::from(run.0.as_bytes()[10]) + round as usize) % fleet.len();
    fleet.ask(to, |engine| async move { engine.command(run, command).await }).await
}

/// A refusal must name what is so.
fn refused(fleet: &Fleet, run: RunId, why: &Rejection) {
    let tables = fleet.world.tables.lock();
    let status = tables.runs.get(&run).map(|record| record.row.status);
    drop(tables);
    let rightly = match why {
        Rejection::RunEnded { .. } => status.is_some_and(Status::is_terminal),
        Rejection::RunClosing { .. } => status.is_some_and(|status| status.is_terminal() || status == Status::Closing),
        _ => true,
    };
    if !rightly {
        let text = format!("a command was refused ({why}) though the run is {status:?}");
        fleet.world.violated(Violation { run: Some(run), text });
    }
}

/// Pauses, resumes and cancels at random.
pub(crate) async fn meddle(fleet: Arc<Fleet>) {
    while !fleet.world.is_calm() {
        let ms = fleet.world.draw(|dice| dice.between(200, 2_500));
        tokio::time::sleep(Duration::from_millis(ms)).await;
        let Some(run) = any_run(&fleet) else { continue };
        if fleet.world.draw(|dice| dice.chance(0.25)) {
            tokio::spawn(cancel(Arc::clone(&fleet), run));
        } else if fleet.world.draw(|dice| dice.chance(0.1)) {
            let budget_micros = fleet.world.draw(|dice| dice.pick(&[None, Some(0), Some(20), Some(1_000)]));
            let command = Command::SetBudget { by: "operator".to_owned(), budget_micros };
            if let Some(Err(CommandError::Rejected(why))) = ask(&fleet, run, command, 0).await {
                refused(&fleet, run, &why);
            }
        } else if fleet.world.draw(|dice| dice.chance(0.15)) {
            tokio::spawn(kill(Arc::clone(&fleet), run));
        } else {
            tokio::spawn(pause(Arc::clone(&fleet), run));
        }
    }
}

async fn cancel(fleet: Arc<Fleet>, run: RunId) {
    let world = &fleet.world;
    world.ledger.lock().cancels.entry(run).or_insert(false);
    let command = Command::Cancel { by: "operator".to_owned(), reason: "enough".to_owned() };
    for round in 0..TRIES_MAX {
        match ask(&fleet, run, command.clone(), round).await {
            Some(Ok(_)) => {
                world.ledger.lock().cancels.insert(run, true);
                return;
            }
            Some(Err(CommandError::Rejected(why))) => return refused(&fleet, run, &why),
            Some(Err(why)) => contended(&fleet, run, &why).await,
            None => tokio::time::sleep(AGAIN).await,
        }
    }
}

/// A run that closes already keeps its outcome.
async fn kill(fleet: Arc<Fleet>, run: RunId) {
    let world = &fleet.world;
    world.ledger.lock().cancels.entry(run).or_insert(false);
    let cleanup = world.draw(|dice| dice.chance(0.5));
    let command = Command::Kill { by: "operator".to_owned(), reason: "at once".to_owned(), cleanup };
    for round in 0..TRIES_MAX {
        match ask(&fleet, run, command.clone(), round).await {
            Some(Ok(_)) => return,
            Some(Err(CommandError::Rejected(why))) => return refused(&fleet, run, &why),
            Some(Err(why)) => contended(&fleet, run, &why).await,
            None => tokio::time::sleep(AGAIN).await,
        }
    }
}

/// Gives a parked step an input with which it succeeds; the next round retries it.
async fn edit(fleet: &Arc<Fleet>, run: RunId, seq: Seq) {
    let asked = {
        let tables = fleet.world.tables.lock();
        let mut ops = tables.asked_of(run);
        ops.find(|(at, _)| *at == seq).and_then(|(_, op)| op.input.read::<Job>().ok())
    };
    let Some(job) = asked else { return };
    let input = Payload::of(&Job { fate: Fate::Good, ..job }).unwrap_or_default();
    let command = Command::EditStep { seq, by: "operator".to_owned(), input };
    if let Some(Err(CommandError::Rejected(why))) = ask(fleet, run, command, 0).await {
        refused(fleet, run, &why);
    }
}

/// Ends a parked step with an output of the operator's own.
async fn skip(fleet: &Arc<Fleet>, run: RunId, seq: Seq) {
    let world = &fleet.world;
    let asked = {
        let tables = world.tables.lock();
        let mut ops = tables.asked_of(run);
        ops.find(|(at, _)| *at == seq).and_then(|(_, op)| Some((op.input.read::<Job>().ok()?.at, op.name == "clean")))
    };
    let Some((place, is_clean_up)) = asked else { return };
    let place = world.place(run, &place);
    let value = 7_000_000 + u64::from(seq.0);
    let output = if is_clean_up { Payload::null() } else { Payload::of(&value).unwrap_or_default() };
    let index = world.ledger.lock().say_instead(&place, value);
    let command = Command::SkipStep { seq, by: "operator".to_owned(), output };
    match ask(fleet, run, command, 0).await {
        Some(Ok(_)) => world.ledger.lock().taken(&place, index),
        Some(Err(CommandError::Rejected(why))) => refused(fleet, run, &why),
        Some(Err(_)) | None => {}
    }
}

async fn pause(fleet: Arc<Fleet>, run: RunId) {
    let world = &fleet.world;
    for round in 0..TRIES_MAX {
        let asked_at = world.now();
        match ask(&fleet, run, Command::Pause { by: "operator".to_owned() }, round).await {
            Some(Ok(_)) => {
                paused_rightly(&fleet, run, asked_at);
                break;
            }
            Some(Err(CommandError::Rejected(why))) => return refused(&fleet, run, &why),
            Some(Err(why)) => contended(&fleet, run, &why).await,
            None => tokio::time::sleep(AGAIN).await,
        }
    }
    let ms = world.draw(|dice| dice.between(50, 2_500));
    tokio::time::sleep(Duration::from_millis(ms)).await;
    unpause(&fleet, run).await;
}

/// After the answer the run is paused, or was since it was asked for.
fn paused_rightly(fleet: &Fleet, run: RunId, asked_at: valet_core::Timestamp) {
    let tables = fleet.world.tables.lock();
    let Some(record) = tables.runs.get(&run) else { return };
    let over = record.ended || record.row.status == Status::Closing;
    let lifted = tables.audit.unpaused_at(run).is_some_and(|at| at >= asked_at);
    let paused = record.row.paused;
    drop(tables);
    if !(over || lifted || paused) {
        let text = "a pause was answered and is not committed".to_owned();
        fleet.world.violated(Violation { run: Some(run), text });
    }
}

async fn unpause(fleet: &Arc<Fleet>, run: RunId) {
    for round in 0..TRIES_MAX {
        match ask(fleet, run, Command::Unpause { by: "operator".to_owned() }, round).await {
            Some(Ok(_) | Err(CommandError::Rejected(_))) => return,
            Some(Err(_)) | None => tokio::time::sleep(AGAIN).await,
        }
    }
}

/// Forks runs, live ones and others, from any entry.
pub(crate) async fn fork(fleet: Arc<Fleet>) {
    while !fleet.world.is_calm() {
        let ms = fleet.world.draw(|dice| dice.between(300, 3_000));
        tokio::time::sleep(Duration::from_millis(ms)).await;
        let roots: Vec<RunId> = {
            let tables = fleet.world.tables.lock();
            let roots = tables.runs.iter().filter(|(_, record)| record.identity.parent.is_none());
            roots.map(|(run, _)| *run).collect()
        };
        if roots.is_empty() || fleet.world.tables.lock().forks.len() >= FORKS_MAX {
            continue;
        }
        let run = roots[fleet.world.draw(|dice| dice.index(roots.len()))];
        tokio::spawn(fork_one(Arc::clone(&fleet), run));
    }
}

/// As the door does: the journal is read, then the fork is asked for.
async fn fork_one(fleet: Arc<Fleet>, from: RunId) {
    let world = &fleet.world;
    let asked = world.tables.lock().effects_asked(from);
    let (share, repeat_effects) = world.draw(|dice| (dice.between(0, 100), dice.chance(0.3)));
    let forked = fleet
        .ask(0, |engine| async move {
            let (_, Loaded::Live(stored) | Loaded::Ended(stored)) =
                engine.store.load_for_fork(from, share).await.ok()??;
            let chunks: Arc<[_]> = stored.chunks.into();
            let begins = chunks.iter().flat_map(|chunk| &chunk.entries).count() as u64;
            let entry = (begins * share / 100) as u32;
            let by = "operator".to_owned();
            let fork = Fork { from, chunks, build: stored.build, by, entry, input: None, repeat_effects };
            let valet_core::run::Identity { tenant, subject, workflow, plan, .. } = stored.identity;
            let start = StartRun::new(tenant, subject, workflow, plan, Payload::null());
            let start = StartRun { fork: Some(Box::new(fork)), ..start };
            Some(engine.start_run(Deed::queued(TENANT), start).await)
        })
        .await;
    let Some(Some(Ok(Started::Created(run)))) = forked else { return };
    world.note("forked from", Some(run), [0; 4]);
    if repeat_effects {
        return;
    }
    let tables = world.tables.lock();
    // What it went on from with another input meanwhile is behind both.
    let still: Vec<(Seq, String)> = tables.effects_asked(from);
    let repeated = asked.into_iter().find(|step| still.contains(step) && !tables.keeps_end_of(run, step.0));
    drop(tables);
    if let Some((seq, name)) = repeated {
        let text =
            format!("the fork would have the effect of the step `{name}` ({seq}) once more, and nobody asked for that");
        world.violated(Violation { run: Some(run), text });
    }
}

/// Declares workflows before anything starts them, and then new versions of them.
pub(crate) async fn declare(fleet: Arc<Fleet>) {
    for number in 0.. {
        {
            let mut tables = fleet.world.tables.lock();
            for workflow in DECLARED {
                let name = DeclaredName { tenant: TENANT.to_owned(), workflow: workflow.to_owned() };
                let definition = definition(workflow, number);
                tables.declared.insert(name.clone(), definition.clone());
                fleet.world.record(&tables, || (Call::Declare(name, definition), Answer::exactly(&())));
            }
        }
        if fleet.world.is_calm() {
            return;
        }
        let ms = fleet.world.draw(|dice| dice.between(300, 4_000));
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }
}

/// Pauses more than single runs, for a while each.
pub(crate) async fn pause_scopes(fleet: Arc<Fleet>) {
    while !fleet.world.is_calm() {
        let ms = fleet.world.draw(|dice| dice.between(200, 3_000));
        tokio::time::sleep(Duration::from_millis(ms)).await;
        let what = some_scope(&fleet);
        tokio::spawn(pause_scope(Arc::clone(&fleet), what));
    }
}

fn some_scope(fleet: &Fleet) -> Paused {
    let workers = fleet.world.tables.lock().worker_names();
    fleet.world.draw(|dice| {
        let paused =
            |scope, tenant: &str, name: &str| Paused { scope, tenant: tenant.to_owned(), name: name.to_owned() };
        let whose = dice.pick(&[TENANT, EVERYBODY]);
        match dice.between(0, 9) {
            0 => Paused::engine(),
            1 => paused(PauseScope::Tenant, TENANT, ""),
            2..=3 => paused(PauseScope::Workflow, whose, Interpreter::<NEWEST_BUILD>::NAME),
            4..=7 => paused(PauseScope::Queue, whose, dice.pick(&QUEUES)),
            _ if workers.is_empty() => Paused::engine(),
            _ => paused(PauseScope::Worker, EVERYBODY, &workers[dice.index(workers.len())]),
        }
    })
}

async fn pause_scope(fleet: Arc<Fleet>, what: Paused) {
    let world = &fleet.world;
    for round in 0..TRIES_MAX {
        let (to, asked) = (round as usize % fleet.len(), what.clone());
        match fleet.ask(to, |engine| async move { set_pause(&engine, &asked).await }).await {
            Some(Ok(())) => {
                world.note("scope_paused scope", None, [what.scope as u64, 0, 0, 0]);
                break;
            }
            Some(Err(_)) | None => tokio::time::sleep(AGAIN).await,
        }
    }
    let ms = world.draw(|dice| dice.between(50, 2_500));
    tokio::time::sleep(Duration::from_millis(ms)).await;
    // Until it is lifted: with a pause left nothing would end.
    let mut round = 0;
    while world.elapsed() < world.knobs.calm_at + QUIET_WITHIN {
        let (to, asked) = (round % fleet.len(), what.clone());
        round += 1;
        match fleet.ask(to, |engine| async move { lift_pause(&engine, &asked).await }).await {
            Some(Ok(())) => return,
            Some(Err(_)) | None => tokio::time::sleep(AGAIN).await,
        }
    }
}

/// As `valet_engine::pauses::pause` does, which knows the real store only. A statement of the model has no duration, so that none
/// is under way that does not see it.
async fn set_pause(engine: &SimEngine, what: &Paused) -> Result<(), StoreError> {
    engine.store.add_pause(what).await?;
    refresh(engine).await
}

/// As `valet_engine::pauses::resume` does.
async fn lift_pause(engine: &SimEngine, what: &Paused) -> Result<(), StoreError> {
    if !engine.store.remove_pause(what).await? {
        return Ok(());
    }
    refresh(engine).await?;
    if what.scope != PauseScope::Worker {
        engine.store.ticket_again(what).await?;
    }
    engine.routes.look_for_backlog();
    engine.routes.wake_at(engine.clock.now());
    Ok(())
}

async fn refresh(engine: &SimEngine) -> Result<(), StoreError> {
    let asked = engine.holds.ask();
    engine.holds.learn(asked, engine.store.paused().await?);
    Ok(())
}

/// Retries parked steps all the time; once the world is calm, resumes and sends what runs still wait for.
pub(crate) async fn mend(fleet: Arc<Fleet>) {
    let mut count = 1_000_000;
    loop {
        tokio::time::sleep(ROUND).await;
        let stuck: Vec<(RunId, Reason)> = {
            let tables = fleet.world.tables.lock();
            let live = tables.live_runs();
            live.filter_map(|(run, record)| Some((*run, record.row.reason.clone()?))).collect()
        };
        let calm = fleet.world.is_calm();
        for (run, reason) in stuck {
            match reason {
                Reason::Parked { seq, .. } if fleet.world.draw(|dice| dice.chance(0.2)) => {
                    skip(&fleet, run, seq).await;
                }
                Reason::Parked { seq, .. } if fleet.world.draw(|dice| dice.chance(0.2)) => {
                    edit(&fleet, run, seq).await;
                }
                Reason::Parked { .. } => {
                    let _ = ask(&fleet, run, Command::Retry { by: "operator".to_owned() }, 0).await;
                }
                Reason::Paused { .. } if calm => unpause(&fleet, run).await,
                Reason::Stuck { .. } if calm => cancel(Arc::clone(&fleet), run).await,
                Reason::Signal { name } if calm => {
                    count += 1;
                    let channel = CHANNELS.into_iter().find(|channel| *channel == name).unwrap_or(CHANNELS[0]);
                    send(Arc::clone(&fleet), run, channel, count).await;
                }
                _ => {}
            }
        }
    }
}
