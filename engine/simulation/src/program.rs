//! Random workflows: a program is data, and one workflow interprets it with its context.
//!
//! A durable operation has one file here with three functions: `generate` (grow one from the seed), `run` (what workflow
//! code does with it) and `explain` (whether what the code saw is allowed by what the outside world did). To add an
//! operation, add its file, a variant of [`Node`] and of [`Seen`]; the compiler names the rest.

mod all;
mod breaks;
mod child;
mod complete;
mod declared;
mod fan;
mod grow;
mod guard;
mod human;
mod note;
mod race;
mod sleep;
mod step;
mod stick;
mod wait;
mod work;

use std::future::Future;
use std::pin::Pin;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use valet_core::step::Failure;
use valet_core::{Context, Stop, Workflow};

use crate::outside::facts::Facts;

pub(crate) use breaks::PANIC;
pub(crate) use declared::{DECLARED, definition, explain_run, first_of_line};
pub(crate) use grow::{NEXT, grow};
pub(crate) use wait::CHANNELS;
pub(crate) use work::{Fate, Job, Kind, LABEL, OTHER_LABEL, QUEUES, queue_of_home};

/// What one run is asked to do. The name is unique in its seed and tells whose child it is: `p1`, `p1.0.2`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Program {
    pub name: String,
    pub nodes: Vec<Node>,
    /// What the run goes on with in a new journal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Box<Program>>,
}

impl Program {
    pub fn new(name: String, nodes: Vec<Node>) -> Self {
        Self { name, nodes, next: None }
    }
}

/// One operation of a program.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Node {
    Step(step::StepNode),
    Stick(stick::StickNode),
    Sleep(sleep::SleepNode),
    Wait(wait::WaitNode),
    Human(human::HumanNode),
    Child(child::ChildNode),
    Complete(complete::CompleteNode),
    Fan(fan::FanNode),
    Guard(guard::GuardNode),
    All(all::AllNode),
    Race(race::RaceNode),
    Note(note::NoteNode),
    Break(breaks::BreakNode),
    Declared(declared::DeclaredNode),
}

/// What the code saw an operation come to. Instants are the context's, in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Seen {
    Step {
        result: Result<u64, StepEnd>,
    },
    Stuck {
        first: Result<u64, StepEnd>,
        then: Result<u64, StepEnd>,
    },
    Slept {
        from_ms: i64,
        to_ms: i64,
    },
    Signal {
        value: u64,
    },
    NoSignal {
        from_ms: i64,
        to_ms: i64,
    },
    Human {
        end: human::HumanEnd,
    },
    Child {
        result: Result<Ran, String>,
    },
    Fan {
        results: Vec<Result<Ran, String>>,
    },
    Guard {
        inner: Ran,
        early: Option<bool>,
    },
    All {
        branches: Vec<Ran>,
    },
    Race {
        winner: usize,
        inner: Ran,
    },
    Note {
        random: u64,
        value: Option<u64>,
    },
    /// `None`: nobody did in time.
    Completed {
        value: Option<u64>,
        from_ms: i64,
        to_ms: i64,
    },
    Mended,
    Declared {
        result: Result<declared::Line, String>,
    },
}

/// Why a step had no output, as far as a program tells reasons apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StepEnd {
    Failed,
    Exhausted,
    Blocked,
    InDoubt,
    NotStarted,
    BadOutput,
}

/// How a list of operations went: what was seen, and whether one of them ended the program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ran {
    pub seen: Vec<Seen>,
    pub halted: Option<String>,
}

impl Ran {
    /// Collects the messages that were taken; true if a race may have hidden one. Children have channels of their own.
    pub fn signals(&self, taken: &mut Vec<u64>) -> bool {
        let mut races = false;
        for seen in &self.seen {
            races |= match seen {
                Seen::Signal { value } => {
                    taken.push(*value);
                    false
                }
                Seen::Guard { inner, .. } => inner.signals(taken),
                Seen::All { branches } => branches.iter().fold(false, |races, ran| ran.signals(taken) | races),
                Seen::Race { inner, .. } => {
                    inner.signals(taken);
                    true
                }
                _ => false,
            };
        }
        races
    }
}

/// One operation's end: what was seen, and where the program halts if it does.
pub(crate) type Visit = (Seen, Option<String>);
pub(crate) type Visiting = Pin<Box<dyn Future<Output = Visit> + Send>>;

impl Node {
    fn run(self, ctx: Context, at: String, build: i64) -> Visiting {
        match self {
            Self::Step(node) => node.run(ctx, at),
            Self::Stick(node) => node.run(ctx, at),
            Self::Sleep(node) => node.run(ctx),
            Self::Wait(node) => node.run(ctx),
            Self::Human(node) => node.run(ctx, at),
            Self::Child(node) => node.run(ctx, at),
            Self::Complete(node) => node.run(ctx, at),
            Self::Fan(node) => node.run(ctx, at),
            Self::Guard(node) => node.run(ctx, at, build),
            Self::All(node) => node.run(ctx, at, build),
            Self::Race(node) => node.run(ctx, at, build),
            Self::Note(node) => node.run(ctx, at, build),
            Self::Break(node) => node.run(build),
            Self::Declared(node) => node.run(ctx, at),
        }
    }

    /// Checks one operation against the outside world; answers where the program must halt, if it must.
    fn explain(&self, seen: &Seen, at: &str, facts: &Facts<'_>) -> Result<Option<String>, String> {
        match self {
            Self::Step(node) => node.explain(seen, at, facts),
            Self::Stick(node) => node.explain(seen, at, facts),
            Self::Sleep(node) => node.explain(seen, at, facts),
            Self::Wait(node) => node.explain(seen, at, facts),
            Self::Human(node) => node.explain(seen, at, facts),
            Self::Child(node) => node.explain(seen, at, facts),
            Self::Guard(node) => node.explain(seen, at, facts),
            Self::All(node) => node.explain(seen, at, facts),
            Self::Race(node) => node.explain(seen, at, facts),
            Self::Complete(node) => node.explain(seen, at, facts),
            Self::Fan(node) => node.explain(seen, at, facts),
            Self::Note(node) => node.explain(seen, at, facts),
            Self::Break(node) => node.explain(seen, at),
            Self::Declared(node) => node.explain(seen, at, facts),
        }
    }
}

/// Runs a list of operations, one after the other, until one halts the program.
pub(crate) fn walk(
    ctx: Context,
    nodes: Vec<Node>,
    place: String,
    build: i64,
) -> Pin<Box<dyn Future<Output = Ran> + Send>> {
    Box::pin(async move {
        let mut ran = Ran::default();
        for (index, node) in nodes.into_iter().enumerate() {
            let (seen, halted) = node.run(ctx.clone(), format!("{place}.{index}"), build).await;
            ran.seen.push(seen);
            if halted.is_some() {
                ran.halted = halted;
                return ran;
            }
        }
        ran
    })
}

/// The reference: evaluates a list of operations with what the outside world is known to have done, and compares.
pub(crate) fn explain(nodes: &[Node], ran: &Ran, place: &str, facts: &Facts<'_>) -> Result<(), String> {
    let mut seen = ran.seen.iter();
    for (index, node) in nodes.iter().enumerate() {
        let at = format!("{place}.{index}");
        let Some(one) = seen.next() else { return Err(format!("{at}: the program ended before this operation")) };
        let halted = node.explain(one, &at, facts)?;
        if halted.is_some() {
            let same = halted == ran.halted && seen.next().is_none();
            return if same { Ok(()) } else { Err(format!("{at}: the program should have halted here")) };
        }
    }
    if ran.halted.is_some() || seen.next().is_some() {
        return Err(format!("{place}: the program did more than it says"));
    }
    Ok(())
}

/// The build whose engines run everything to its end.
pub(crate) const NEWEST_BUILD: i64 = 2;

/// The one workflow of the simulation, as one build has it.
pub(crate) struct Interpreter<const BUILD: i64>;

impl<const BUILD: i64> Workflow for Interpreter<BUILD> {
    const NAME: &'static str = "program";
    type Input = Program;
    type Output = Ran;

    async fn run(ctx: Context, program: Program) -> Result<Ran, Stop> {
        let ran = walk(ctx.clone(), program.nodes, program.name, BUILD).await;
        match (&ran.halted, program.next) {
            (None, Some(next)) => Err(ctx.continue_as(&next)),
            (None, None) => Ok(ran),
            (Some(at), _) => Err(Stop::Failed(Failure::new("halted", at.clone()).with_details(&ran))),
        }
    }
}

fn unexpected<T>(at: &str, seen: &Seen) -> Result<T, String> {
    Err(format!("{at}: the code saw something of another operation: {seen:?}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use valet_core::id::{Attempt, LeaseId, RunId, Seq};

    use super::*;
    use crate::model::Tables;
    use crate::outside::ledger::{Ledger, SaidEnd};

    /// Checks one thing seen against a world in which one worker said `Done(7)` of the step at `p.0`.
    fn check(node: Node, seen: Seen) -> Result<(), String> {
        let (tables, mut ledger) = (Tables::new(None), Ledger::default());
        let at = (RunId(uuid::Uuid::nil()), Seq(1));
        ledger.say("p.0", at, Attempt::FIRST, LeaseId(uuid::Uuid::nil()), SaidEnd::Done(7));
        let facts = Facts { run: at.0, ledger: &ledger, tables: &tables, ends: &BTreeMap::new() };
        explain(&[node], &Ran { seen: vec![seen], halted: None }, "p", &facts)
    }

    fn step() -> Node {
        Node::Step(step::StepNode { kind: Kind::Quick, fate: Fate::Good, must: false })
    }

    #[test]
    fn the_reference_takes_what_a_worker_said_and_nothing_else() {
        assert_eq!(check(step(), Seen::Step { result: Ok(7) }), Ok(()));
        for wrong in [Ok(8), Err(StepEnd::Failed), Err(StepEnd::Exhausted), Err(StepEnd::InDoubt)] {
            assert!(check(step(), Seen::Step { result: wrong }).is_err(), "{wrong:?}");
        }
        assert!(check(step(), Seen::Slept { from_ms: 0, to_ms: 9 }).is_err());
    }

    #[test]
    fn the_reference_knows_where_a_program_must_halt() {
        let must = Node::Step(step::StepNode { kind: Kind::Quick, fate: Fate::Good, must: true });
        assert_eq!(check(must.clone(), Seen::Step { result: Ok(7) }), Ok(()));
        assert!(check(must, Seen::Step { result: Err(StepEnd::Failed) }).is_err());
    }

    #[test]
    fn a_program_is_the_same_after_its_way_through_json() {
        let mut dice = crate::dice::Dice::new(3, crate::dice::Stream::Workload);
        let program = grow("p".to_owned(), &mut dice);
        let text = serde_json::to_string(&program).unwrap();
        let back: Program = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&back).unwrap(), text);
    }
}
