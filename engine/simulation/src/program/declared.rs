//! A child that is a declared workflow: two tasks, one after the other, the second perhaps left out or for a certain worker; or a
//! task that runs those.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use valet_core::context::WORKER_GONE;
use valet_core::id::RunId;
use valet_core::journal::{Entry, Op, Resolution, RunOutcome};
use valet_core::run::Status;
use valet_core::{Context, Payload};

use super::grow::Grow;
use super::step::end;
use super::work::LABEL;
use super::{Fate, Job, Seen, StepEnd, Visiting, unexpected};
use crate::outside::facts::Facts;

/// The declared workflows of the simulation.
pub(crate) const DECLARED: [&str; 2] = [LINE, NEST];
const LINE: &str = "line";
const NEST: &str = "nest";

/// After so many versions they say the same again.
const VERSIONS: u64 = 6;

/// What version `number` of them says. Each comes to the same, but not by the same journal, unless the first task's worker is
/// demanded and gone.
pub(crate) fn definition(workflow: &str, number: u64) -> Payload {
    let backoff = json!({ "initial_ms": 150, "max_ms": 1000, "jitter": 0.3 });
    let mut definition = if workflow == NEST {
        json!({ "tasks": { "inner": { "workflow": LINE, "input": { "$cel": "input" } } }, "output": "tasks.inner.output" })
    } else {
        json!({
            "tasks": {
                "first": { "step": "quick", "queue": "fast", "max_attempts": 3, "backoff": backoff,
                           "input": { "$cel": "input.first" } },
                "second": { "step": "patient", "queue": "slow", "max_attempts": 8, "backoff": backoff,
                            "parents": ["first"], "skip_if": "input.skip", "input": { "$cel": "input.second" } },
            },
            "output": "{'first': tasks.first.output, 'second': tasks.second.output}",
        })
    };
    if workflow == LINE {
        let (name, value) = LABEL[0];
        let second = &mut definition["tasks"]["second"];
        match number % 3 {
            1 => {
                second["labels"] = json!({ name: value });
                second["sticky"] = json!({ "to": "first", "mode": "soft" });
            }
            2 => second["sticky"] = json!({ "to": "first", "mode": "hard" }),
            _ => {}
        }
    }
    if number % 2 == 1 {
        // A line in the log tells the versions apart.
        definition["tasks"]["odd"] = json!({ "step": "quick", "cancel_if": "true" });
    }
    Payload::of(&definition).unwrap_or_default()
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct DeclaredNode {
    first: Fate,
    second: Fate,
    skip: bool,
    nested: bool,
}

/// The place of the node whose child has this input.
pub(crate) fn first_of_line(input: &Payload) -> Option<String> {
    let input: Value = input.read().ok()?;
    Some(input["first"]["at"].as_str()?.strip_suffix(".first")?.to_owned())
}

/// What both workflows come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Line {
    first: u64,
    second: Option<u64>,
}

impl DeclaredNode {
    pub(super) fn generate(grow: &mut Grow<'_>) -> Self {
        let mut fate = || match grow.dice.between(0, 9) {
            0..=6 => Fate::Good,
            7 => Fate::FailFirst(1),
            8 => Fate::AlwaysRetry,
            _ => Fate::Fail,
        };
        let (first, second) = (fate(), fate());
        Self { first, second, skip: grow.dice.chance(0.3), nested: grow.dice.chance(0.3) }
    }

    fn workflow(&self) -> &'static str {
        if self.nested { NEST } else { LINE }
    }

    pub(super) fn run(self, ctx: Context, at: String) -> Visiting {
        Box::pin(async move {
            let job = |task: &str, fate| Job { at: format!("{at}.{task}"), fate };
            let (first, second) = (job("first", self.first), job("second", self.second));
            let input = json!({ "first": first, "second": second, "skip": self.skip });
            let result = ctx.child::<_, Line>(self.workflow(), &input).await.map_err(|failure| failure.code);
            (Seen::Declared { result }, None)
        })
    }

    /// The child came to just that; what it came to is judged by [`explain_run`].
    pub(super) fn explain(&self, seen: &Seen, at: &str, facts: &Facts<'_>) -> Result<Option<String>, String> {
        let Seen::Declared { result } = seen else { return unexpected(at, seen) };
        let first = format!("{at}.first");
        let (facts, source) = (facts.of(at), facts);
        let root = facts.tables.root_of(facts.run);
        let mine = |run: &RunId| {
            let input = input(source, *run);
            input.is_some_and(|input| input["first"]["at"] == first.as_str()) && facts.tables.root_of(*run) == root
        };
        let named = facts.tables.runs.iter().filter(|(_, record)| record.identity.workflow == self.workflow());
        let Some(run) = named.map(|(run, _)| *run).find(mine) else { return Err(format!("{at}: the child never was")) };
        let ended = outcome(&facts, run).map(|outcome| match outcome {
            RunOutcome::Succeeded { output } => output.read::<Line>().map_err(|error| error.to_string()),
            RunOutcome::Failed { error } | RunOutcome::TimedOut { error } => Err(error.code.clone()),
            RunOutcome::Cancelled { .. } => Err("cancelled".to_owned()),
        });
        if ended.as_ref() == Some(result) {
            return Ok(None);
        }
        Err(format!("{at}: the parent saw {result:?}, the declared child {run} ended as {ended:?}"))
    }
}

fn entries<'a>(facts: &Facts<'a>, run: RunId) -> impl Iterator<Item = &'a Entry> + use<'a> {
    let committed = facts.tables.journal.get(&run).into_iter().flatten();
    committed.flat_map(|committed| &committed.chunk.entries)
}

fn input(facts: &Facts<'_>, run: RunId) -> Option<Value> {
    entries(facts, run).find_map(|entry| match entry {
        Entry::Started { input, .. } => input.read().ok(),
        _ => None,
    })
}

fn outcome<'a>(facts: &Facts<'a>, run: RunId) -> Option<&'a RunOutcome> {
    entries(facts, run).find_map(|entry| match entry {
        Entry::Closing { outcome } => Some(outcome),
        _ => None,
    })
}

/// The reference for a run of a declared workflow: it ends as its tasks do, and they as the outside world says.
pub(crate) fn explain_run(facts: &Facts<'_>, status: Status) -> Result<(), String> {
    let run = facts.run;
    let pinned = entries(facts, run).find_map(|entry| match entry {
        Entry::Started { definition, .. } => definition.clone(),
        _ => None,
    });
    let workflow = facts.tables.runs.get(&run).map(|record| record.identity.workflow.as_str()).unwrap_or_default();
    if !(0..VERSIONS).any(|number| pinned.as_ref() == Some(&definition(workflow, number))) {
        return Err(format!("it carries out something that nobody declared as `{workflow}`"));
    }
    let mut failed = None;
    let mut done: Vec<(String, u64)> = Vec::new();
    // An operator did the first step: there is no worker that the second could be asked of.
    let pinned = pinned.and_then(|pinned| pinned.read::<Value>().ok()).unwrap_or_default();
    let is_demanded = pinned["tasks"]["second"]["sticky"]["mode"] == "hard";
    let skipped = entries(facts, run).any(|entry| matches!(entry, Entry::Skipped { .. }));
    if is_demanded && skipped && !entries(facts, run).any(|entry| matches!(entry, Entry::RanBy { .. })) {
        failed = Some(WORKER_GONE.to_owned());
    }
    for entry in entries(facts, run) {
        let Entry::Op { seq, op: Op::Step(step) } = entry else { continue };
        let Ok(job) = step.input.read::<Job>() else { return Err(format!("step {seq} has another's input")) };
        let ended = entries(facts, run).find_map(|entry| match entry {
            Entry::Resolved { seq: at, with } | Entry::Held { seq: at, with } if at == seq => Some(with),
            _ => None,
        });
        match ended {
            Some(Resolution::StepDone { output, .. }) => {
                let value = output.read::<u64>().map_err(|error| error.to_string())?;
                facts.step_may_end(&job.at, Ok(value), &step.policy)?;
                done.push((job.at, value));
            }
            Some(Resolution::StepFailed { failure, .. }) => {
                // Its worker was gone.
                let demanded = step.sticky.is_some_and(|sticky| sticky.hard);
                if !demanded || end(failure) != StepEnd::NotStarted {
                    facts.step_may_end(&job.at, Err(end(failure)), &step.policy)?;
                }
                failed = Some(failure.failure().code.clone());
            }
            _ => {}
        }
    }
    let Some(outcome) = outcome(facts, run) else { return Err("it has no outcome".to_owned()) };
    match outcome {
        RunOutcome::Cancelled { .. } => Ok(()),
        // Its child's end is judged where that child is.
        _ if workflow == NEST => Ok(()),
        RunOutcome::Failed { error } if failed.as_ref() == Some(&error.code) => Ok(()),
        RunOutcome::Succeeded { output } => {
            let input = input(facts, run).unwrap_or_default();
            let line = output.read::<Line>().map_err(|error| error.to_string())?;
            let of = |task: &str| {
                let at = input[task]["at"].as_str().unwrap_or_default();
                done.iter().find(|(place, _)| place == at).map(|(_, value)| *value)
            };
            let skips = input["skip"].as_bool().unwrap_or_default();
            let second = if skips { None } else { Some(of("second")) };
            let fits = of("first") == Some(line.first)
                && second.map_or(line.second.is_none(), |done| done.is_some() && done == line.second);
            if fits { Ok(()) } else { Err(format!("it came to {line:?}, its tasks to {done:?}")) }
        }
        other => Err(format!("it cannot end as {status:?} with {other:?}; its tasks: {done:?}, {failed:?}")),
    }
}
