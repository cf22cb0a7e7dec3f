//! Operators and senders of signals: pause, resume, cancel, retry, messages early and late. Once the world is calm they
//! resume, retry and send whatever a run still waits for, so that every run can end.

use std::sync::Arc;
use std::time::Duration;

use valet_core::Payload;
use valet_core::command::{Command, Rejection, Reply};
use valet_core::id::{RunId, Seq};
use valet_core::run::{Reason, Status};
use valet_engine::executor::CommandError;

use super::fleet::Fleet;
use super::ledger::SignalSent;
use crate::program::{CHANNELS, Fate, Job};
use crate::world::Violation;

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
