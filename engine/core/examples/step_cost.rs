//! What the pure core takes for one step: deciding, writing its entries as JSON, and replaying the journal, of runs of five no-op
//! steps.
//!
//! ```text
//! cargo run -p valet-core --example step_cost           under valgrind: instructions a step; 1: over the bound, 77: no valgrind
//! cargo run -p valet-core --example step_cost -- 100    carries out 100 runs and prints how many entries they wrote
//! ```
//!
//! Instructions are counted, not time: a loaded machine gives the same number.

use std::process::{Command as Program, ExitCode, Stdio};

use serde::{Deserialize, Serialize};
use uuid::Uuid;
use valet_core::command::{Command, FinishStep, HandOverOffer, StartRun};
use valet_core::decide::{CodeUse, Machine, StoredRun};
use valet_core::id::{Attempt, LeaseId, RunId, Seq, SessionId};
use valet_core::journal::{Chunk, Entry};
use valet_core::transition::Transition;
use valet_core::{Context, Outcome, Payload, Registry, Step, StepPolicy, Stop, Timestamp, Workflow};

const STEPS: u32 = 5;
/// The difference of the two leaves out what a process does once.
const FEW: u32 = 50;
const MANY: u32 = 450;
/// Instructions a step, of a build with `opt-level` 1, as tests are built. Of what: deciding a finish (fold, one poll of the code, the next
/// operation), its entries to JSON, one sixth of a replay from JSON, and a fifth of the run's start and end. Measured: 68,454, and 65,270
/// before the core had most of its operations; a twentieth is added.
const INSTRUCTIONS_MAX: u64 = 72_000;
/// What `exit 77` says to test runners: left out.
const SKIPPED: u8 = 77;

#[derive(Serialize, Deserialize)]
struct Noop {
    n: u32,
}

impl Step for Noop {
    const NAME: &'static str = "noop";
    type Output = u32;

    fn policy() -> StepPolicy {
        StepPolicy::queue("bench")
    }
}

#[derive(Serialize, Deserialize, schemars::JsonSchema)]
struct Steps {
    steps: u32,
}

struct NoOps;

impl Workflow for NoOps {
    const NAME: &'static str = "no-ops";
    type Input = Steps;
    type Output = u32;

    async fn run(ctx: Context, input: Steps) -> Result<u32, Stop> {
        let mut sum = 0;
        for n in 0..input.steps {
            sum += ctx.step(Noop { n }).await?;
        }
        Ok(sum)
    }
}

fn at(ms: i64) -> Timestamp {
    Timestamp::from_timestamp_millis(1_800_000_000_000 + ms).expect("an instant")
}

/// Decides and writes; what it wrote goes to the journal as bytes, as a store gets it.
fn decided(machine: &mut Machine, command: Command, ms: i64, registry: &Registry) -> (Transition, Vec<u8>) {
    let transition = machine.decide(vec![command], at(ms), registry).transition.expect("a transition");
    let bytes = serde_json::to_vec(&transition.chunk.entries).expect("JSON");
    (transition, bytes)
}

/// One run from its start to its end, and its journal followed once more. Answers the entries it wrote.
fn one_run(number: u32, registry: &Registry) -> usize {
    let mut entropy = [0; 16];
    entropy[8..12].copy_from_slice(&number.to_be_bytes());
    let id = RunId::root(at(0), entropy);
    let input = Payload::of(&Steps { steps: STEPS }).expect("JSON");
    let text = ["acme", "ada", NoOps::NAME, "free"].map(ToOwned::to_owned);
    let [tenant, subject, workflow, plan] = text;
    let start = StartRun::new(tenant, subject, workflow, plan, input);
    let mut machine = Machine::create(id, &start, at(0), registry, CodeUse::Recorded);
    let (mut transition, bytes) = decided(&mut machine, Command::Start(Box::new(start)), 0, registry);
    let mut journal = vec![(transition.chunk.revision, transition.chunk.at, bytes)];
    for seq in 1..=STEPS {
        let lease = |n: u32| LeaseId(Uuid::from_u128(u128::from(n)));
        let session = SessionId(Uuid::from_u128(9));
        let hand_over = HandOverOffer { lease: lease(seq + 1), session, queue: "bench".to_owned() };
        let finish = FinishStep {
            seq: Seq(seq),
            attempt: Attempt::FIRST,
            lease: lease(seq),
            session,
            outcome: Outcome::Done { output: Payload::of(&(seq - 1)).expect("JSON") },
            hand_over: Some(hand_over),
            costs: Vec::new(),
        };
        let bytes;
        (transition, bytes) = decided(&mut machine, Command::Finish(Box::new(finish)), i64::from(seq), registry);
        journal.push((transition.chunk.revision, transition.chunk.at, bytes));
    }
    assert!(transition.ended(), "five results end the run");
    let chunks: Vec<Chunk> = journal
        .into_iter()
        .map(|(revision, at, bytes)| {
            let entries: Vec<Entry> = serde_json::from_slice(&bytes).expect("what was written is read");
            Chunk { revision, at, entries }
        })
        .collect();
    let entries = chunks.iter().map(|chunk| chunk.entries.len()).sum();
    let identity = machine.run().identity.clone();
    let stored =
        StoredRun { identity, revision: transition.chunk.revision, build: registry.build(), chunks, rows: Vec::new() };
    let rebuilt = Machine::rebuild(stored, registry, CodeUse::Recorded);
    assert_eq!(rebuilt.run().phase, machine.run().phase, "a rebuilt run is the run that lived");
    entries
}

fn carry_out(runs: u32) -> usize {
    let registry = Registry::new(1).with::<NoOps>();
    (0..runs).map(|number| one_run(number, &registry)).sum()
}

/// Instructions of this program with so many runs; `None` without valgrind.
fn instructions(runs: u32) -> Result<Option<u64>, String> {
    let own = std::env::current_exe().map_err(|e| e.to_string())?;
    let ran = Program::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(own)
        .arg(runs.to_string())
        .stdin(Stdio::null())
        .output();
    let output = match ran {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let told = String::from_utf8_lossy(&output.stderr);
    let collected = told.lines().find_map(|line| line.split_once("Collected :"));
    let count = collected.and_then(|(_, count)| count.trim().parse().ok());
    match count {
        Some(count) if output.status.success() => Ok(Some(count)),
        _ => Err(format!("valgrind ended with {}: {told}", output.status)),
    }
}

fn main() -> ExitCode {
    if let Some(runs) = std::env::args().nth(1) {
        let Ok(runs) = runs.parse() else {
            eprintln!("error: `{runs}` is not a number of runs");
            return ExitCode::from(2);
        };
        println!("{runs} runs of {STEPS} steps wrote {} entries", carry_out(runs));
        return ExitCode::SUCCESS;
    }
    match instructions(FEW).and_then(|few| Ok(few.zip(instructions(MANY)?))) {
        Ok(Some((few, many))) => {
            let step = many.saturating_sub(few) / u64::from((MANY - FEW) * STEPS);
            println!("core: {step} instructions a step; at most {INSTRUCTIONS_MAX}");
            ExitCode::from(u8::from(step > INSTRUCTIONS_MAX))
        }
        Ok(None) => {
            eprintln!("left out: valgrind is not installed");
            ExitCode::from(SKIPPED)
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}
