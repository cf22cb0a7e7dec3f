//! Steps that require labels, and steps that want the worker of an earlier one.

use std::sync::Arc;

use serde_json::{Value, json};
use uuid::Uuid;
use valet_core::command::{Command, Reply};
use valet_core::decide::inserted;
use valet_core::id::{Seq, SessionId};
use valet_core::journal::{Entry, Op, StepOp};
use valet_core::transition::{Fence, StepRow, TimerChange, Unserved};

use super::declared::{failure, fits_at_every_revision, output};
use super::program::Do;
use super::subject::{Subject, done, payload, retry, worker};

/// The row that the last transition wrote for a step.
fn row(run: &Subject, seq: u32) -> StepRow {
    let last = run.last.as_ref().expect("a commit");
    inserted(last).find(|row| row.seq == Seq(seq)).expect("a row").clone()
}

fn timer_waits_for(run: &Subject, seq: u32) -> Option<Unserved> {
    let changes = &run.last.as_ref().expect("a commit").timers;
    let set = changes.iter().find_map(|change| match change {
        TimerChange::Set { seq: at, unserved, .. } if *at == Seq(seq) => Some(unserved.clone()),
        _ => None,
    });
    set.expect("a timer is set")
}

fn own_queue(session: SessionId) -> String {
    format!("default.of.{session}")
}

/// A run whose first step is done by [`worker`], and whose second wants that worker.
fn sticking(hard: bool, labelled: bool) -> Subject {
    let mut run = Subject::run_script(&[Do::Remembered, Do::Stick { hard, labelled }]);
    run.carry_out(1, done(&json!(1)));
    run
}

#[test]
fn required_labels_choose_the_queue_whatever_their_order() {
    let run = Subject::run_script(&[Do::Labelled]);
    let row = row(&run, 1);
    assert_eq!(row.policy.queue, "default.with.gpu.yes.zone.eu");
    assert_eq!((row.policy.required_labels.len(), row.wants), (2, None));
    assert!(run.timers.is_empty(), "it waits for such a worker as long as it takes");
}

#[test]
fn a_label_that_cannot_be_parks_the_run_and_is_named() {
    let run = Subject::run_script(&[Do::Mislabelled]);
    assert_eq!(run.status(), "stuck");
    let reason = serde_json::to_string(&run.run().reason()).expect("JSON");
    assert!(reason.contains("step `mislabelled`: the label `GPU`"), "{reason}");
}

#[test]
fn preferred_labels_order_the_queues_of_a_step_and_leave_its_own() {
    let run = Subject::run_script(&[Do::Preferring]);
    let row = row(&run, 1);
    assert_eq!((row.policy.queue.as_str(), row.policy.required_labels.len()), ("default.with.zone.eu", 1));
    let best = "default.with.disk.big.gpu.yes.zone.eu";
    assert_eq!(row.prefers(), [best, "default.with.gpu.yes.zone.eu", "default.with.disk.big.zone.eu"]);
    assert!(run.timers.is_empty(), "nobody is waited for");
}

#[test]
fn a_preference_that_cannot_be_parks_the_run_and_is_named() {
    let run = Subject::run_script(&[Do::Mispreferring]);
    assert_eq!(run.status(), "stuck");
    let reason = serde_json::to_string(&run.run().reason()).expect("JSON");
    assert!(reason.contains("step `mispreferring`: prefer_labels/0/weight: the weight 0: use 1 to 100"), "{reason}");
}

#[test]
fn a_declared_task_asks_for_preferred_labels_as_code_does() {
    let prefers = json!([{ "labels": { "gpu": "yes" }, "weight": 10 }, { "labels": { "zone": "eu" }, "weight": 20 }]);
    let mut run = declared("soft", json!({}), json!({ "prefer_labels": prefers }));
    run.carry_out(1, done(&json!(1)));
    assert_eq!(
        (row(&run, 2).wants, row(&run, 2).prefers()),
        (Some(worker()), vec![]),
        "first the worker that it sticks to"
    );
    run.fire(2);
    let row = row(&run, 2);
    assert_eq!((row.policy.queue.as_str(), row.wants), ("default", None));
    assert_eq!(row.prefers(), ["default.with.gpu.yes.zone.eu", "default.with.zone.eu", "default.with.gpu.yes"]);
}

#[test]
fn a_step_that_demands_a_worker_goes_to_its_own_queue_and_fails_once_it_is_gone() {
    let mut run = sticking(true, false);
    let asked = row(&run, 2);
    assert_eq!((asked.policy.queue, asked.wants), (own_queue(worker()), Some(worker())));
    let waits_for = Unserved { queue: "default".to_owned(), ms: 0, session: Some(worker()) };
    assert_eq!(timer_waits_for(&run, 2), Some(waits_for));
    run.restart();
    run.fire(2);
    assert!(run.output()[1].contains("has ended, or does not do such steps"), "{:?}", run.output());
}

#[test]
fn a_step_that_prefers_a_worker_goes_to_any_after_a_while() {
    let mut run = sticking(false, false);
    assert_eq!((row(&run, 2).policy.queue, timer_waits_for(&run, 2)), (own_queue(worker()), None));
    run.restart();
    run.fire(2);
    let free = row(&run, 2);
    assert_eq!((free.policy.queue.as_str(), free.wants, run.count("any_worker")), ("default", None, 1));
    assert!(run.last.as_ref().expect("a commit").fences.contains(&Fence::NotGranted { seq: Seq(2) }));
    assert!(run.timers.is_empty());
    run.carry_out(2, done(&json!(2)));
    assert_eq!(run.status(), "succeeded");
}

#[test]
fn a_step_that_its_worker_has_is_left_to_it() {
    for hard in [true, false] {
        let mut run = sticking(hard, false);
        run.claim(2, 9);
        run.restart();
        run.fire(2);
        assert_eq!((run.count("started_in_time"), run.count("any_worker")), (1, 0));
        run.finish(2, 1, 9, retry("x")).expect("taken");
        assert_eq!(row(&run, 2).policy.queue, own_queue(worker()), "the next attempt wants it too");
        assert!(run.timers.contains_key(&Seq(2)));
    }
}

/// The pair: neither makes the other ineffective.
#[test]
fn labels_hold_for_a_step_that_sticks_too() {
    for hard in [true, false] {
        let mut run = sticking(hard, true);
        let asked = row(&run, 2);
        assert_eq!((asked.policy.queue, asked.policy.required_labels.len()), (own_queue(worker()), 1));
        if hard {
            // Due unless the worker pulls the queue of the labels: it has them.
            let queue = "default.with.gpu.yes".to_owned();
            assert_eq!(timer_waits_for(&run, 2), Some(Unserved { queue, ms: 0, session: Some(worker()) }));
        } else {
            run.fire(2);
            let free = row(&run, 2);
            assert_eq!((free.policy.queue.as_str(), free.policy.required_labels.len()), ("default.with.gpu.yes", 1));
        }
    }
}

#[test]
fn what_no_worker_is_known_to_have_done_is_demanded_in_vain_and_preferred_without_harm() {
    let mut run = Subject::run_script(&[Do::Stick { hard: true, labelled: false }, Do::Work]);
    run.restart();
    run.carry_out(3, done(&json!(1)));
    assert!(run.output()[0].contains("remember_worker"), "{:?}", run.output());
    let run = Subject::run_script(&[Do::Stick { hard: false, labelled: false }]);
    assert_eq!((row(&run, 2).policy.queue.as_str(), row(&run, 2).wants), ("default", None));
}

fn handed_over(run: &mut Subject, by: SessionId, seq: u32) -> Option<String> {
    run.claim(seq, 5);
    let reply = run.tell(Subject::offering_by(by, seq, 5, done(&json!(1)), 6)).expect("taken");
    let Reply::Finished { handed_over } = reply else { panic!("{reply:?}") };
    handed_over.map(|step| step.policy.queue)
}

#[test]
fn a_step_is_handed_over_to_the_worker_that_it_wants_and_to_no_other() {
    let stick = |hard, labelled| Do::Stick { hard, labelled };
    let begin = |script: &[Do]| handed_over(&mut Subject::run_script(script), worker(), 1);
    assert_eq!(begin(&[Do::Remembered, stick(true, false)]), Some(own_queue(worker())));
    assert_eq!(begin(&[Do::Remembered, stick(false, true)]), Some(own_queue(worker())), "the database looks at labels");
    assert_eq!(begin(&[Do::Work, Do::Labelled]), None, "another queue");

    let mut run = Subject::run_script(&[Do::Remembered, Do::Work, stick(true, false)]);
    run.carry_out(1, done(&json!(1)));
    let other = SessionId(Uuid::from_u128(78));
    assert_eq!(handed_over(&mut run, other, 2), None, "it wants the worker of the first");
}

#[test]
fn an_operators_retry_asks_anew_whether_the_worker_is_there() {
    let script = [Do::Remembered, Do::StickParking];
    let mut run = Subject::run_script(&script);
    run.carry_out(1, done(&json!(1)));
    run.carry_out(2, retry("x"));
    assert!(run.timers.is_empty(), "parked, it waits for an operator");
    run.tell(Command::Retry { by: "ada".to_owned() }).expect("a parked step");
    run.restart();
    run.fire(2);
    assert!(run.output()[1].contains("has ended"), "{:?}", run.output());
}

/// `first`, then `then`, which sticks to it and has this besides; what fails is told.
fn declared(mode: &str, mut first: Value, mut then: Value) -> Subject {
    then["step"] = json!("then");
    then["parents"] = json!(["first"]);
    then["sticky"] = json!({ "to": "first", "mode": mode });
    first["step"] = json!("first");
    let tasks = json!({ "first": first, "then": then });
    let definition = json!({ "tasks": tasks, "on_failure": { "step": "tell" }, "output": "tasks.then.output" });
    Subject::run_declared(&definition, &json!({ "skip": true }))
}

fn asked(run: &Subject) -> Vec<Arc<StepOp>> {
    let step = |entry: &Entry| match entry {
        Entry::Op { op: Op::Step(step), .. } => Some(Arc::clone(step)),
        _ => None,
    };
    run.entries().into_iter().filter_map(step).collect()
}

#[test]
fn a_declared_task_asks_for_labels_and_for_a_worker_as_code_does() {
    for (mode, hard) in [("hard", true), ("soft", false)] {
        let labels = json!({ "labels": { "zone": "eu", "gpu": "yes" } });
        let mut run = declared(mode, labels.clone(), labels);
        assert_eq!(row(&run, 1).policy.queue, "default.with.gpu.yes.zone.eu");
        run.carry_out(1, done(&json!(1)));
        assert_eq!(run.count("ran_by"), 1);
        let wanted = row(&run, 2);
        assert_eq!((wanted.policy.queue, wanted.wants), (own_queue(worker()), Some(worker())));
        let queue = "default.with.gpu.yes.zone.eu".to_owned();
        let waits_for = hard.then(|| Unserved { queue, ms: 0, session: Some(worker()) });
        assert_eq!(timer_waits_for(&run, 2), waits_for);
        run.restart();
        run.carry_out(2, done(&json!("end")));
        assert_eq!(output(&run), "end");
    }
}

#[test]
fn a_declared_task_whose_worker_is_gone_fails_or_goes_to_any_as_it_says() {
    let mut demands = declared("hard", json!({}), json!({}));
    demands.carry_out(1, done(&json!(1)));
    demands.restart();
    demands.fire(2);
    assert_eq!(asked(&demands).pop().expect("a step").name, "tell");
    demands.carry_out(3, done(&json!(null)));
    assert_eq!(failure(&demands).code, "worker_gone");

    let mut prefers = declared("soft", json!({}), json!({}));
    prefers.carry_out(1, done(&json!(1)));
    prefers.fire(2);
    assert_eq!((row(&prefers, 2).policy.queue.as_str(), row(&prefers, 2).wants), ("default", None));
    prefers.carry_out(2, done(&json!("end")));
    assert_eq!(output(&prefers), "end");
}

#[test]
fn a_declared_task_that_sticks_to_a_skipped_one_has_no_worker_to_stick_to() {
    let skipped = || json!({ "skip_if": "input.skip" });
    let mut demands = declared("hard", skipped(), json!({}));
    demands.carry_out(2, done(&json!(null)));
    let why = failure(&demands);
    assert!(why.code == "worker_gone" && why.message.contains("`then`") && why.message.contains("`first`"), "{why:?}");
    let mut prefers = declared("soft", skipped(), json!({}));
    assert_eq!((row(&prefers, 2).policy.queue.as_str(), row(&prefers, 2).wants), ("default", None));
    prefers.carry_out(2, done(&json!("end")));
    assert_eq!(output(&prefers), "end");
}

/// An operator's output is no worker's.
#[test]
fn a_declared_task_that_demands_the_worker_of_what_an_operator_did_fails() {
    let mut run = declared("hard", json!({}), json!({}));
    let skip = Command::SkipStep { seq: Seq(1), by: "eve".to_owned(), output: payload(&json!(1)) };
    run.tell(skip).expect("nobody has it");
    run.carry_out(3, done(&json!(null)));
    assert_eq!((failure(&run).code.as_str(), run.count("ran_by")), ("worker_gone", 0));
}

/// Nothing is written of workers where nobody asks for one, so that runs of older definitions go on as they were.
#[test]
fn declared_tasks_without_placement_write_what_they_always_wrote() {
    let definition = json!({ "tasks": { "a": { "step": "a" }, "b": { "step": "b", "parents": ["a"] } } });
    let mut run = Subject::run_declared(&definition, &json!(null));
    run.carry_out(1, done(&json!(1)));
    run.carry_out(2, done(&json!(2)));
    fits_at_every_revision(&run);
    let written: Vec<Value> = asked(&run).iter().map(|step| serde_json::to_value(step).expect("JSON")).collect();
    let first = json!({ "name": "a", "input": { "input": null, "parents": {} } });
    assert_eq!(written, [first, json!({ "name": "b", "input": { "input": null, "parents": { "a": 1 } } })]);
    assert_eq!((run.count("ran_by"), run.timers.len()), (0, 0));
}
