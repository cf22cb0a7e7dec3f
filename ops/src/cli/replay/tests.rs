use serde_json::{Value, json};
use valet_core::Timestamp;
use valet_core::decide::StoredRun;
use valet_core::id::{RunId, Seq};
use valet_core::journal::StuckReason;
use valet_core::run::Identity;
use valet_engine::replay_check::{Mismatch, ReplayedRun, Verdict};
use valet_testing::{TestEngine, retry};
use valet_workflows::bench::{BenchWorkflow, Noop};

use super::*;
use crate::cli::output::captured::Captured;
use crate::cli::style::Style;

/// A run of the bench: two steps, the second in its second attempt, and a message between them that says `personal`.
fn stored() -> StoredRun {
    let run = TestEngine::new()
        .on_step(|noop: Noop, attempt| if noop.n == 1 && attempt == 1 { Err(retry("busy")) } else { Ok(noop.n) })
        .on_wait("go", |_| Some("personal"))
        .run::<BenchWorkflow>(&json!({ "steps": 2, "park": true }))
        .expect("an end");
    let identity = Identity {
        id: RunId::root(Timestamp::default(), [7; 16]),
        tenant: "acme".to_owned(),
        subject: "ada".to_owned(),
        workflow: "bench".to_owned(),
        plan: "free".to_owned(),
        parent: None,
        created_at: Timestamp::default(),
    };
    let chunks = run.journal().to_vec();
    StoredRun { identity, revision: chunks.len() as u32, build: 5, chunks, rows: Vec::new() }
}

/// As if this build slept where the run began to wait.
fn misfit() -> Verdict {
    let (recorded, asked) = ("wait `go` at 2".to_owned(), "sleep `` at 2".to_owned());
    Verdict::Misfit(Mismatch { revision: 2, index: 1, why: StuckReason::Mismatch { seq: Seq(2), recorded, asked } })
}

fn command(step: bool, payloads: bool) -> ReplayCommand {
    ReplayCommand { id: String::new(), step, payloads }
}

fn told(command: &ReplayCommand, verdict: Verdict, json: bool) -> (String, u8) {
    let captured = Captured::new(json);
    let (walk, summary) = opened(ReplayedRun { stored: stored(), verdict }, 6, command.payloads);
    tell(command, walk, &summary, &captured.output).expect("told");
    (captured.out(), summary.exit().code())
}

#[test]
fn without_steps_it_says_whether_the_build_fits_and_where_not() {
    let (fits, code) = told(&command(false, false), Verdict::Fits, false);
    assert!(fits.ends_with("bench  succeeded: build 6 asks for what its 11 entries recorded\n"), "{fits}");
    assert_eq!(code, 0);
    let (misfits, code) = told(&command(false, false), misfit(), false);
    let expect =
        "build 6 leaves its journal at entry 4 (2.1): recorded was wait `go` at 2, this code asks for sleep `` at 2";
    assert!(misfits.contains(expect), "{misfits}");
    assert_eq!(code, 1);
    let (document, _) = told(&command(false, false), misfit(), true);
    let document: Value = serde_json::from_str(&document).expect("JSON");
    assert_eq!((&document["verdict"], &document["misfit"]["entry"]), (&json!("misfit"), &json!(4)));
    assert_eq!(told(&command(false, false), Verdict::Newer, false).1, 0);
}

#[test]
fn a_walk_tells_each_entry_and_what_it_changed() {
    let (text, _) = told(&command(true, false), misfit(), false);
    let lines: Vec<&str> = text.lines().collect();
    let after = |entry: &str| lines.iter().position(|line| line.contains(entry)).unwrap_or_else(|| panic!("{text}"));
    assert!(lines[0].contains("1.0") && lines[0].ends_with("started           the run begins"), "{text}");
    let asks = after("1: the code asks for step `noop`");
    assert_eq!(
        lines[asks + 1..asks + 4],
        [
            "      ~ status: waiting → running",
            "      + waits for: step noop",
            "      + step 1: noop, attempt 1, ready or at work",
        ]
    );
    let waits = after("2: the code asks for wait `go`");
    assert!(
        lines[waits + 1..].iter().take(4).any(|line| line.starts_with("      ✗ this build leaves here:")),
        "{text}"
    );
    let failed = after("3: attempt 1 failed with `busy`; the next may begin at");
    assert!(
        lines[failed + 1..]
            .iter()
            .take(4)
            .any(|line| line.contains("attempt 1, ready or at work → noop, attempt 2, backs off"))
    );
    after("the outcome is fixed: succeeded");
    assert!(!text.contains("an engine with build"), "what holds only inside a transition is no reason: {text}");
}

#[test]
fn what_was_said_is_shown_only_when_it_is_asked_for() {
    for json in [false, true] {
        assert!(!told(&command(true, false), Verdict::Fits, json).0.contains("personal"));
    }
    assert!(told(&command(true, true), Verdict::Fits, true).0.contains("personal"));
}

#[test]
fn every_line_of_a_walk_is_a_document_and_the_last_is_the_verdict() {
    let (text, _) = told(&command(true, false), misfit(), true);
    let documents: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(documents.len(), 11 + 1);
    let numbers: Vec<u64> =
        documents[..11].iter().map(|document| document["entry"].as_u64().expect("a number")).collect();
    assert_eq!(numbers, (1..=11).collect::<Vec<_>>());
    let misfits: Vec<&Value> = documents.iter().filter(|document| document["misfit"].is_string()).collect();
    assert_eq!((misfits.len(), &misfits[0]["entry"]), (1, &json!(4)));
    assert_eq!(documents[11]["verdict"], "misfit");
}

/// What a terminal shows to somebody who types these lines.
fn typed(lines: &str) -> String {
    let (walk, summary) = opened(ReplayedRun { stored: stored(), verdict: Verdict::Fits }, 6, false);
    let mut out = Vec::new();
    terminal::walk(walk, &summary.words(), Style::default(), &mut lines.as_bytes(), &mut out).expect("walked");
    String::from_utf8(out).expect("text")
}

#[test]
fn a_person_steps_on_jumps_and_looks_around() {
    let entries = |text: &str| {
        let shown = text.lines().filter_map(|line| line.trim_start_matches("replay> ").get(..5)?.trim().parse().ok());
        shown.collect::<Vec<usize>>()
    };
    assert_eq!(entries(&typed("\n\nq\n\n")), [1, 2, 3], "nothing after q");
    assert_eq!(entries(&typed("n 3\n")), [1, 2, 3, 4]);
    assert_eq!(entries(&typed("g 6\ng 2\n\n")), [1, 6, 2, 3], "there and back");
    assert!(typed("g 99\n").contains("the journal has 11 entries"));
    assert!(typed("n 11\n\n").contains("this is the end of the journal"));
    assert!(typed("g 2\np\n").contains("\"name\": \"noop\""));
    let state = typed("g 2\ns\n");
    assert!(
        state.contains("      status: running\n      waits for: step noop\n      step 1: noop, attempt 1"),
        "{state}"
    );
    let back = typed("g 8\ng 2\ns\n");
    assert_eq!(state.rsplit("status:").next(), back.rsplit("status:").next(), "the state goes back too");
    assert!(typed("x\n").matches("to entry N").count() == 2, "what is not understood is answered with help");
}
