//! Bounds: the journal's length, texts that become columns.

use serde_json::json;
use valet_core::bounds::{JOURNAL_ENTRIES_MAX, NAME_BYTES_MAX, STATUS_LINE_BYTES_MAX};
use valet_core::command::Command;
use valet_core::journal::StuckReason;
use valet_core::run::{Phase, Reason};
use valet_core::{Failure, Outcome};

use super::program::Do;
use super::subject::{Subject, done, retry};

#[test]
fn a_journal_that_is_full_parks_its_run_and_goes_on_taking_results() {
    let mut run =
        Subject::run_script(&[Do::All(vec![Do::Work, Do::Wait { name: "go".to_owned(), ms: None }]), Do::Work]);
    let mut key = 0;
    // Signals that nobody reads are entries too; keys are forgotten long before the journal is full.
    while run.run().entries <= JOURNAL_ENTRIES_MAX {
        let signals = (0..900).map(|n| Command::Signal {
            name: format!("other-{}", (key + n) / 1_000),
            key: (key + n).to_string(),
            payload: valet_core::Payload::null(),
        });
        run.machine.decide(signals.collect(), run.now, &run.registry).transition.into_iter().for_each(|transition| {
            run.journal.push(transition.chunk);
        });
        key += 900;
    }
    run.claim(1, 1);
    run.finish(1, 1, 1, done(&json!(1))).expect("taken");
    assert!(matches!(run.run().phase, Phase::Stuck(StuckReason::JournalFull)), "{:?}", run.run().phase);
    run.signal("go", "k", &json!(1)).expect("kept");
    run.cancel().expect("it can always be ended");
    assert_eq!(run.status(), "cancelled");
}

#[test]
fn a_journal_below_its_bound_goes_on() {
    let mut run = Subject::run_script(&[Do::Work, Do::Work]);
    assert!(run.run().entries < JOURNAL_ENTRIES_MAX);
    run.carry_out(1, done(&json!(1)));
    assert_eq!(run.status(), "running");
}

/// Postgres takes no NUL: a text of workflow code or of a worker that holds one must not refuse its transition for ever.
#[test]
fn texts_that_become_columns_are_bounded_and_without_nul() {
    let nasty = |bytes: usize| format!("a\0{}", "é".repeat(bytes));
    let mut run = Subject::run_script(&[Do::Status { text: nasty(4_000) }, Do::Fail { code: nasty(4_000) }]);
    let row = run.last.as_ref().expect("a transition").row.clone();
    let line = row.status_line.expect("a status line");
    assert!(line.starts_with("a\u{fffd}é") && line.len() <= STATUS_LINE_BYTES_MAX + 2, "{} bytes", line.len());
    let code = row.error_code.expect("a code");
    assert!(!code.contains('\0') && code.len() <= NAME_BYTES_MAX + 2, "{} bytes", code.len());
    run.restart();

    let mut parked = Subject::run_script(&[Do::Parking]);
    parked.carry_out(1, retry(&nasty(4_000)));
    match parked.run().reason() {
        Some(Reason::Parked { code, .. }) => assert!(!code.contains('\0') && code.len() <= STATUS_LINE_BYTES_MAX + 2),
        other => panic!("not parked: {other:?}"),
    }
    let reason = serde_json::to_string(&parked.last.expect("a transition").row.reason).expect("JSON");
    assert!(!reason.contains("\\u0000"), "{reason}");
}

/// What only the journal holds is kept as it is.
#[test]
fn payloads_keep_what_columns_do_not() {
    let mut run = Subject::run_script(&[Do::Work]);
    run.carry_out(1, Outcome::Fail { error: Failure::new("x", "a\0b") });
    assert_eq!(run.output(), ["work failed: step failed: x: a\0b"]);
}
