//! People: they answer or reject tasks, twice now and then, two of them at once, too late, or never.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use valet_core::Payload;
use valet_core::callbacks::{Callbacks, Secret};
use valet_core::command::{Command, Reply, TaskAnswer};
use valet_core::id::{RunId, Seq};
use valet_core::journal::CompletionOutcome;
use valet_engine::executor::CommandError;

use super::fleet::Fleet;
use super::ledger::AnswerSent;
use crate::world::Violation;

/// How often people look at the list of tasks.
const LOOK_EVERY: Duration = Duration::from_millis(300);
/// Requests for one answer.
const TRIES_MAX: u32 = 12;

/// Looks at open tasks for ever.
pub(crate) async fn work(fleet: Arc<Fleet>) {
    let mut known: BTreeSet<(RunId, Seq)> = BTreeSet::new();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let open: Vec<(RunId, Seq, String)> = {
            let tables = fleet.world.tables.lock();
            let open = tables.tasks.iter().filter(|(at, record)| record.state == "open" && !known.contains(at));
            open.map(|((run, seq), record)| (*run, *seq, record.task.spec.title.clone())).collect()
        };
        for (run, seq, place) in open {
            known.insert((run, seq));
            let people = fleet.world.draw(|dice| dice.pick(&[0_u64, 1, 1, 1, 2]));
            for person in 0..people {
                tokio::spawn(answer(Arc::clone(&fleet), run, seq, place.clone(), person));
            }
        }
    }
}

async fn answer(fleet: Arc<Fleet>, run: RunId, seq: Seq, place: String, person: u64) {
    let world = &fleet.world;
    let place = world.place(run, &place);
    let (delay_ms, rejects) = world.draw(|dice| (dice.between(0, 2_500), dice.chance(0.25)));
    tokio::time::sleep(Duration::from_millis(delay_ms)).await;
    let key = format!("{place}/{person}");
    let value = (!rejects).then_some(delay_ms);
    let index = {
        let mut ledger = world.ledger.lock();
        let sent = ledger.answers.entry(place.clone()).or_default();
        sent.push(AnswerSent { key: key.clone(), value, taken: false });
        sent.len() - 1
    };
    let said = match value {
        Some(value) => TaskAnswer::Answered(Payload::of(&value).unwrap_or_default()),
        None => TaskAnswer::Rejected { reason: "no".to_owned() },
    };
    let command = Command::AnswerTask { seq, by: format!("person-{person}"), key: key.clone(), answer: said };
    for round in 0..TRIES_MAX {
        let to = (person as usize + round as usize) % fleet.len();
        let request = command.clone();
        match fleet.ask(to, |engine| async move { engine.command(run, request).await }).await {
            Some(Ok(Reply::Done)) => {
                if !world.tables.lock().audit.kept_answer(run, seq, &key) {
                    let text = format!("task {seq}: an answer was accepted and is not committed");
                    world.violated(Violation { run: Some(run), text });
                }
                world.ledger.lock().answered(&place, index);
                if world.draw(|dice| dice.chance(0.8)) {
                    return;
                }
            }
            Some(Err(CommandError::Rejected(why))) => {
                let tables = world.tables.lock();
                let open = tables.tasks.get(&(run, seq)).is_some_and(|record| record.state == "open");
                let kept = tables.audit.kept_answer(run, seq, &key);
                let closing = tables.runs.get(&run).is_some_and(|record| record.ended || is_closing(record));
                drop(tables);
                if open || (kept && !closing) {
                    let text = format!("task {seq}: an answer was refused ({why}) though the task is open or has it");
                    world.violated(Violation { run: Some(run), text });
                }
                return;
            }
            Some(Ok(Reply::Finished { .. } | Reply::Repeated | Reply::Ignored) | Err(_)) | None => {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

/// Completes what runs wait for: twice now and then, with a wrong token, too late, or never.
pub(crate) async fn complete(fleet: Arc<Fleet>) {
    let mut known: BTreeSet<(RunId, Seq)> = BTreeSet::new();
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let open: Vec<(RunId, Seq, String, Secret)> = {
            let tables = fleet.world.tables.lock();
            let live = tables.live_runs().flat_map(|(run, _)| tables.completions_of(*run));
            live.filter(|(run, seq, ..)| !known.contains(&(*run, *seq))).collect()
        };
        for (run, seq, place, secret) in open {
            known.insert((run, seq));
            let callers = fleet.world.draw(|dice| dice.pick(&[0_u64, 1, 1, 2]));
            for caller in 0..callers {
                let (place, secret) = (place.clone(), secret.clone());
                tokio::spawn(complete_one(Arc::clone(&fleet), (run, seq), place, secret, caller));
            }
        }
    }
}

async fn complete_one(fleet: Arc<Fleet>, (run, seq): (RunId, Seq), place: String, secret: Secret, caller: u64) {
    let world = &fleet.world;
    let place = world.place(run, &place);
    let (delay_ms, guesses) = world.draw(|dice| (dice.between(0, 2_500), dice.chance(0.2)));
    tokio::time::sleep(Duration::from_millis(delay_ms)).await;
    // Of another place, hence of no use here.
    let secret = if guesses { wrong_secret(run) } else { secret };
    let key = format!("{place}/{caller}");
    let value = (!guesses).then_some(delay_ms * 10 + caller);
    let index = {
        let mut ledger = world.ledger.lock();
        let sent = ledger.completions.entry(place.clone()).or_default();
        sent.push(AnswerSent { key: key.clone(), value, taken: false });
        sent.len() - 1
    };
    let outcome = CompletionOutcome::Done { output: Payload::of(&value).unwrap_or_default() };
    let command = Command::Complete { seq, secret, key, outcome };
    for round in 0..TRIES_MAX {
        let to = (caller as usize + round as usize) % fleet.len();
        let request = command.clone();
        match fleet.ask(to, |engine| async move { engine.command(run, request).await }).await {
            Some(Ok(_)) => {
                if guesses {
                    let text = format!("completion {seq}: a wrong token was taken");
                    world.violated(Violation { run: Some(run), text });
                }
                if let Some(sent) = world.ledger.lock().completions.get_mut(&place).and_then(|all| all.get_mut(index)) {
                    sent.taken = true;
                }
                if world.draw(|dice| dice.chance(0.8)) {
                    return;
                }
            }
            Some(Err(CommandError::Rejected(_))) => return,
            Some(Err(_)) | None => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
}

fn wrong_secret(run: RunId) -> Secret {
    let token = format!("cb_{}_1_{}", run.0.simple(), "0".repeat(32));
    // The text is a token by its form.
    Callbacks::parse(&token).map(|parsed| parsed.secret).unwrap_or_default()
}

fn is_closing(record: &crate::model::RunRecord) -> bool {
    record.row.status == valet_core::run::Status::Closing
}
