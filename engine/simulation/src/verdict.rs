//! What must be true when all is over: every run against the reference, its journal replayed, nothing left behind.

use std::collections::{BTreeMap, BTreeSet};

use valet_core::decide::{CodeUse, Machine, StoredRun};
use valet_core::id::{RunId, Seq};
use valet_core::journal::{AttemptEnd, Chunk, ClosePolicy, Entry, Op, Resolution, RunOutcome};
use valet_core::run::{Reason, Status};
use valet_core::step::StepFailure;

use crate::model::{Committed, RunRecord, Tables};
use crate::outside::facts::{End, Facts};
use crate::outside::fleet::registry_for_replay;
use crate::outside::ledger::Ledger;
use crate::program::{DECLARED, NEXT, Program, Ran, explain, explain_run};
use crate::world::{Violation, World};

/// Checks a finished world.
pub(crate) fn check(world: &World) {
    let tables = world.tables.lock();
    let ledger = world.ledger.lock();
    let mut found = Vec::new();
    let programs = programs(&tables, &mut found);
    let ends: BTreeMap<String, End> =
        programs.iter().map(|(program, end)| (tables.scoped(end.run, base(&program.name)), end.clone())).collect();
    for (run, record) in tables.runs.iter().filter(|(_, record)| is_declared(record)) {
        let facts = Facts { run: *run, ledger: &ledger, tables: &tables, ends: &ends };
        let journal: Vec<&Entry> = entries(&tables, *run).collect();
        let checks = [
            explain_run(&facts, record.row.status),
            attempts_were_bounded(&journal),
            children_known(&journal),
            replays(&tables, *run),
        ];
        found.extend(checks.into_iter().filter_map(Result::err).map(|text| Violation { run: Some(*run), text }));
    }
    for (program, end) in &programs {
        let run = end.run;
        let facts = Facts { run, ledger: &ledger, tables: &tables, ends: &ends };
        let journal: Vec<&Entry> = entries(&tables, run).collect();
        let checks = [
            ended_rightly(program, end, &facts),
            finalizers_ran(&journal),
            attempts_were_bounded(&journal),
            children_known(&journal),
            signals_in_order(&journal, run, &ledger),
            signals_once(&journal, end),
            costs_add_up(&tables, run),
            replays(&tables, run),
        ];
        found.extend(checks.into_iter().filter_map(Result::err).map(|text| Violation { run: Some(run), text }));
    }
    starts_were_one(&ledger, &ends, &mut found);
    drop(tables);
    drop(ledger);
    for violation in found {
        world.violated(violation);
    }
}

fn entries(tables: &Tables, run: RunId) -> impl Iterator<Item = &Entry> {
    tables.journal.get(&run).into_iter().flatten().flat_map(|committed| &committed.chunk.entries)
}

/// The name that a run was started under.
fn base(name: &str) -> &str {
    name.trim_end_matches(NEXT)
}

fn is_declared(record: &RunRecord) -> bool {
    DECLARED.contains(&record.identity.workflow.as_str())
}

/// Programs and ends of all runs of code.
fn programs(tables: &Tables, found: &mut Vec<Violation>) -> Vec<(Program, End)> {
    let mut programs: Vec<(Program, End)> = Vec::new();
    for (run, record) in tables.runs.iter().filter(|(_, record)| !is_declared(record)) {
        // Under the name of the first, with what the last journal was to do.
        let inputs = entries(tables, *run).filter_map(|entry| match entry {
            Entry::Started { input, .. } | Entry::Continued { input, .. } => input.read::<Program>().ok(),
            _ => None,
        });
        let Some(program) = inputs.last() else {
            found.push(Violation { run: Some(*run), text: "the run has no start in its journal".to_owned() });
            continue;
        };
        let scoped = tables.scoped(*run, base(&program.name));
        if programs.iter().any(|(known, end)| tables.scoped(end.run, base(&known.name)) == scoped) {
            let text = format!("{}: two runs of one start", program.name);
            found.push(Violation { run: Some(*run), text });
        }
        programs.push((program, end(tables, *run, record)));
    }
    programs
}

fn end(tables: &Tables, run: RunId, record: &RunRecord) -> End {
    let ran = entries(tables, run).find_map(|entry| match entry {
        Entry::Closing { outcome: RunOutcome::Succeeded { output } } => output.read::<Ran>().ok(),
        Entry::Closing { outcome: RunOutcome::Failed { error } } => error.details.as_ref()?.read::<Ran>().ok(),
        _ => None,
    });
    End { run, status: record.row.status, ran }
}

/// The end is one that the reference allows.
fn ended_rightly(program: &Program, end: &End, facts: &Facts<'_>) -> Result<(), String> {
    let cancel = facts.ledger.cancels.get(&end.run).copied();
    if cancel == Some(true) && end.status != Status::Cancelled {
        return Err(format!("{}: a cancel was answered, and the run ended as {:?}", program.name, end.status));
    }
    let is_child = facts.tables.runs.get(&end.run).is_some_and(|record| record.identity.parent.is_some());
    match (end.status, &end.ran) {
        (Status::Succeeded, Some(ran)) if ran.halted.is_none() => explain(&program.nodes, ran, &program.name, facts),
        (Status::Failed, Some(ran)) if ran.halted.is_some() => explain(&program.nodes, ran, &program.name, facts),
        (Status::Cancelled, _) if cancel.is_some() || is_child || was_over(facts) => Ok(()),
        (Status::TimedOut, _) if had_deadline(facts) => Ok(()),
        _ => Err(format!("{}: it cannot end as {:?} with {:?}", program.name, end.status, end.ran)),
    }
}

/// A limit cancelled it, and had said so.
fn was_over(facts: &Facts<'_>) -> bool {
    entries(facts.tables, facts.run).any(|entry| match entry {
        Entry::CancelRequested { by, reason } => facts.tables.was_over(facts.run, by, reason),
        _ => false,
    })
}

fn had_deadline(facts: &Facts<'_>) -> bool {
    entries(facts.tables, facts.run).any(|entry| matches!(entry, Entry::Started { deadline: Some(_), .. }))
}

/// What the row says was spent is what the journal says, over all journals of the run.
fn costs_add_up(tables: &Tables, run: RunId) -> Result<(), String> {
    let paid = |entry: &Entry| match entry {
        Entry::Op { op: Op::Cost { micros, .. }, .. } | Entry::Spent { micros, .. } => *micros,
        _ => 0,
    };
    // What a fork has copied the other run has paid for.
    let copied = entries(tables, run).position(|entry| matches!(entry, Entry::Forked { .. }));
    let wanted: u64 = entries(tables, run).skip(copied.unwrap_or(0)).map(paid).sum();
    let figures = tables.runs.get(&run).and_then(|record| record.row.figures.as_ref());
    let found = figures.map_or(0, |figures| figures.spent_micros);
    if found == wanted { Ok(()) } else { Err(format!("{wanted} were spent, the row says {found}")) }
}

/// Every registered clean-up ran to an accepted result, early or at the end, unless somebody gave them up.
fn finalizers_ran(journal: &[&Entry]) -> Result<(), String> {
    if journal.iter().any(|entry| matches!(entry, Entry::Killed { cleanup: false, .. })) {
        return Ok(());
    }
    let is_success = |entry: &&Entry| matches!(entry, Entry::Closing { outcome: RunOutcome::Succeeded { .. } });
    let succeeded = journal.iter().any(is_success);
    let mut compensations: BTreeSet<Seq> = BTreeSet::new();
    let mut ran: BTreeMap<Seq, u32> = BTreeMap::new();
    let mut early: BTreeMap<Seq, Seq> = BTreeMap::new();
    for entry in journal {
        match entry {
            Entry::Op { seq, op: Op::Finally(_) } => drop(ran.insert(*seq, 0)),
            Entry::Op { seq, op: Op::Compensate(_) } => {
                compensations.insert(*seq);
                ran.insert(*seq, 0);
            }
            Entry::Op { seq, op: Op::FinallyNow { of, .. } } => drop(early.insert(*seq, *of)),
            Entry::Resolved { seq, with: Resolution::StepDone { .. } }
            | Entry::Held { seq, with: Resolution::StepDone { .. } } => {
                let of = early.get(seq).unwrap_or(seq);
                ran.entry(*of).and_modify(|times| *times += 1);
            }
            // Given up with its host.
            Entry::Resolved { seq, with: Resolution::StepFailed { failure: StepFailure::NotStarted(_), .. } }
            | Entry::Held { seq, with: Resolution::StepFailed { failure: StepFailure::NotStarted(_), .. } } => {
                let of = early.get(seq).unwrap_or(seq);
                ran.entry(*of).and_modify(|times| *times += 1);
            }
            _ => {}
        }
    }
    // What a run that succeeded did is undone by nobody, unless its code said so before; even then its code may have let
    // go of it.
    let early: BTreeSet<Seq> = early.into_values().collect();
    let right = |seq: &Seq, times: u32| match (succeeded && compensations.contains(seq), early.contains(seq)) {
        (false, _) => times == 1,
        (true, early) => times <= u32::from(early),
    };
    match ran.iter().find(|(seq, times)| !right(seq, **times)) {
        None => Ok(()),
        Some((seq, times)) => Err(format!("clean-up {seq} ran to an accepted result {times} times")),
    }
}

/// Failed and lost attempts use up the policy's number; then the step ends or waits for an operator.
fn attempts_were_bounded(journal: &[&Entry]) -> Result<(), String> {
    let mut policies: BTreeMap<Seq, u32> = BTreeMap::new();
    let mut used: BTreeMap<Seq, u32> = BTreeMap::new();
    for entry in journal {
        match entry {
            Entry::Op { seq, op: Op::Step(op) | Op::Finally(op) | Op::Compensate(op) } => {
                policies.insert(*seq, op.policy.max_attempts);
            }
            Entry::Op { seq, op: Op::FinallyNow { of, .. } } => {
                let most = policies.get(of).copied().unwrap_or_default();
                policies.insert(*seq, most);
            }
            Entry::RetryRequested { seq, .. } => drop(used.remove(seq)),
            Entry::AttemptEnded { seq, why: AttemptEnd::Failed(_) | AttemptEnd::Lost, next_at, .. } => {
                let used = used.entry(*seq).or_default();
                *used += 1;
                if next_at.is_some() && policies.get(seq).is_none_or(|most| *used >= *most) {
                    return Err(format!("step {seq}: another attempt after {used} were used up"));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Every child that its parent still wanted is known to have ended, once.
fn children_known(journal: &[&Entry]) -> Result<(), String> {
    let mut open: BTreeMap<Seq, u32> = BTreeMap::new();
    let mut abandoned: BTreeSet<Seq> = BTreeSet::new();
    let mut fans: BTreeMap<Seq, (u32, ClosePolicy)> = BTreeMap::new();
    for entry in journal {
        match entry {
            Entry::Op { seq, op: Op::FanOut { on_close, .. } } => drop(fans.insert(*seq, (0, *on_close))),
            Entry::ChildrenStarted { seq, to } => {
                let Some((started, on_close)) = fans.get_mut(seq) else { continue };
                for child in (*started..*to).map(|place| Seq(seq.0 + place)) {
                    // A fork has ends of the other run's children.
                    open.entry(child).or_insert(0);
                    if *on_close == ClosePolicy::Abandon {
                        abandoned.insert(child);
                    }
                }
                *started = *to;
            }
            Entry::Resolved { seq, with: Resolution::ChildrenEnded { ends } }
            | Entry::Held { seq, with: Resolution::ChildrenEnded { ends } } => {
                for (place, _) in ends {
                    *open.entry(Seq(seq.0 + place)).or_default() += 1;
                }
            }
            Entry::Dropped { seq } if fans.contains_key(seq) => {
                let (started, _) = fans.remove(seq).unwrap_or_default();
                open.retain(|child, _| !(seq.0..seq.0 + started).contains(&child.0));
            }
            Entry::Op { seq, op: Op::Child { on_close, .. } } => {
                open.insert(*seq, 0);
                if *on_close == ClosePolicy::Abandon {
                    abandoned.insert(*seq);
                }
            }
            Entry::Dropped { seq } => drop(open.remove(seq)),
            // Not waited for any more.
            Entry::Closing { .. } => open.retain(|seq, ends| *ends > 0 || !abandoned.contains(seq)),
            Entry::Killed { .. } => open.retain(|_, ends| *ends > 0),
            Entry::Resolved { seq, with: Resolution::ChildEnded { .. } }
            | Entry::Held { seq, with: Resolution::ChildEnded { .. } } => {
                *open.entry(*seq).or_default() += 1;
            }
            _ => {}
        }
    }
    match open.iter().find(|(_, ends)| **ends != 1) {
        None => Ok(()),
        Some((seq, ends)) => Err(format!("child {seq}: its end was taken {ends} times")),
    }
}

/// What was answered before the next was sent lies before it in its channel.
fn signals_in_order(journal: &[&Entry], run: RunId, ledger: &Ledger) -> Result<(), String> {
    let Some(sent) = ledger.signals.get(&run) else { return Ok(()) };
    let kept = journal.iter().filter_map(|entry| match entry {
        Entry::SignalKept { name, key, .. } => sent.iter().find(|signal| signal.key == *key && signal.channel == name),
        _ => None,
    });
    let kept: Vec<_> = kept.collect();
    for (index, earlier) in kept.iter().enumerate() {
        for later in kept.iter().skip(index + 1).filter(|later| later.channel == earlier.channel) {
            if later.answered_at.is_some_and(|answered| answered < earlier.sent_at) {
                return Err(format!("signal {} was kept before {}, which was answered first", earlier.key, later.key));
            }
        }
    }
    Ok(())
}

/// What the code took from a channel was kept for it, each message once; without a race it is the head of the channel.
fn signals_once(journal: &[&Entry], end: &End) -> Result<(), String> {
    let Some(ran) = &end.ran else { return Ok(()) };
    let mut taken = Vec::new();
    // Of a run that went on, only what its last journal took is known.
    let goes_on = journal.iter().any(|entry| matches!(entry, Entry::Continued { .. }));
    let chosen = |entry: &&Entry| matches!(entry, Entry::Resolved { with: Resolution::SignalChosen { .. }, .. });
    let chooses = journal.iter().any(chosen);
    let races = ran.signals(&mut taken) || goes_on || chooses;
    let mut sorted = taken.clone();
    sorted.sort_unstable();
    sorted.dedup();
    if sorted.len() != taken.len() {
        return Err(format!("a message was taken twice: {taken:?}"));
    }
    let mut kept: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for entry in journal {
        if let Entry::SignalKept { name, payload, .. } = entry {
            kept.entry(name).or_default().push(payload.read().unwrap_or_default());
        }
    }
    for values in kept.values().filter(|_| !races) {
        let mut heads = values.iter().map(|value| sorted.binary_search(value).is_ok());
        if heads.any(|taken| !taken) && heads.any(|taken| taken) {
            return Err(format!("messages {taken:?} were taken out of their order {values:?}"));
        }
    }
    Ok(())
}

/// The journal, read back from its stored form, makes the same state, and the code asks for nothing else.
fn replays(tables: &Tables, run: RunId) -> Result<(), String> {
    let (Some(journal), Some(record)) = (tables.journal.get(&run), tables.runs.get(&run)) else {
        return Err("no journal".to_owned());
    };
    let chunks = journal.iter().map(read_back).collect::<Result<Vec<Chunk>, _>>();
    let chunks = chunks.map_err(|error| format!("the journal cannot be read back: {error}"))?;
    let closes = |chunk: &Chunk| chunk.entries.iter().any(|entry| matches!(entry, Entry::Closing { .. }));
    let active = chunks.iter().position(closes).unwrap_or(chunks.len());
    for length in [active, chunks.len()] {
        if length > 0 {
            replay(record, &journal[length - 1], &chunks[..length], tables.had_limits())?;
        }
    }
    Ok(())
}

fn read_back(committed: &Committed) -> Result<Chunk, serde_json::Error> {
    let body = serde_json::to_string(&committed.chunk.entries)?;
    let entries: Vec<Entry> = serde_json::from_str(&body)?;
    if entries != committed.chunk.entries {
        return Err(serde::de::Error::custom("an entry changed on its way"));
    }
    Ok(Chunk { entries, ..committed.chunk.clone() })
}

/// Rebuilds the run from the first chunks and compares it with the row that was committed with the last of them.
fn replay(record: &RunRecord, last: &Committed, chunks: &[Chunk], limited: bool) -> Result<(), String> {
    let revision = last.chunk.revision;
    let registry = registry_for_replay();
    let stored = StoredRun {
        identity: record.identity.clone(),
        revision,
        build: last.row.build,
        chunks: chunks.to_vec(),
        rows: Vec::new(),
    };
    let mut machine = Machine::rebuild(stored, &registry, CodeUse::Recorded);
    // What the run belongs to was paused: no journal says so.
    machine.hold(last.row.reason == Some(Reason::Held));
    let run = machine.run();
    let closing = last.row.status == Status::Closing;
    // Which steps a limit blocked, rows tell, and there are none any more.
    let unlimited = match last.row.reason.clone() {
        Some(Reason::Limit { name, seq, .. }) => Some(Reason::Step { name, seq }),
        reason => reason,
    };
    let blocked = run.status() == Status::Running && matches!(last.row.status, Status::Queued | Status::Waiting);
    let same = (run.status() == last.row.status || (limited && blocked))
        && run.paused_by.is_some() == last.row.paused
        && run.status_line.as_deref().map(column) == last.row.status_line
        // Rows tell which steps of a closing run are left, and there are none any more.
        && (closing || run.reason() == unlimited);
    if !same {
        let row = &last.row;
        return Err(format!(
            "revision {revision} replays to {:?} {:?}, its row says {:?} {:?}",
            run.status(),
            run.reason(),
            row.status,
            row.reason
        ));
    }
    let decision = machine.decide(Vec::new(), last.chunk.at, &registry);
    match decision.transition {
        None => Ok(()),
        Some(more) => Err(format!("revision {revision} replays to something else: {:?}", more.chunk.entries)),
    }
}

/// A text as a column holds it: Postgres takes no NUL.
fn column(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// All equal starts were told of one run, and at most one of them that it made it.
fn starts_were_one(ledger: &Ledger, ends: &BTreeMap<String, End>, found: &mut Vec<Violation>) {
    use valet_engine::engine::Started;
    for (key, answers) in &ledger.starts {
        let run = ends.get(key).map(|end| end.run);
        let made = answers.iter().filter(|answer| matches!(answer, Started::Created(_))).count();
        let same = answers.iter().all(|(Started::Created(id) | Started::Existing(id))| Some(*id) == run);
        if !same || made > 1 {
            found.push(Violation { run, text: format!("{key}: equal starts were told {answers:?}") });
        }
    }
}
