//! The interpreter of declared workflows.

use serde_json::{Value, json};
use valet_core::command::{Command, InboxMessage, Parent, StartRun};
use valet_core::decide::{CodeUse, Fit, Fork, Machine, StoredRun};
use valet_core::id::{RunId, Seq};
use valet_core::journal::{Entry, Op, RunOutcome};
use valet_core::{Failure, Outcome, Payload, Registry};

use super::subject::{Subject, at, done, payload, retry};

fn fail(code: &str) -> Outcome {
    Outcome::Fail { error: Failure::new(code, "as the test says") }
}

/// Names and inputs of the steps asked for so far, in order.
fn asked(run: &Subject) -> Vec<(u32, String, Value)> {
    run.entries()
        .into_iter()
        .filter_map(|entry| match entry {
            Entry::Op { seq, op: Op::Step(step) } => Some((seq.0, step.name.clone(), step.input.read().expect("JSON"))),
            _ => None,
        })
        .collect()
}

fn names(run: &Subject) -> Vec<String> {
    asked(run).into_iter().map(|(_, name, _)| name).collect()
}

fn logged(run: &Subject) -> Vec<String> {
    run.entries()
        .into_iter()
        .filter_map(|entry| match entry {
            Entry::Op { op: Op::Log { message }, .. } => Some(message.clone()),
            _ => None,
        })
        .collect()
}

/// Carries out the step of this name that has not ended.
#[track_caller]
fn end(run: &mut Subject, name: &str, outcome: Outcome) {
    let live = |seq: u32| run.rows.contains_key(&Seq(seq));
    let found = asked(run).into_iter().find(|(seq, of, _)| of == name && live(*seq));
    let (seq, ..) = found.unwrap_or_else(|| panic!("no live step `{name}`: {:?}", names(run)));
    run.carry_out(seq, outcome);
}

#[track_caller]
fn outcome(run: &Subject) -> RunOutcome {
    let ends = |entry: &Entry| match entry {
        Entry::Closing { outcome } => Some(outcome.clone()),
        _ => None,
    };
    fits_at_every_revision(run);
    run.entries().into_iter().find_map(ends).unwrap_or_else(|| panic!("not ended: {:?}", run.kinds()))
}

#[track_caller]
pub fn output(run: &Subject) -> Value {
    match outcome(run) {
        RunOutcome::Succeeded { output } => output.read().expect("JSON"),
        other => panic!("the run did not succeed: {other:?}"),
    }
}

#[track_caller]
pub fn failure(run: &Subject) -> Failure {
    match outcome(run) {
        RunOutcome::Failed { error } => error,
        other => panic!("the run did not fail: {other:?}"),
    }
}

/// Whenever an engine had died, another would have gone on the same way, without any table of definitions or code.
#[track_caller]
pub fn fits_at_every_revision(run: &Subject) {
    for length in 1..=run.journal.len() {
        let chunks = run.journal[..length].to_vec();
        let revision = chunks.last().expect("a chunk").revision;
        let stored = StoredRun { revision, chunks, rows: Vec::new(), ..run.stored() };
        let machine = Machine::rebuild(stored, &Registry::new(1), CodeUse::Recorded);
        assert_eq!(machine.fit(&Registry::new(1)), Fit::Fits, "revision {revision}");
    }
}

fn diamond() -> Value {
    json!({ "tasks": {
        "start": { "step": "start" },
        "left": { "step": "left", "parents": ["start"] },
        "right": { "step": "right", "parents": ["start"] },
        "join": { "step": "join", "parents": ["left", "right"] },
    } })
}

#[test]
fn a_task_begins_when_all_its_parents_have_ended() {
    let mut run = Subject::run_declared(&diamond(), &json!({ "n": 1 }));
    assert_eq!(asked(&run), [(1, "start".to_owned(), json!({ "input": { "n": 1 }, "parents": {} }))]);
    end(&mut run, "start", done(&json!("s")));
    assert_eq!(names(&run), ["start", "left", "right"]);
    end(&mut run, "right", done(&json!("r")));
    assert_eq!(names(&run).len(), 3, "one parent is still at work");
    end(&mut run, "left", done(&json!("l")));
    let (_, name, input) = asked(&run).pop().expect("a step");
    assert_eq!(
        (name.as_str(), input),
        ("join", json!({ "input": { "n": 1 }, "parents": { "left": "l", "right": "r" } }))
    );
    end(&mut run, "join", done(&json!({ "sum": 2 })));
    assert_eq!(output(&run), json!({ "join": { "sum": 2 } }));
    assert_eq!(run.status(), "succeeded");
}

/// A process that dies after every commit makes the same journal as one that lives on.
#[test]
fn restarts_change_nothing() {
    let definition = json!({ "tasks": {
        "b": { "step": "b", "skip_if": "input.m.exists(k, k == 'x')" },
        "a": { "step": "a", "input": { "keys": { "$cel": "input.m.map(k, k)" } } },
        "c": { "step": "c", "parents": ["a", "b"], "input": { "$cel": "[parents.a.output, parents.b.skipped]" } },
    }, "output": "tasks.c.output" });
    let carry_out = |restarts: bool| {
        let mut run = Subject::run_declared(&definition, &json!({ "m": { "z": 1, "x": 2, "y": 3 } }));
        for (name, given) in [("a", json!([1])), ("c", json!("end"))] {
            if restarts {
                run.restart();
            }
            end(&mut run, name, done(&given));
        }
        assert_eq!(output(&run), "end");
        run.journal
    };
    let lived = carry_out(false);
    assert_eq!(lived, carry_out(true));
}

#[test]
fn independent_tasks_are_asked_for_in_the_order_of_their_names() {
    let tasks = json!({ "tasks": { "zebra": { "step": "z" }, "ape": { "step": "a" }, "mole": { "step": "m" } } });
    let mut run = Subject::run_declared(&tasks, &json!(null));
    assert_eq!(names(&run), ["a", "m", "z"]);
    for (step, given) in [("z", 3), ("a", 1), ("m", 2)] {
        end(&mut run, step, done(&json!(given)));
    }
    assert_eq!(output(&run), json!({ "ape": 1, "mole": 2, "zebra": 3 }));
}

#[test]
fn inputs_are_filled_in_and_the_output_is_an_expression() {
    let definition = json!({
        "tasks": {
            "fetch": { "step": "fetch", "input": { "url": { "$cel": "'https://' + input.host" }, "fixed": [true] } },
            "count": { "step": "count", "parents": ["fetch"], "input": { "$cel": "parents.fetch.output.items.map(i, i.id)" } },
        },
        "output": "{'run': run.id, 'ids': tasks.count.output, 'n': size(tasks.fetch.output.items)}",
    });
    let mut run = Subject::run_declared(&definition, &json!({ "host": "example.com" }));
    assert_eq!(asked(&run)[0].2, json!({ "url": "https://example.com", "fixed": [true] }));
    end(&mut run, "fetch", done(&json!({ "items": [{ "id": 7 }, { "id": 8 }] })));
    assert_eq!(asked(&run)[1].2, json!([7, 8]));
    end(&mut run, "count", done(&json!(2)));
    let id = run.run().id().to_string();
    assert_eq!(output(&run), json!({ "run": id, "ids": 2, "n": 2 }));
}

#[test]
fn a_skipped_task_does_not_hold_up_its_children() {
    let definition = json!({ "tasks": {
        "ask": { "step": "ask", "skip_if": "input.known" },
        "after": { "step": "after", "parents": ["ask"] },
        "only": { "step": "only", "parents": ["ask"], "skip_if": "parents.ask.skipped" },
    } });
    let mut run = Subject::run_declared(&definition, &json!({ "known": true }));
    assert_eq!(names(&run), ["after"]);
    assert_eq!(asked(&run)[0].2["parents"], json!({ "ask": null }));
    assert_eq!(
        logged(&run),
        ["task `ask` is skipped: its `skip_if` holds", "task `only` is skipped: its `skip_if` holds"]
    );
    end(&mut run, "after", done(&json!(1)));
    assert_eq!(output(&run), json!({ "after": 1, "only": null }));
    let mut other = Subject::run_declared(&definition, &json!({ "known": false }));
    assert_eq!(names(&other), ["ask"]);
    end(&mut other, "ask", done(&json!("answer")));
    assert_eq!(names(&other), ["ask", "after", "only"]);
}

#[test]
fn all_tasks_skipped_is_a_success() {
    let run = Subject::run_declared(&json!({ "tasks": { "a": { "step": "a", "skip_if": "true" } } }), &json!({}));
    assert_eq!(output(&run), json!({ "a": null }));
}

#[test]
fn a_cancelled_task_takes_its_descendants_along_and_no_others() {
    let definition = json!({ "tasks": {
        "look": { "step": "look" },
        "buy": { "step": "buy", "parents": ["look"], "cancel_if": "parents.look.output.price > 100", "skip_if": "true" },
        "ship": { "step": "ship", "parents": ["buy"] },
        "thank": { "step": "thank", "parents": ["look", "ship"] },
        "note": { "step": "note", "parents": ["look"] },
    }, "output": "[tasks.note.output, tasks.ship.output]" });
    let mut run = Subject::run_declared(&definition, &json!({}));
    end(&mut run, "look", done(&json!({ "price": 200 })));
    assert_eq!(names(&run), ["look", "note"]);
    let told = [
        "task `buy` is cancelled: its `cancel_if` holds",
        "task `ship` is cancelled: its parent `buy` was",
        "task `thank` is cancelled: its parent `ship` was",
    ];
    assert_eq!(logged(&run), told);
    end(&mut run, "note", done(&json!("n")));
    assert_eq!(output(&run), json!(["n", null]));
}

#[test]
fn a_failed_task_stops_the_others_and_on_failure_runs_once() {
    let definition = json!({
        "tasks": {
            "bad": { "step": "bad", "max_attempts": 1 },
            "slow": { "step": "slow" },
            "next": { "step": "next", "parents": ["slow"] },
        },
        "on_failure": { "step": "tell", "input": { "why": { "$cel": "error.code + ' in ' + error.task" }, "n": { "$cel": "input.n" } } },
    });
    let mut run = Subject::run_declared(&definition, &json!({ "n": 5 }));
    end(&mut run, "bad", fail("broken"));
    assert_eq!(run.count("dropped"), 1, "what was at work is let go");
    let (_, name, input) = asked(&run).pop().expect("a step");
    assert_eq!((name.as_str(), input), ("tell", json!({ "why": "broken in bad", "n": 5 })));
    assert_eq!(run.status(), "running", "the run ends when it has told");
    end(&mut run, "tell", done(&json!(null)));
    assert_eq!(failure(&run), Failure::new("broken", "as the test says"));
    assert_eq!(names(&run).iter().filter(|name| *name == "tell").count(), 1);
    assert!(!names(&run).contains(&"next".to_owned()));
}

#[test]
fn a_failure_that_cannot_be_told_still_is_the_runs_failure() {
    let definition = |input: Value| json!({ "tasks": { "bad": { "step": "bad" } }, "on_failure": { "step": "tell", "input": input, "max_attempts": 1 } });
    let mut run = Subject::run_declared(&definition(json!({})), &json!({}));
    end(&mut run, "bad", fail("first"));
    end(&mut run, "tell", fail("second"));
    assert_eq!(failure(&run).code, "first");
    assert_eq!(logged(&run), ["`on_failure` failed too: second"]);
    let mut run = Subject::run_declared(&definition(json!({ "$cel": "error.nothing" })), &json!({}));
    end(&mut run, "bad", fail("first"));
    assert_eq!(failure(&run).code, "first");
    assert!(logged(&run)[0].starts_with("`on_failure` was not run:"), "{:?}", logged(&run));
}

#[test]
fn a_task_is_tried_again_by_its_own_policy() {
    let task = json!({ "step": "work", "queue": "io", "max_attempts": 2, "backoff": { "initial_ms": 700, "factor": 1.0 },
                       "non_retryable": ["hopeless"], "execution_timeout": "90s", "schedule_timeout": "2m", "priority": 4 });
    let definition = json!({ "tasks": { "work": task } });
    let mut run = Subject::run_declared(&definition, &json!({}));
    let policy = run.entries().into_iter().find_map(|entry| match entry {
        Entry::Op { op: Op::Step(step), .. } => Some((step.policy.clone(), step.start_by)),
        _ => None,
    });
    let (policy, start_by) = policy.expect("a step");
    assert_eq!((policy.queue.as_str(), policy.priority, policy.execution_timeout_ms), ("io", 4, 90_000));
    assert_eq!((policy.schedule_timeout_ms, start_by.is_some()), (Some(120_000), true));
    let began = run.now;
    end(&mut run, "work", retry("flaky"));
    end(&mut run, "work", retry("flaky"));
    assert_eq!((run.now - began).num_milliseconds(), 700, "after its own back-off");
    assert_eq!(failure(&run).code, "flaky");
    let mut run = Subject::run_declared(&definition, &json!({}));
    end(&mut run, "work", retry("hopeless"));
    assert_eq!(failure(&run).code, "hopeless");
    assert_eq!(run.count("attempt_ended"), 0, "not tried again");
}

#[test]
fn an_expression_that_comes_to_nothing_fails_the_run_and_names_its_place() {
    let cases = [
        (json!({ "tasks": { "a": { "step": "a", "skip_if": "input.nothing" } } }), "`a`, `skip_if`", "skip_if"),
        (json!({ "tasks": { "a": { "step": "a", "cancel_if": "input.n" } } }), "`a`, `cancel_if`", "cancel_if"),
        (
            json!({ "tasks": { "a": { "step": "a", "input": { "x": [{ "$cel": "input.n + 'x'" }] } } } }),
            "`a`, `input/x/0`",
            "input/x/0",
        ),
    ];
    for (definition, told, field) in cases {
        let run = Subject::run_declared(&definition, &json!({ "n": 1 }));
        let failure = failure(&run);
        assert_eq!(failure.code, "expression_failed");
        assert!(failure.message.contains(told), "{}", failure.message);
        let details: Value = failure.details.expect("details").read().expect("JSON");
        assert_eq!(details, json!({ "task": "a", "field": field }));
    }
    let definition = json!({ "tasks": { "a": { "step": "a" } }, "output": "tasks.a.output.nothing",
                             "on_failure": { "step": "tell" } });
    let mut run = Subject::run_declared(&definition, &json!({}));
    end(&mut run, "a", done(&json!({})));
    assert!(failure(&run).message.contains("`output`"));
}

#[test]
fn a_cancelled_run_does_not_run_its_on_failure() {
    let definition = json!({ "tasks": { "a": { "step": "a" } }, "on_failure": { "step": "tell" } });
    let mut run = Subject::run_declared(&definition, &json!({}));
    run.cancel().expect("a cancel");
    assert!(matches!(outcome(&run), RunOutcome::Cancelled { .. }));
    assert_eq!(names(&run), ["a"]);
}

/// What was begun for the failure stops with the run, and the run ends as whoever cancelled it says.
#[test]
fn a_cancel_ends_an_on_failure_that_is_at_work() {
    let definition = json!({ "tasks": { "a": { "step": "a" } }, "on_failure": { "step": "tell" } });
    let mut run = Subject::run_declared(&definition, &json!({}));
    end(&mut run, "a", fail("broken"));
    assert_eq!(names(&run), ["a", "tell"]);
    run.claim(2, 9);
    run.restart();
    run.cancel().expect("a cancel");
    assert_eq!(run.status(), "closing", "a worker is at it");
    run.finish(2, 1, 9, done(&json!("told"))).expect("it has stopped");
    assert_eq!(run.status(), "cancelled");
    assert!(matches!(outcome(&run), RunOutcome::Cancelled { .. }));
    let mut waiting = Subject::run_declared(&definition, &json!({}));
    end(&mut waiting, "a", fail("broken"));
    waiting.cancel().expect("a cancel");
    assert_eq!((waiting.status(), waiting.rows.len()), ("cancelled", 0), "nobody had taken it");
}

#[test]
fn a_run_is_paused_and_goes_on() {
    let mut run = Subject::run_declared(&diamond(), &json!({}));
    run.claim(1, 1);
    run.pause();
    run.finish(1, 1, 1, done(&json!("s"))).expect("a finish");
    assert_eq!(names(&run), ["start"]);
    run.resume();
    assert_eq!(names(&run), ["start", "left", "right"]);
}

/// What one run may spend on expressions is bounded, also over many tasks.
#[test]
fn expressions_share_a_budget() {
    let costly = "input.list.map(a, input.list.map(b, a + b))";
    let tasks: serde_json::Map<_, _> = (0..50)
        .map(|n| (format!("t{n:02}"), json!({ "step": "s", "skip_if": format!("size({costly}) > 0") })))
        .collect();
    let list: Vec<u32> = (0..200).collect();
    let run = Subject::run_declared(&json!({ "tasks": tasks }), &json!({ "list": list }));
    let failure = failure(&run);
    assert_eq!(failure.code, "expression_failed");
    assert!(failure.message.contains("too much work"), "{}", failure.message);
}

/// A journal whose definition this build cannot read parks the run; it does not fail it.
#[test]
fn a_definition_that_cannot_be_read_parks_the_run() {
    let run = Subject::run_declared(&json!({ "tasks": { "a": { "step": "a", "from_the_future": 1 } } }), &json!({}));
    assert_eq!(run.status(), "stuck");
    let mut run = run;
    assert!(run.tell(Command::Cancel { by: "ada".to_owned(), reason: "enough".to_owned() }).is_ok());
}

/// Messages that the last transition sent: the child's place, and what it is told.
fn sent(run: &Subject) -> Vec<InboxMessage> {
    let last = run.last.as_ref().expect("a transition");
    last.outbox.iter().map(|row| row.message.clone()).collect()
}

fn child_ended(run: &mut Subject, seq: u32, outcome: RunOutcome) {
    let (from, message) = (run.run().id().child(Seq(seq)), InboxMessage::ChildEnded { seq: Seq(seq), outcome });
    run.tell(Command::Inbox { from, from_seq: 0, message }).expect("a child's end");
}

#[test]
fn a_task_may_be_a_run_of_its_own() {
    let definition = json!({ "tasks": {
        "first": { "step": "first" },
        "sub": { "workflow": "sub", "parents": ["first"], "input": { "of": { "$cel": "parents.first.output" } } },
        "last": { "step": "last", "parents": ["sub"], "input": { "$cel": "parents.sub.output" } },
    } });
    let mut run = Subject::run_declared(&definition, &json!({}));
    end(&mut run, "first", done(&json!(7)));
    let [InboxMessage::StartChild { workflow, input, definition, seq, .. }] = &sent(&run)[..] else {
        panic!("one child: {:?}", sent(&run));
    };
    assert_eq!((workflow.as_str(), input.as_str(), definition), ("sub", r#"{"of":7}"#, &None));
    let seq = seq.0;
    child_ended(&mut run, seq, RunOutcome::Succeeded { output: payload(&json!({ "x": 1 })) });
    assert_eq!(asked(&run).pop().map(|(_, name, input)| (name, input)), Some(("last".to_owned(), json!({ "x": 1 }))));
    end(&mut run, "last", done(&json!("end")));
    assert_eq!(output(&run), json!({ "last": "end" }));
}

#[test]
fn a_child_that_fails_fails_its_task() {
    let definition = json!({
        "tasks": { "sub": { "workflow": "sub" }, "side": { "step": "side" } },
        "on_failure": { "workflow": "tell" },
    });
    let mut run = Subject::run_declared(&definition, &json!({ "n": 1 }));
    let starts = sent(&run);
    let [InboxMessage::StartChild { seq, .. }] = &starts[..] else { panic!("one child: {starts:?}") };
    child_ended(&mut run, seq.0, RunOutcome::Failed { error: Failure::new("no_stock", "nothing is left") });
    let told = sent(&run);
    let [InboxMessage::StartChild { workflow, input, seq, .. }] = &told[..] else { panic!("it is told: {told:?}") };
    let input: Value = input.read().expect("JSON");
    assert_eq!(
        (workflow.as_str(), &input["error"]["code"], &input["error"]["task"]),
        ("tell", &json!("no_stock"), &json!("sub"))
    );
    let cancelled = RunOutcome::Cancelled { by: "ada".to_owned(), reason: "enough".to_owned() };
    child_ended(&mut run, seq.0, cancelled);
    assert_eq!(logged(&run), ["`on_failure` failed too: cancelled"]);
    assert_eq!(failure(&run).code, "no_stock");
}

#[test]
fn a_run_that_is_cancelled_stops_the_children_of_its_tasks() {
    let mut run = Subject::run_declared(&json!({ "tasks": { "sub": { "workflow": "sub" } } }), &json!({}));
    run.cancel().expect("a cancel");
    assert!(matches!(&sent(&run)[..], [InboxMessage::CancelChild { .. }]), "{:?}", sent(&run));
}

fn of_parent(definition: Option<Payload>) -> (RunId, StartRun, Command) {
    let parent = RunId::root(at(0), [8; 16]);
    let [tenant, subject, plan, workflow] = ["acme", "ada", "free", "nobody-knows"].map(ToOwned::to_owned);
    let input = payload(&json!({ "n": 2 }));
    let start = StartRun::new(tenant.clone(), subject.clone(), workflow.clone(), plan.clone(), input.clone());
    let start = StartRun { parent: Some(Parent { run: parent, seq: Seq(1) }), definition: definition.clone(), ..start };
    let message = InboxMessage::StartChild { tenant, subject, plan, workflow, input, seq: Seq(1), definition };
    (parent.child(Seq(1)), start, Command::Inbox { from: parent, from_seq: 2, message })
}

fn child(definition: Option<Payload>) -> Subject {
    let (id, start, command) = of_parent(definition);
    let mut run = Subject::new(id, at(0), &start, Registry::new(1));
    run.tell(command).expect("a start");
    run
}

fn one_step() -> Value {
    json!({ "tasks": { "a": { "step": "a", "input": { "$cel": "input.n" } } } })
}

#[test]
fn a_child_pins_the_definition_that_it_was_given() {
    let mut run = child(Some(payload(&one_step())));
    assert_eq!(asked(&run), [(1, "a".to_owned(), json!(2))]);
    run.restart();
    end(&mut run, "a", done(&json!("well")));
    assert_eq!(output(&run), json!({ "a": "well" }));
    let told = sent(&run);
    assert!(matches!(&told[..], [InboxMessage::ChildEnded { seq: Seq(1), .. }]), "{told:?}");
}

/// Declared after the child began: a retry looks it up, and what mends the run is what it goes on with.
#[test]
fn a_run_that_nobody_knew_goes_on_once_its_workflow_is_declared() {
    let registry = Registry::new(1);
    let mut run = child(None);
    assert_eq!(run.status(), "stuck");
    assert!(run.stored().wants_definition(&registry));
    assert!(run.retry().is_err(), "nobody has declared it yet");
    let found = payload(&one_step());
    run.machine = Machine::rebuild_with(run.stored(), &registry, CodeUse::Retried, Some(found.clone()));
    run.retry().expect("a retry");
    assert_eq!(run.kinds(), ["started", "stuck", "mended", "op"]);
    assert!(!run.stored().wants_definition(&registry));
    // Another is declared meanwhile: the run keeps its own.
    let other = payload(&json!({ "tasks": { "b": { "step": "b" } } }));
    run.machine = Machine::rebuild_with(run.stored(), &registry, CodeUse::Recorded, Some(other));
    run.carry_out(1, done(&json!("well")));
    assert_eq!(output_of_mended(&run), json!({ "a": "well" }));
    let (chunks, by) = (run.journal.clone().into(), "ada".to_owned());
    let (from, build) = (run.run().id(), run.run().build);
    let fork = Fork { from, chunks, build, by, entry: 0, input: None, repeat_effects: false };
    let (_, start, _) = of_parent(None);
    let start = StartRun { parent: None, fork: Some(Box::new(fork)), ..start };
    let fork = Subject::run_started(start, registry);
    assert_eq!(asked(&fork), [(1, "a".to_owned(), json!(2))], "a fork carries out what the run was mended with");
}

fn output_of_mended(run: &Subject) -> Value {
    let ended = run.entries().into_iter().find_map(|entry| match entry {
        Entry::Closing { outcome: RunOutcome::Succeeded { output } } => output.read().ok(),
        _ => None,
    });
    ended.unwrap_or_else(|| panic!("not succeeded: {:?}", run.kinds()))
}

fn waiting(wait_for: &Value, more: &Value) -> Value {
    let mut late = json!({ "step": "late", "parents": ["first"], "wait_for": wait_for });
    late.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    json!({ "tasks": { "first": { "step": "first" }, "late": late } })
}

fn signal(run: &mut Subject, name: &str, message: &Value) {
    let key = format!("{name}-{}", run.journal.len());
    run.tell(Command::Signal { name: name.to_owned(), key, payload: payload(message) }).expect("taken");
}

#[test]
fn a_task_begins_once_something_of_each_group_has_come() {
    let groups = json!([
        [{ "sleep": "1h", "as": "late" }, { "signal": "paid", "if": "message.amount > 3", "as": "paid" }],
        [{ "signal": "go" }],
    ]);
    let input = json!({ "input": { "amount": { "$cel": "waited.paid.message.amount" }, "late": { "$cel": "waited.late.came" } } });
    let mut run = Subject::run_declared(&waiting(&groups, &input), &json!({}));
    signal(&mut run, "go", &json!(null));
    assert!(run.timers.is_empty(), "nothing is waited for before its parents have ended");
    end(&mut run, "first", done(&json!(1)));
    assert_eq!((names(&run), run.timers.len()), (vec!["first".to_owned()], 1));
    signal(&mut run, "paid", &json!({ "amount": 2 }));
    assert_eq!(names(&run).len(), 1, "another signal is meant");
    signal(&mut run, "paid", &json!({ "amount": 5 }));
    assert_eq!(asked(&run).pop().expect("late").2, json!({ "amount": 5, "late": false }));
    assert!(run.timers.is_empty(), "what is not needed any more is let go");
    end(&mut run, "late", done(&json!("done")));
    assert_eq!(output(&run), json!({ "late": "done" }));
}

#[test]
fn a_task_is_left_out_by_what_came_or_before_anything_is_waited_for() {
    let groups = json!([[{ "sleep": 60_000, "as": "late" }, { "signal": "paid", "as": "paid" }]]);
    let skipped = json!({ "skip_if": "waited.late.came && !waited.paid.came" });
    let mut run = Subject::run_declared(&waiting(&groups, &skipped), &json!({}));
    end(&mut run, "first", done(&json!(1)));
    let (seq, due) = run.timers.first_key_value().map(|(seq, due)| (*seq, *due)).expect("a timer");
    run.now = due;
    run.tell(Command::TimerDue { seq }).expect("due");
    assert_eq!((names(&run), output(&run)), (vec!["first".to_owned()], json!({ "late": null })));
    assert_eq!(logged(&run), ["task `late` is skipped: its `skip_if` holds"]);

    let at_once = json!({ "cancel_if": "parents.first.output == 1" });
    let mut run = Subject::run_declared(&waiting(&groups, &at_once), &json!({}));
    end(&mut run, "first", done(&json!(1)));
    assert_eq!(output(&run), json!({ "late": null }));
    assert!(run.timers.is_empty());
}

#[test]
fn a_task_that_fails_lets_go_of_what_others_wait_for() {
    let definition = json!({ "tasks": {
        "late": { "step": "late", "wait_for": [[{ "sleep": "1d" }, { "signal": "go" }]] },
        "work": { "step": "work" },
    } });
    let mut run = Subject::run_declared(&definition, &json!({}));
    assert_eq!(run.timers.len(), 1);
    end(&mut run, "work", fail("no"));
    assert_eq!(failure(&run).code, "no");
    assert!(run.timers.is_empty());
}

/// The waits for events that the store knows of, by their place.
fn awaited(run: &Subject) -> Vec<(u32, String, Option<String>)> {
    run.event_waits.iter().map(|(seq, event)| (seq.0, event.key.clone(), event.scope.clone())).collect()
}

#[test]
fn a_task_waits_for_a_published_event_beside_sleeps_and_signals() {
    let groups = json!([
        [{ "event": "order:*", "scope": "eu", "if": "message.payload.amount > 3", "as": "paid" }, { "sleep": "1h", "as": "late" }],
        [{ "signal": "go" }, { "event": { "$cel": "'user:' + input.user + ':' + parents.first.output" } }],
    ]);
    let input = json!({ "input": { "amount": { "$cel": "waited.paid.message.payload.amount" },
                                   "key": { "$cel": "waited.paid.message.key" }, "late": { "$cel": "waited.late.came" } } });
    let mut run = Subject::run_declared(&waiting(&groups, &input), &json!({ "user": "ada" }));
    assert!(run.event_waits.is_empty(), "nothing is waited for before its parents have ended");
    end(&mut run, "first", done(&json!("new")));
    let (order, user) = (awaited(&run)[0].clone(), awaited(&run)[1].clone());
    assert_eq!((order.1.as_str(), order.2.as_deref()), ("order:*", Some("eu")));
    assert_eq!((user.1.as_str(), user.2), ("user:ada:new", None), "an expression makes the key");
    run.publish(order.0, "event_1", &json!({ "amount": 2 })).expect("passed over");
    run.restart();
    run.publish(order.0, "event_2", &json!({ "amount": 5 })).expect("taken");
    assert_eq!((awaited(&run).len(), run.timers.len(), names(&run).len()), (1, 0, 1), "the other group is still open");
    run.publish(user.0, "event_3", &json!(null)).expect("taken");
    assert_eq!(asked(&run).pop().expect("late").2, json!({ "amount": 5, "key": "order:paid", "late": false }));
    assert!(run.event_waits.is_empty(), "what is not needed any more is let go");
    end(&mut run, "late", done(&json!("done")));
    assert_eq!(output(&run), json!({ "late": "done" }));
}

#[test]
fn a_key_that_is_none_fails_the_run_and_names_the_task() {
    for user in [json!("*"), json!(""), json!(7), json!(null), json!("x".repeat(256))] {
        let definition =
            json!({ "tasks": { "late": { "step": "late", "wait_for": [[{ "event": { "$cel": "input.user" } }]] } } });
        let run = Subject::run_declared(&definition, &json!({ "user": user }));
        let failure = failure(&run);
        assert_eq!(failure.code, "expression_failed", "{user}");
        assert!(failure.message.starts_with("task `late`, `wait_for`: "), "{}", failure.message);
        assert!(!failure.message.contains("xxx"), "no contents");
    }
}
