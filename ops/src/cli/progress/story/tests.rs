//! The story of recorded journals.

use serde_json::{Value, json};

use super::*;

const LEASE: &str = "0b9a0000-0000-8000-8000-000000000002";
const RUN: &str = "run_0b9a0000000080008000000000000001";

/// Takes entries in, one a revision, each so many milliseconds after the start.
struct Told {
    story: Story,
    lines: Vec<String>,
    revision: u32,
}

fn at(ms: i64) -> Timestamp {
    "2026-11-21T06:00:00Z".parse::<Timestamp>().unwrap() + chrono::TimeDelta::milliseconds(ms)
}

impl Told {
    fn new() -> Self {
        Self { story: Story::new(RUN), lines: Vec::new(), revision: 0 }
    }

    fn at(mut self, ms: i64, entry: Value) -> Self {
        self.revision += 1;
        let event = RunEvent { revision: self.revision, index: 1, at: at(ms), entry };
        let style = Style::default();
        for happening in self.story.apply(&event) {
            self.lines.push(happening.render(self.story.offset(happening.at), style));
        }
        self
    }

    fn live(&self, ms: i64) -> Vec<String> {
        self.story.live_lines(at(ms), '*', Style::default())
    }

    fn last(&self) -> &str {
        self.lines.last().map_or("", String::as_str)
    }
}

fn step(seq: u32, name: &str) -> Value {
    json!({ "op": { "seq": seq, "op": { "step": { "name": name, "input": {}, "policy": { "queue": "browser" } } } } })
}

fn done(seq: u32) -> Value {
    json!({ "resolved": { "seq": seq, "with": { "step_done": { "attempt": 1, "lease": null, "output": {} } } } })
}

fn failed_attempt(seq: u32, attempt: u32, next_at: Option<Timestamp>) -> Value {
    let failure = json!({ "failed": { "code": "page_timeout", "message": "no form\u{1b}[2J came" } });
    json!({ "attempt_ended": { "seq": seq, "attempt": attempt, "lease": LEASE, "why": failure, "next_at": next_at } })
}

#[test]
fn an_application_is_told_from_its_start_to_its_end() {
    let finally = json!({ "op": { "seq": 2, "op": { "finally": { "name": "cleanup", "input": {} } } } });
    let told = Told::new()
        .at(0, json!({ "started": { "input": {} } }))
        .at(0, json!({ "op": { "seq": 1, "op": { "status": { "text": "choosing a browser" } } } }))
        .at(0, finally)
        .at(1, step(3, "select-tier"))
        .at(13, done(3))
        .at(13, step(4, "fill-page"))
        .at(3_013, failed_attempt(4, 1, Some(at(3_513))))
        .at(5_000, done(4))
        .at(5_000, json!({ "op": { "seq": 5, "op": { "finally_now": { "of": 2 } } } }))
        .at(5_200, done(5))
        .at(5_200, json!({ "closing": { "outcome": { "succeeded": { "output": {} } } } }))
        .at(5_201, json!("ended"));
    let expected = [
        &format!("       0 ms  → {RUN} began"),
        "       0 ms  ● choosing a browser",
        "       1 ms  → select-tier",
        "      13 ms  ✓ select-tier  12 ms",
        "      13 ms  → fill-page",
        "      3.0 s  ↻ fill-page: attempt 1 failed, the next in 500 ms\n               page_timeout: no form [2J came",
        "      5.0 s  ✓ fill-page  5.0 s  attempt 2",
        "      5.0 s  → cleanup",
        "      5.2 s  ✓ cleanup  200 ms",
    ];
    assert_eq!(told.lines, expected);
    assert_eq!(told.live(6_000), ["* choosing a browser  6.0 s"]);
}

#[test]
fn a_person_is_told_which_command_answers() {
    let task = json!({ "reason": "unknown_question", "title": "“Rust” asks", "form": {}, "context": {},
                       "deadline": at(3_600_000) });
    let told = Told::new()
        .at(0, json!({ "started": { "input": {} } }))
        .at(1_000, json!({ "op": { "seq": 7, "op": { "human": { "task": task } } } }));
    let run: RunId = RUN.parse().unwrap();
    let id = task_id(run, Seq(7));
    let command = format!("valet human answer {id}");
    assert_eq!(
        told.last(),
        format!("      1.0 s  ? a person is needed (unknown_question): “Rust” asks\n               {command}")
    );
    assert_eq!(told.live(2_000)[1], format!("  ? {command}  ends in 59 min: “Rust” asks"));
    assert!(!told.story.wants_a_look(at(60_000)));
    let answered = json!({ "human": { "answered": { "by": "ada", "key": "k", "answer": {} } } });
    let told = told.at(4_000, json!({ "resolved": { "seq": 7, "with": answered } }));
    assert_eq!(told.last(), "      4.0 s  ✓ answered by ada");
    assert_eq!(told.live(4_000).len(), 1);
}

#[test]
fn what_waits_for_an_operator_comes_with_its_command() {
    let told = Told::new().at(0, json!({ "started": { "input": {} } })).at(0, step(1, "submit"));
    let told = told.at(900, failed_attempt(1, 3, None));
    assert!(told.last().contains("! submit: all attempts failed; it waits for you\n"), "{}", told.last());
    assert!(told.last().ends_with(&format!("valet runs retry {RUN}")), "{}", told.last());
    assert_eq!(told.live(1_000)[1], "  ! submit  waits for an operator");
    let told = told.at(1_000, json!({ "retry_requested": { "seq": 1, "by": "ops" } }));
    assert_eq!(told.live(3_000)[1], "  * submit  attempt 4  2.0 s");

    let told = told.at(4_000, json!({ "paused": { "by": "ops" } }));
    assert!(told.last().ends_with(&format!("valet runs resume {RUN}")), "{}", told.last());
    assert!(told.live(4_000)[0].contains("(paused)"));

    let stuck = json!({ "stuck": { "why": { "panicked": { "message": "boom" } } } });
    let told = told.at(5_000, stuck);
    assert!(told.last().contains("✗ stuck: the workflow code panicked: boom; "), "{}", told.last());
    assert!(told.live(5_000)[0].contains("(stuck)"));
}

#[test]
fn a_step_that_no_worker_takes_is_told_once_an_attempt() {
    let mut told = Told::new().at(0, json!({ "started": { "input": {} } })).at(0, step(1, "provision"));
    assert!(!told.story.wants_a_look(at(2_000)) && told.story.wants_a_look(at(3_000)));
    let detail = |state: &str, attempt: u32| -> RunDetail {
        serde_json::from_value(json!({
            "id": RUN, "workflow": "w", "subject": "s", "plan": "free", "attributes": {}, "status": "waiting",
            "paused": false, "revision": 2, "created_at": at(0), "updated_at": at(0), "input": {}, "tasks": [],
            "steps": [{ "seq": 1, "name": "provision", "queue": "browser", "state": state, "attempt": attempt,
                        "asked_at": at(0), "input": {} }],
        }))
        .unwrap()
    };
    assert!(told.story.look(&detail("ready", 1), at(1_000)).is_empty(), "a step that was just asked for");
    let news = told.story.look(&detail("ready", 1), at(5_000));
    assert_eq!(news.len(), 1);
    let line = news[0].render(told.story.offset(news[0].at), Style::default());
    assert_eq!(
        line,
        "      5.0 s  … provision: no worker of the queue browser has taken it yet\n               valet workers"
    );
    assert_eq!(told.live(6_000)[1], "  … provision  no worker of the queue browser has taken it yet");
    assert!(told.story.look(&detail("ready", 1), at(10_000)).is_empty());
    assert!(told.story.look(&detail("running", 1), at(15_000)).is_empty());
    assert_eq!(told.live(16_000)[1], "  * provision  16.0 s");
    assert!(told.story.look(&detail("ready", 2), at(20_000)).is_empty(), "a look from ahead of the journal");
}

#[test]
fn every_end_is_told_and_entries_of_a_newer_engine_are_passed_over() {
    let begun = || Told::new().at(0, json!({ "started": { "input": {} } }));
    let unknown = begun().at(1, json!({ "teleported": { "to": 1 } }));
    assert_eq!(unknown.lines.len(), 1);

    let failure = json!({ "outcome": { "failed": { "error": { "code": "rejected", "message": "no" } } } });
    assert_eq!(begun().at(1, json!({ "closing": failure })).last(), "       1 ms  ✗ rejected: no");

    let sleep = json!({ "op": { "seq": 1, "op": { "sleep": { "until": at(60_000) } } } });
    let told = begun().at(0, sleep).at(1, json!({ "cancel_requested": { "by": "ops", "reason": "moved" } }));
    assert_eq!(told.last(), "       1 ms  ! cancelled by ops: moved");
    assert_eq!(told.live(1)[1], "  … sleeps, goes on in 59 s");
    let told = told.at(2, json!({ "closing": { "outcome": { "cancelled": { "by": "ops", "reason": "moved" } } } }));
    assert_eq!(told.live(2).len(), 1);

    let told = begun().at(0, step(1, "a")).at(5, json!({ "step_stopped": { "seq": 1, "attempt": 1 } }));
    assert_eq!(told.last(), "       5 ms  · a was stopped");
    let lost = json!({ "attempt_ended": { "seq": 1, "attempt": 1, "lease": LEASE, "why": "lost", "next_at": at(10) } });
    assert!(
        begun()
            .at(0, step(1, "a"))
            .at(9, lost)
            .last()
            .ends_with("a: the worker of attempt 1 vanished; it begins again")
    );
}
