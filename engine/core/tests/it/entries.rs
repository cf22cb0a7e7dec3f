//! The journal's entries as they are stored: whatever was once written must be read for as long as runs live.

use serde_json::Value;
use valet_core::journal::Entry;

use super::subject::word;

const ENTRIES: &str = include_str!("entries.json");

#[test]
fn every_stored_entry_is_read_and_written_as_it_was() {
    let stored: Vec<Value> = serde_json::from_str(ENTRIES).expect("JSON");
    for text in stored {
        let entry: Entry = serde_json::from_str(&text.to_string()).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(serde_json::to_value(&entry).expect("JSON"), text);
    }
}

/// An entry or an operation that is added without its stored form is noticed here.
#[test]
fn every_kind_of_entry_operation_and_end_is_stored_in_the_file() {
    for name in [
        "started",
        "continued",
        "forked",
        "version",
        "children_started",
        "children_cancelled",
        "spent",
        "budget_changed",
        "op",
        "dropped",
        "resolved",
        "held",
        "released",
        "attempt_ended",
        "step_stopped",
        "started_in_time",
        "ran_by",
        "any_worker",
        "signal_kept",
        "paused",
        "unpaused",
        "cancel_requested",
        "input_changed",
        "skipped",
        "killed",
        "retry_requested",
        "stuck",
        "mended",
        "closing",
        "finalizer_started",
        "ended",
    ] {
        let stored: Vec<Entry> = serde_json::from_str(ENTRIES).expect("entries");
        assert!(stored.iter().any(|entry| word(entry) == name), "no `{name}`");
    }
    let source = include_str!("../../src/journal.rs");
    let kinds =
        ["Entry", "Op", "Resolution", "HumanOutcome", "AttemptEnd", "RunOutcome", "CompletionOutcome", "StuckReason"];
    for kind in kinds {
        let body = source.split(&format!("pub enum {kind} {{")).nth(1).expect("an enum");
        let body = body.split("\n}").next().expect("its end");
        for line in body.lines().filter(|line| line.starts_with("    ") && !line.starts_with("     ")) {
            let variant: String = line.trim().chars().take_while(|c| c.is_alphanumeric()).collect();
            if variant.is_empty() {
                continue;
            }
            let name = variant.chars().fold(String::new(), |mut snake, c| {
                if c.is_uppercase() && !snake.is_empty() {
                    snake.push('_');
                }
                snake.extend(c.to_lowercase());
                snake
            });
            assert!(ENTRIES.contains(&format!("\"{name}\"")), "{kind}::{variant} has no stored form");
        }
    }
}

/// Entries of before a field was added are read without it.
#[test]
fn entries_of_older_builds_are_read() {
    let old = [
        r#"{"attempt_ended":{"seq":1,"attempt":1,"why":"lost","next_at":null}}"#,
        r#"{"step_stopped":{"seq":1,"attempt":1}}"#,
        r#"{"op":{"seq":1,"op":{"step":{"name":"work","input":{}}}}}"#,
        r#"{"op":{"seq":1,"op":{"step":{"name":"work","input":{},"policy":{"queue":"browser"}}}}}"#,
        r#"{"op":{"seq":1,"op":{"wait":{"name":"go"}}}}"#,
        r#"{"op":{"seq":1,"op":{"human":{"task":{"reason":"r","title":"t","form":{},"deadline":"2026-11-21T09:00:00Z"}}}}}"#,
        r#"{"resolved":{"seq":1,"with":{"step_failed":{"attempt":1,"lease":null,"failure":{"failed":{"code":"x","message":"y"}}}}}}"#,
    ];
    for text in old {
        serde_json::from_str::<Entry>(text).unwrap_or_else(|e| panic!("{text}: {e}"));
    }
}
