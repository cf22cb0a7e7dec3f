//! What a run's journal tells a person: a fold of its entries into what happened and what is going on.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use valet_core::Timestamp;
use valet_core::event::is_channel;
use valet_core::id::{RunId, Seq};
use valet_core::journal::{AttemptEnd, Entry, HumanOutcome, Op, Resolution, RunOutcome, StepOp, task_id};
use valet_protocol::api::{RunDetail, RunEvent};

use crate::cli::bounds::UNTAKEN_AFTER;
use crate::cli::style::Style;
use crate::cli::{money, text, when};

/// Columns of a foreign message inside a line.
const MESSAGE_COLUMNS_MAX: usize = 200;

/// Columns of a foreign text in the live view, which reads best where no line wraps.
const LIVE_COLUMNS_MAX: usize = 60;

/// What kind of news it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    Begun,
    Done,
    Failed,
    Retry,
    Status,
    Person,
    Waiting,
    Operator,
    Log,
}

impl Mark {
    pub fn sign(self, style: Style) -> String {
        match self {
            Self::Begun => style.dim("→"),
            Self::Done => style.good("✓"),
            Self::Failed => style.bad("✗"),
            Self::Retry => style.warn("↻"),
            Self::Status => style.live("●"),
            Self::Person => style.warn("?"),
            Self::Waiting => style.dim("…"),
            Self::Operator => style.warn("!"),
            Self::Log => style.dim("·"),
        }
    }
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Happening {
    pub at: Timestamp,
    pub mark: Mark,
    pub text: String,
    /// Commands and details below it.
    pub more: Vec<String>,
    /// The live view shows it for as long as it lasts, so that it needs no line that stays.
    pub passing: bool,
}

/// What is going on now.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Open {
    Step { name: String, queue: String, attempt: u32, now: StepNow, told_untaken: bool },
    Person { task: String, title: String, deadline: Timestamp },
    Timer { until: Timestamp },
    Signal { name: String },
    Event { key: String },
    Child { workflow: String },
    Children { workflow: String, count: u32, ended: u32 },
    Outside { name: String, deadline: Timestamp },
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum StepNow {
    Going,
    /// No worker has it yet.
    Untaken,
    BackingOff {
        until: Timestamp,
    },
    Parked,
}

#[derive(Clone, Debug)]
struct Ongoing {
    open: Open,
    since: Timestamp,
    /// Of the attempt that goes on.
    attempt_since: Timestamp,
}

impl Ongoing {
    /// A step that began just now is about to be taken; telling so would be noise.
    fn is_unsure(&self, at: Timestamp) -> bool {
        matches!(&self.open, Open::Step { now, .. } if *now != StepNow::Parked)
            && when::between(self.attempt_since, at) >= UNTAKEN_AFTER
    }
}

/// The fold of a run's events.
pub struct Story {
    run: String,
    id: Option<RunId>,
    started_at: Option<Timestamp>,
    status: Option<String>,
    open: BTreeMap<Seq, Ongoing>,
    finalizers: BTreeMap<Seq, Arc<StepOp>>,
    paused: bool,
    stuck: bool,
}

impl Story {
    pub fn new(run: &str) -> Self {
        Self {
            run: text::line(run),
            id: run.parse().ok(),
            started_at: None,
            status: None,
            open: BTreeMap::new(),
            finalizers: BTreeMap::new(),
            paused: false,
            stuck: false,
        }
    }

    /// How long after the run's start.
    pub fn offset(&self, at: Timestamp) -> Duration {
        self.started_at.map_or(Duration::ZERO, |start| when::between(start, at))
    }

    /// A step has been open for a while, and the journal does not tell whether a worker has it.
    pub fn wants_a_look(&self, now: Timestamp) -> bool {
        !self.paused && self.open.values().any(|ongoing| ongoing.is_unsure(now))
    }

    /// Takes an event in. An entry of a kind that this build does not know tells nothing.
    pub fn apply(&mut self, event: &RunEvent) -> Vec<Happening> {
        match serde_json::from_value(event.entry.clone()) {
            Ok(entry) => self.entry(entry, event.at).into_iter().collect(),
            Err(_) => Vec::new(),
        }
    }

    fn entry(&mut self, entry: Entry, at: Timestamp) -> Option<Happening> {
        match entry {
            Entry::Started { .. } => {
                self.started_at = Some(at);
                Some(tell(at, Mark::Begun, format!("{} began", self.run)))
            }
            Entry::Continued { carried, .. } => {
                self.open.clear();
                self.finalizers = carried.finalizers.into_iter().map(|f| (f.seq, f.op)).collect();
                Some(tell(at, Mark::Begun, "goes on with another input".to_owned()))
            }
            Entry::Forked { from, entry, by } => {
                let by = text::line(&by);
                Some(tell(at, Mark::Operator, format!("forked by {by} from {from}, which gave {entry} entries")))
            }
            Entry::ChildrenStarted { seq, to } => self.fan_progress(seq, "started", to, at),
            Entry::ChildrenCancelled { seq, to } => self.fan_progress(seq, "told to stop", to, at),
            Entry::Spent { what, micros, .. } => Some(tell(at, Mark::Log, paid(&what, micros)).passing()),
            Entry::BudgetChanged { by, budget_micros } => {
                let budget = budget_micros.map_or_else(|| "no bound".to_owned(), money::show);
                Some(tell(at, Mark::Operator, format!("may spend {budget}, says {}", text::line(&by))))
            }
            Entry::Op { seq, op } => self.op(seq, op, at),
            Entry::FinalizerStarted { seq, .. } => self.finalize(seq, seq, at),
            Entry::Dropped { seq } | Entry::StepStopped { seq, .. } => self.dropped(seq, at),
            Entry::Resolved { seq, with } | Entry::Held { seq, with } => self.resolved(seq, with, at),
            Entry::AttemptEnded { seq, attempt, why, next_at, .. } => {
                self.attempt_ended(seq, attempt.0, why, next_at, at)
            }
            Entry::SignalKept { name, key, .. } if is_channel(&name) => {
                Some(tell(at, Mark::Log, format!("the event {} came in", quoted(&key))))
            }
            Entry::SignalKept { name, .. } => Some(tell(at, Mark::Log, format!("signal {} came in", quoted(&name)))),
            Entry::Paused { by } => {
                self.paused = true;
                let command = format!("valet runs resume {}", self.run);
                Some(tell(at, Mark::Operator, format!("paused by {}", text::line(&by))).with(command))
            }
            Entry::Unpaused { by } => {
                self.paused = false;
                Some(tell(at, Mark::Operator, format!("resumed by {}", text::line(&by))))
            }
            Entry::CancelRequested { by, reason } => {
                let reason = if reason.is_empty() { String::new() } else { format!(": {}", message(&reason)) };
                Some(tell(at, Mark::Operator, format!("cancelled by {}{reason}", text::line(&by))))
            }
            Entry::RetryRequested { seq, by } => Some(self.retried(seq, &by, at)),
            Entry::InputChanged { seq, by, .. } => {
                Some(tell(at, Mark::Operator, format!("step {seq} was given another input by {}", text::line(&by))))
            }
            Entry::Skipped { seq, by } => {
                Some(tell(at, Mark::Operator, format!("step {seq} skipped by {}", text::line(&by))))
            }
            Entry::Killed { by, reason, cleanup } => {
                let reason = if reason.is_empty() { String::new() } else { format!(": {}", message(&reason)) };
                let how = if cleanup { "killed, to be cleaned up," } else { "killed" };
                Some(tell(at, Mark::Operator, format!("{how} by {}{reason}", text::line(&by))))
            }
            Entry::Stuck { why } => {
                self.stuck = true;
                let text = self.id.map_or_else(|| "stuck".to_owned(), |id| format!("stuck: {}", why.explain(id)));
                Some(tell(at, Mark::Failed, message(&text)))
            }
            Entry::Mended { by, .. } => {
                self.stuck = false;
                Some(tell(at, Mark::Operator, format!("mended by {}", text::line(&by))))
            }
            Entry::Closing { outcome } => self.closing(&outcome, at),
            Entry::AnyWorker { seq, .. } => {
                Some(tell(at, Mark::Waiting, format!("step {seq} waited for its worker in vain; any may take it")))
            }
            Entry::RanBy { .. }
            | Entry::StartedInTime { .. }
            | Entry::Version { .. }
            | Entry::Released
            | Entry::Ended => None,
        }
    }

    fn op(&mut self, seq: Seq, op: Op, at: Timestamp) -> Option<Happening> {
        match op {
            Op::Step(step) => Some(self.step(seq, &step, at)),
            Op::Finally(step) | Op::Compensate(step) => {
                self.finalizers.insert(seq, step);
                None
            }
            Op::FinallyNow { of, .. } => self.finalize(seq, of, at),
            Op::Sleep { until } => {
                self.begin(seq, Open::Timer { until }, at);
                let wait = when::took(when::between(at, until));
                Some(tell(at, Mark::Waiting, format!("sleeps for {wait}")).passing())
            }
            Op::Wait { event: Some(event), .. } => {
                let what = quoted(&event.key);
                self.begin(seq, Open::Event { key: event.key }, at);
                Some(tell(at, Mark::Waiting, format!("waits for the event {what}")))
            }
            Op::Wait { name, .. } => {
                let what = quoted(&name);
                let command = format!("valet runs signal {} {} --payload JSON", self.run, text::line(&name));
                self.begin(seq, Open::Signal { name }, at);
                Some(tell(at, Mark::Waiting, format!("waits for the signal {what}")).with(command))
            }
            Op::Human { task } => {
                let id = self.id.map(|run| task_id(run, seq).to_string()).unwrap_or_default();
                let title = message(&task.title);
                let happening =
                    tell(at, Mark::Person, format!("a person is needed ({}): {title}", text::line(&task.reason)))
                        .with(format!("valet human answer {id}"));
                self.begin(seq, Open::Person { task: id, title, deadline: task.deadline }, at);
                Some(happening)
            }
            Op::Child { workflow, .. } => {
                let happening = tell(at, Mark::Waiting, format!("waits for its child {}", quoted(&workflow))).passing();
                self.begin(seq, Open::Child { workflow }, at);
                Some(happening)
            }
            Op::FanOut { workflow, count, .. } => {
                let happening = tell(at, Mark::Waiting, format!("waits for {count} children {}", quoted(&workflow)));
                self.begin(seq, Open::Children { workflow, count, ended: 0 }, at);
                Some(happening.passing())
            }
            Op::Completion { name, deadline, .. } => {
                let happening = tell(at, Mark::Waiting, format!("waits for somebody outside: {}", quoted(&name)));
                self.begin(seq, Open::Outside { name, deadline }, at);
                Some(happening)
            }
            Op::Cost { what, micros } => Some(tell(at, Mark::Log, paid(&what, micros)).passing()),
            Op::Progress { fraction } => {
                Some(tell(at, Mark::Status, format!("{:.0} % done", fraction * 100.0)).passing())
            }
            Op::Emit { .. } | Op::Value { .. } | Op::Memo { .. } | Op::Attributes { .. } => None,
            Op::Log { message: said } => Some(tell(at, Mark::Log, message(&said))),
            Op::Status { text: said } => {
                let status = message(&said);
                self.status = Some(status.clone());
                Some(tell(at, Mark::Status, status).passing())
            }
        }
    }

    fn begin(&mut self, seq: Seq, open: Open, at: Timestamp) {
        self.open.insert(seq, Ongoing { open, since: at, attempt_since: at });
    }

    fn step(&mut self, seq: Seq, step: &StepOp, at: Timestamp) -> Happening {
        let (name, queue) = (text::line(&step.name), text::line(&step.policy.queue));
        let happening = tell(at, Mark::Begun, name.clone()).passing();
        self.begin(seq, Open::Step { name, queue, attempt: 1, now: StepNow::Going, told_untaken: false }, at);
        happening
    }

    fn finalize(&mut self, seq: Seq, of: Seq, at: Timestamp) -> Option<Happening> {
        let step = self.finalizers.get(&of)?.clone();
        Some(self.step(seq, &step, at))
    }

    fn fan_progress(&mut self, seq: Seq, what: &str, to: u32, at: Timestamp) -> Option<Happening> {
        let Open::Children { workflow, count, .. } = &self.open.get(&seq)?.open else { return None };
        Some(tell(at, Mark::Waiting, format!("{to} of {count} children {} {what}", quoted(workflow))).passing())
    }

    /// The operation is over with the last of them.
    fn children_ended(&mut self, seq: Seq, ends: &[(u32, RunOutcome)], at: Timestamp) -> Option<Happening> {
        let Open::Children { workflow, count, ended } = &mut self.open.get_mut(&seq)?.open else { return None };
        *ended += ends.len() as u32;
        let text = format!("{ended} of {count} children {} ended", quoted(workflow));
        if ended < count {
            return Some(tell(at, Mark::Waiting, text).passing());
        }
        self.open.remove(&seq);
        Some(tell(at, Mark::Done, text))
    }

    fn dropped(&mut self, seq: Seq, at: Timestamp) -> Option<Happening> {
        let was = self.open.remove(&seq)?;
        match was.open {
            Open::Step { name, .. } => Some(tell(at, Mark::Log, format!("{name} was stopped"))),
            _ => None,
        }
    }

    fn resolved(&mut self, seq: Seq, with: Resolution, at: Timestamp) -> Option<Happening> {
        if let Resolution::ChildrenEnded { ends } = &with {
            return self.children_ended(seq, ends, at);
        }
        let was = self.open.remove(&seq)?;
        match (was.open, with) {
            (Open::Step { name, attempt, .. }, Resolution::StepFailed { failure, .. }) => {
                let took = took(was.since, at, attempt);
                Some(tell(at, Mark::Failed, format!("{name}  {took}")).with(message(&failure.to_string())))
            }
            (Open::Step { name, attempt, .. }, _) => {
                Some(tell(at, Mark::Done, format!("{name}  {}", took(was.since, at, attempt))))
            }
            (Open::Person { .. }, Resolution::Human(outcome)) => Some(answered(&outcome, at)),
            (Open::Signal { name }, Resolution::WaitTimedOut) => {
                Some(tell(at, Mark::Waiting, format!("the signal {} did not come in time", quoted(&name))))
            }
            (Open::Event { key }, Resolution::WaitTimedOut) => {
                Some(tell(at, Mark::Waiting, format!("the event {} did not come in time", quoted(&key))))
            }
            (Open::Outside { name, .. }, Resolution::WaitTimedOut) => {
                Some(tell(at, Mark::Waiting, format!("nobody outside completed {} in time", quoted(&name))))
            }
            (Open::Outside { name, .. }, _) => {
                Some(tell(at, Mark::Done, format!("somebody outside completed {}", quoted(&name))))
            }
            (Open::Child { workflow }, Resolution::ChildEnded { outcome }) => {
                let mark = if outcome.status() == "succeeded" { Mark::Done } else { Mark::Failed };
                Some(tell(at, mark, format!("child {} {}", quoted(&workflow), outcome.status())))
            }
            _ => None,
        }
    }

    fn attempt_ended(
        &mut self,
        seq: Seq,
        ended: u32,
        why: AttemptEnd,
        next_at: Option<Timestamp>,
        at: Timestamp,
    ) -> Option<Happening> {
        let ongoing = self.open.get_mut(&seq)?;
        let Open::Step { name, attempt, now, told_untaken, .. } = &mut ongoing.open else { return None };
        (*attempt, *told_untaken) = (ended + 1, false);
        let (failed, cause) = match why {
            AttemptEnd::Failed(failure) => (true, message(&failure.to_string())),
            AttemptEnd::Lost => (false, format!("the worker of attempt {ended} vanished; it begins again")),
            AttemptEnd::HandedBack => (false, "its worker gave it back".to_owned()),
        };
        let happening = match next_at {
            Some(_) if !failed => {
                *now = StepNow::Going;
                tell(at, Mark::Retry, format!("{name}: {cause}"))
            }
            Some(until) => {
                *now = StepNow::BackingOff { until };
                let wait = when::took(when::between(at, until));
                tell(at, Mark::Retry, format!("{name}: attempt {ended} failed, the next in {wait}")).with(cause)
            }
            None => {
                *now = StepNow::Parked;
                let command = format!("valet runs retry {}", self.run);
                tell(at, Mark::Operator, format!("{name}: all attempts failed; it waits for you"))
                    .with(cause)
                    .with(command)
            }
        };
        ongoing.attempt_since = next_at.unwrap_or(at);
        Some(happening)
    }

    fn retried(&mut self, seq: Seq, by: &str, at: Timestamp) -> Happening {
        let by = text::line(by);
        let Some(ongoing) = self.open.get_mut(&seq) else {
            return tell(at, Mark::Operator, format!("retried by {by}"));
        };
        ongoing.attempt_since = at;
        let Open::Step { name, now, .. } = &mut ongoing.open else {
            return tell(at, Mark::Operator, format!("retried by {by}"));
        };
        *now = StepNow::Going;
        tell(at, Mark::Operator, format!("{name}: tried again for {by}"))
    }

    fn closing(&mut self, outcome: &RunOutcome, at: Timestamp) -> Option<Happening> {
        // What waits is over; steps end by their own entries.
        self.open.retain(|_, ongoing| matches!(ongoing.open, Open::Step { .. }));
        match outcome {
            RunOutcome::Failed { error } | RunOutcome::TimedOut { error } => {
                Some(tell(at, Mark::Failed, message(&error.to_string())))
            }
            RunOutcome::Succeeded { .. } | RunOutcome::Cancelled { .. } => None,
        }
    }

    /// Takes in what the engine knows beyond the journal: whether a worker has the open steps.
    pub fn look(&mut self, detail: &RunDetail, now: Timestamp) -> Vec<Happening> {
        let mut news = Vec::new();
        for view in &detail.steps {
            let Some(ongoing) = self.open.get_mut(&Seq(view.seq)).filter(|ongoing| ongoing.is_unsure(now)) else {
                continue;
            };
            let Open::Step { name, queue, attempt, now: state, told_untaken } = &mut ongoing.open else { continue };
            // A look may be older or newer than the journal that was read so far.
            if view.attempt != *attempt {
                continue;
            }
            match view.state.as_str() {
                "ready" => *state = StepNow::Untaken,
                "running" => *state = StepNow::Going,
                _ => continue,
            }
            if *state == StepNow::Untaken && !std::mem::replace(told_untaken, true) {
                let text = format!("{name}: no worker of the queue {queue} has taken it yet");
                news.push(tell(now, Mark::Waiting, text).with("valet workers".to_owned()).passing());
            }
        }
        news
    }

    /// The lines of the live view: what the run says of itself, then what is open.
    pub fn live_lines(&self, now: Timestamp, spinner: char, style: Style) -> Vec<String> {
        let status = self.status.as_deref().unwrap_or("begins");
        let state = match (self.stuck, self.paused) {
            (true, _) => style.bad(" (stuck)"),
            (_, true) => style.warn(" (paused)"),
            _ => String::new(),
        };
        let spinner = style.live(&spinner.to_string());
        let time = when::took(self.offset(now));
        let mut lines = vec![format!(
            "{spinner} {}{state}  {}",
            style.bold(&text::cut(status, LIVE_COLUMNS_MAX)),
            style.dim(&time)
        )];
        lines.extend(self.open.values().map(|ongoing| live_line(ongoing, now, &spinner, style)));
        lines
    }
}

fn live_line(ongoing: &Ongoing, now: Timestamp, spinner: &str, style: Style) -> String {
    let time = when::took(when::between(ongoing.attempt_since, now));
    match &ongoing.open {
        Open::Step { name, queue, attempt, now: state, .. } => {
            let again = if *attempt > 1 { format!("  attempt {attempt}") } else { String::new() };
            match state {
                StepNow::Untaken => {
                    format!("  {} {name}{again}  no worker of the queue {queue} has taken it yet", style.warn("…"))
                }
                StepNow::BackingOff { until } if *until > now => {
                    let wait = when::took(when::between(now, *until));
                    format!("  {} {name}  attempt {attempt} in {wait}", style.warn("↻"))
                }
                StepNow::Going | StepNow::BackingOff { .. } => {
                    format!("  {spinner} {name}{again}  {}", style.dim(&time))
                }
                StepNow::Parked => format!("  {} {name}  waits for an operator", style.warn("!")),
            }
        }
        Open::Person { task, title, deadline } => {
            let until = when::relative(*deadline, now);
            let command = style.bold(&format!("valet human answer {task}"));
            format!("  {} {command}  ends {until}: {}", style.warn("?"), text::cut(title, LIVE_COLUMNS_MAX))
        }
        Open::Timer { until } => format!("  {} sleeps, goes on {}", style.dim("…"), when::relative(*until, now)),
        Open::Signal { name } => format!("  {} waits for the signal {}", style.dim("…"), quoted(name)),
        Open::Event { key } => format!("  {} waits for the event {}", style.dim("…"), quoted(key)),
        Open::Children { workflow, count, ended } => {
            format!("  {} {ended} of {count} children {} ended", style.dim("…"), quoted(workflow))
        }
        Open::Outside { name, deadline } => {
            let until = when::relative(*deadline, now);
            format!("  {} waits for somebody outside: {}, ends {until}", style.dim("…"), quoted(name))
        }
        Open::Child { workflow } => format!("  {} waits for its child {}", style.dim("…"), quoted(workflow)),
    }
}

fn paid(what: &str, micros: u64) -> String {
    format!("paid {} for {}", money::show(micros), text::line(what))
}

fn tell(at: Timestamp, mark: Mark, text: String) -> Happening {
    Happening { at, mark, text, more: Vec::new(), passing: false }
}

impl Happening {
    fn with(mut self, line: String) -> Self {
        self.more.push(line);
        self
    }

    fn passing(mut self) -> Self {
        self.passing = true;
        self
    }

    /// `   2.1 s  ✓ provision  1.2 s`, with what belongs to it below.
    pub fn render(&self, offset: Duration, style: Style) -> String {
        let time = format!("{:>11}", when::took(offset));
        let mut text = format!("{}  {} {}", style.dim(&time), self.mark.sign(style), self.text);
        for line in &self.more {
            let _ = write!(text, "\n               {line}");
        }
        text
    }
}

fn answered(outcome: &HumanOutcome, at: Timestamp) -> Happening {
    match outcome {
        HumanOutcome::Answered { by, .. } => tell(at, Mark::Done, format!("answered by {}", text::line(by))),
        HumanOutcome::Rejected { by, reason, .. } => {
            tell(at, Mark::Failed, format!("rejected by {}: {}", text::line(by), message(reason)))
        }
        HumanOutcome::TimedOut => tell(at, Mark::Failed, "nobody answered in time".to_owned()),
    }
}

fn took(since: Timestamp, at: Timestamp, attempt: u32) -> String {
    let took = when::took(when::between(since, at));
    if attempt > 1 { format!("{took}  attempt {attempt}") } else { took }
}

fn quoted(name: &str) -> String {
    format!("`{}`", text::line(name))
}

fn message(foreign: &str) -> String {
    text::cut(&text::line(foreign), MESSAGE_COLUMNS_MAX)
}

#[cfg(test)]
mod tests;
