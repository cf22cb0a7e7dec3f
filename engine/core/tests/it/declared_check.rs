//! Definitions of declared workflows: every fault is found at once, at its place.

use serde_json::{Value, json};
use valet_core::declared::{DeclaredWorkflow, check};

fn faults(definition: &Value) -> Vec<(String, String)> {
    let definition: DeclaredWorkflow = serde_json::from_value(definition.clone()).expect("a definition's shape");
    match check(&definition) {
        Ok(_) => Vec::new(),
        Err(faults) => faults.into_problems().into_iter().map(|fault| (fault.field, fault.message)).collect(),
    }
}

fn tasks(tasks: &Value) -> Value {
    json!({ "tasks": tasks })
}

/// One fault, at `place`, whose sentence has `word`.
#[track_caller]
fn one(definition: &Value, place: &str, word: &str) {
    let found = faults(definition);
    assert_eq!(found.len(), 1, "{definition}: {found:?}");
    assert_eq!(found[0].0, place, "{found:?}");
    assert!(found[0].1.contains(word), "{found:?}");
}

/// The same about the only task, `a`, which has this besides its step.
#[track_caller]
fn of_a(mut task: Value, place: &str, word: &str) {
    task["step"] = task.get("step").cloned().unwrap_or(json!("s"));
    one(&tasks(&json!({ "a": task })), place, word);
}

#[test]
fn a_definition_with_everything_is_in_order() {
    let all = json!({
        "name": "orders", "description": "what it does", "input_schema": { "type": "object" },
        "tasks": {
            "fetch": { "step": "fetch", "queue": "io", "max_attempts": 5, "execution_timeout": "90s",
                       "schedule_timeout": 500, "non_retryable": ["gone"], "priority": -3, "on_exhausted": "park",
                       "backoff": { "initial_ms": 100, "factor": 3.0, "max_ms": 1000, "jitter": 0.5 },
                       "input": { "url": { "$cel": "input.url" }, "list": [1, { "$cel": "run.id" }] } },
            "send-it": { "step": "send", "parents": ["fetch"], "skip_if": "parents.fetch.output.empty",
                         "cancel_if": "parents['fetch'].skipped", "labels": { "gpu": "yes", "zone": "eu" },
                         "sticky": { "to": "fetch", "mode": "soft" } },
            "tidy": { "step": "tidy", "parents": ["send-it"], "sticky": { "to": "fetch", "mode": "hard" } },
        },
        "on_failure": { "step": "tell", "input": { "why": { "$cel": "error.code" } } },
        "output": "{'sent': tasks['send-it'].output, 'fetched': tasks.fetch.output}",
    });
    assert_eq!(faults(&all), []);
    let read: DeclaredWorkflow = serde_json::from_value(all.clone()).expect("its shape");
    assert_eq!(serde_json::to_value(&read).expect("JSON"), all, "nothing is added to what was said");
}

#[test]
fn parents_are_other_tasks_and_lead_nowhere_back() {
    let s = |parents: Value| json!({ "step": "s", "parents": parents });
    of_a(json!({ "parents": ["b"] }), "/tasks/a/parents/0", "no task `b`");
    of_a(json!({ "parents": ["a"] }), "/tasks/a/parents/0", "cannot wait for itself");
    of_a(json!({ "wait_for": [[]] }), "/tasks/a/wait_for/0", "at least one thing");
    of_a(json!({ "wait_for": [[{}]] }), "/tasks/a/wait_for/0/0", "`sleep`, `signal` or `event`");
    of_a(json!({ "wait_for": [[{ "sleep": "1s", "signal": "go" }]] }), "/tasks/a/wait_for/0/0", "one of");
    of_a(json!({ "wait_for": [[{ "event": "k", "signal": "go" }]] }), "/tasks/a/wait_for/0/0", "one of");
    of_a(json!({ "wait_for": [[{ "sleep": 1 }, { "event": "" }]] }), "/tasks/a/wait_for/0/1/event", "1 to 255 bytes");
    of_a(json!({ "wait_for": [[{ "event": "a\nb" }]] }), "/tasks/a/wait_for/0/0/event", "control characters");
    of_a(json!({ "wait_for": [[{ "event": "k", "scope": "" }]] }), "/tasks/a/wait_for/0/0/scope", "1 to 255 bytes");
    of_a(json!({ "wait_for": [[{ "sleep": 1, "scope": "eu" }]] }), "/tasks/a/wait_for/0/0/scope", "say in `event`");
    of_a(json!({ "wait_for": [[{ "event": "k", "if": "payload.n > 1" }]] }), "/tasks/a/wait_for/0/0/if", "payload");
    of_a(json!({ "wait_for": [[{ "event": { "$cel": "1 +" } }]] }), "/tasks/a/wait_for/0/0/event/$cel", "");
    of_a(
        json!({ "wait_for": [[{ "event": { "$cel": "waited.x.came" } }]] }),
        "/tasks/a/wait_for/0/0/event/$cel",
        "waited",
    );
    let stranger = json!([[{ "event": { "$cel": "parents.b.output" } }]]);
    of_a(json!({ "wait_for": stranger }), "/tasks/a/wait_for/0/0/event/$cel", "none of its parents");
    of_a(json!({ "wait_for": [[{ "signal": "event #1 k" }]] }), "/tasks/a/wait_for/0/0/signal", "no signals");
    of_a(json!({ "wait_for": [[{ "sleep": "soon" }]] }), "/tasks/a/wait_for/0/0/sleep", "a duration is");
    of_a(json!({ "wait_for": [[{ "signal": "" }]] }), "/tasks/a/wait_for/0/0/signal", "1 to 128 bytes");
    of_a(json!({ "wait_for": [[{ "signal": "go", "if": "message." }]] }), "/tasks/a/wait_for/0/0/if", "");
    of_a(
        json!({ "wait_for": [[{ "sleep": 1, "if": "true" }]] }),
        "/tasks/a/wait_for/0/0/if",
        "say in `signal` or `event`",
    );
    let twice = json!([[{ "sleep": 1, "as": "x" }], [{ "sleep": 2, "as": "x" }]]);
    of_a(json!({ "wait_for": twice }), "/tasks/a/wait_for/1/0/as", "another's name");
    of_a(json!({ "wait_for": [vec![json!({ "sleep": 1 }); 21]] }), "/tasks/a/wait_for", "at most 20");
    of_a(json!({ "skip_if": "waited.paid.came" }), "/tasks/a/skip_if", "nothing in `wait_for` is called `paid`");
    one(&tasks(&json!({ "a": s(json!([])), "b": s(json!(["a", "a"])) })), "/tasks/b/parents/1", "twice");
    let ring = json!({ "d": s(json!([])), "c": s(json!(["d", "b"])), "b": s(json!(["a"])), "a": s(json!(["c"])), "e": s(json!(["a"])) });
    one(&tasks(&ring), "/tasks/a/parents", "a → c → b → a");
}

#[test]
fn names_sizes_and_numbers_have_bounds() {
    one(&tasks(&json!({})), "/tasks", "at least one");
    let many: serde_json::Map<_, _> = (0..201).map(|n| (format!("t{n}"), json!({ "step": "s" }))).collect();
    one(&tasks(&Value::Object(many)), "/tasks", "at most 200");
    one(&tasks(&json!({ "a": { "step": "s", "input": "x".repeat(300_000) } })), "", "262144");
    one(&json!({ "name": "a b", "tasks": { "a": { "step": "s" } } }), "/name", "a name has");
    one(&tasks(&json!({ "a/b~": { "step": "s" } })), "/tasks/a~1b~0", "a task's name");
    of_a(json!({ "step": "" }), "/tasks/a/step", "the name of a step");
    of_a(json!({ "queue": "No Spaces" }), "/tasks/a/queue", "a queue's name");
    of_a(json!({ "max_attempts": 0 }), "/tasks/a/max_attempts", "1 to 1000");
    of_a(json!({ "non_retryable": ["ok", ""] }), "/tasks/a/non_retryable/1", "a code has");
    of_a(json!({ "backoff": { "factor": 0.5 } }), "/tasks/a/backoff/factor", "1 to 100");
    of_a(json!({ "backoff": { "jitter": 2 } }), "/tasks/a/backoff/jitter", "0 to 1");
    of_a(json!({ "backoff": { "initial_ms": 9, "max_ms": 3 } }), "/tasks/a/backoff/initial_ms", "at most `max_ms`");
    for bad in [
        json!("soon"),
        json!("5"),
        json!("5 m"),
        json!("-1s"),
        json!("0s"),
        json!(0),
        json!("31d"),
        json!("9999999999999d"),
    ] {
        of_a(json!({ "execution_timeout": bad }), "/tasks/a/execution_timeout", "a duration is");
    }
    of_a(json!({ "schedule_timeout": "1y" }), "/tasks/a/schedule_timeout", "a duration is");
}

#[test]
fn labels_are_those_that_code_may_require() {
    of_a(json!({ "labels": { "GPU": "yes" } }), "/tasks/a/labels/GPU", "use 1 to 32 of a-z");
    of_a(json!({ "labels": { "a/b": "yes" } }), "/tasks/a/labels/a~1b", "use 1 to 32 of a-z");
    of_a(json!({ "labels": { "gpu": "x".repeat(33) } }), "/tasks/a/labels/gpu", "use 1 to 32 of a-z");
    let five = json!({ "a": "1", "b": "1", "c": "1", "d": "1", "E": "1" });
    of_a(json!({ "labels": five }), "/tasks/a/labels", "5 labels; a step requires at most 4");
    let long = json!({ "a": "x".repeat(32), "b": "x".repeat(32) });
    of_a(json!({ "labels": long, "queue": "q".repeat(64) }), "/tasks/a/labels", "shorten one of them");
    let both = tasks(&json!({ "a": { "step": "s", "labels": { "GPU": "yes", "zone": "", "ok": "1" } } }));
    let places: Vec<String> = faults(&both).into_iter().map(|(place, _)| place).collect();
    assert_eq!(places, ["/tasks/a/labels/GPU", "/tasks/a/labels/zone"]);
}

#[test]
fn a_task_sticks_to_a_step_that_it_follows_from() {
    let of_c = |to: &str| {
        tasks(&json!({
            "a": { "step": "s" }, "b": { "step": "s", "parents": ["a"] }, "run": { "workflow": "w" },
            "c": { "step": "s", "parents": ["b", "run"], "sticky": { "to": to, "mode": "hard" } },
            "d": { "step": "s", "parents": ["c"] }, "aside": { "step": "s" },
        }))
    };
    for to in ["a", "b"] {
        assert_eq!(faults(&of_c(to)), [], "{to}");
    }
    for to in ["c", "d", "aside"] {
        one(&of_c(to), "/tasks/c/sticky/to", "may end after this task begins");
    }
    one(&of_c("nobody"), "/tasks/c/sticky/to", "no task `nobody`");
    one(&of_c("run"), "/tasks/c/sticky/to", "name a task with `step`");
    let told = json!({ "step": "t", "sticky": { "to": "a", "mode": "soft" } });
    one(&json!({ "tasks": { "a": { "step": "s" } }, "on_failure": told }), "/on_failure/sticky", "leave `sticky` out");
    for bad in
        [json!({ "to": "a" }), json!({ "to": "a", "mode": "firm" }), json!({ "to": "a", "mode": "soft", "x": 1 })]
    {
        let task = tasks(&json!({ "a": { "step": "s" }, "b": { "step": "s", "parents": ["a"], "sticky": bad } }));
        assert!(serde_json::from_value::<DeclaredWorkflow>(task.clone()).is_err(), "{task}");
    }
}

#[test]
fn expressions_are_read_where_they_stand() {
    of_a(json!({ "skip_if": "input." }), "/tasks/a/skip_if", "this is no CEL: line 1");
    of_a(json!({ "cancel_if": "nope" }), "/tasks/a/cancel_if", "no variable `nope`");
    of_a(json!({ "input": { "x": [0, { "$cel": "1 +" }] } }), "/tasks/a/input/x/1/$cel", "this is no CEL");
    of_a(json!({ "input": { "$cel": "1", "y": 2 } }), "/tasks/a/input", "nothing else");
    of_a(json!({ "input": { "$cel": 1 } }), "/tasks/a/input", "a string there");
    of_a(json!({ "skip_if": "x".repeat(5_000) }), "/tasks/a/skip_if", "at most 4096 bytes");
    of_a(json!({ "skip_if": "parents.b.output == 1" }), "/tasks/a/skip_if", "`b` is none of its parents");
    of_a(json!({ "skip_if": "size(parents) > 0" }), "/tasks/a/skip_if", "with a task's name");
    of_a(json!({ "input": { "$cel": "parents['b'].output" } }), "/tasks/a/input", "`b` is none of its parents");
    let output = |text: &str| json!({ "tasks": { "a": { "step": "s" } }, "output": text });
    one(&output("tasks.b.output"), "/output", "`b` is none of its tasks");
    one(&output("parents.a.output"), "/output", "no variable `parents`");
}

#[test]
fn the_task_for_failures_has_no_parents_and_no_conditions() {
    let with = |on_failure: Value| json!({ "tasks": { "a": { "step": "s" } }, "on_failure": on_failure });
    one(&with(json!({ "step": "t", "parents": ["a"] })), "/on_failure/parents", "leave `parents` out");
    one(&with(json!({ "step": "t", "skip_if": "true" })), "/on_failure/skip_if", "leave `skip_if` out");
    one(&with(json!({ "step": "t", "cancel_if": "true" })), "/on_failure/cancel_if", "leave `cancel_if` out");
    one(
        &with(json!({ "step": "t", "input": { "$cel": "parents.a" } })),
        "/on_failure/input/$cel",
        "no variable `parents`",
    );
}

#[test]
fn all_faults_are_told_at_once() {
    let bad = json!({ "tasks": {
        "a": { "step": "", "parents": ["x", "a"], "skip_if": "1 +" },
        "b": { "step": "s", "queue": "Q", "execution_timeout": "soon" },
    }, "output": "nope" });
    let places: Vec<String> = faults(&bad).into_iter().map(|(place, _)| place).collect();
    let expected = [
        "/tasks/a/parents/0",
        "/tasks/a/parents/1",
        "/tasks/a/step",
        "/tasks/a/skip_if",
        "/tasks/b/queue",
        "/tasks/b/execution_timeout",
        "/output",
    ];
    assert_eq!(places, expected);
}

#[test]
fn an_unknown_field_is_no_definition() {
    let read = serde_json::from_value::<DeclaredWorkflow>(tasks(&json!({ "a": { "step": "s", "retrys": 3 } })));
    assert!(read.expect_err("a field too many").to_string().contains("retrys"));
}

#[test]
fn a_task_is_a_step_or_a_run_and_not_both() {
    let a = |task: Value| tasks(&json!({ "a": task }));
    assert_eq!(faults(&a(json!({ "workflow": "other", "input": { "x": 1 }, "skip_if": "input.x" }))), []);
    one(&a(json!({})), "/tasks/a/step", "or the `workflow`");
    one(&a(json!({ "workflow": "no spaces" })), "/tasks/a/workflow", "a name has");
    one(&a(json!({ "workflow": "w", "step": "s" })), "/tasks/a/step", "leave `step` out");
    for (field, value) in [
        ("queue", json!("io")),
        ("max_attempts", json!(2)),
        ("backoff", json!({})),
        ("execution_timeout", json!("5m")),
        ("schedule_timeout", json!("5m")),
        ("non_retryable", json!(["gone"])),
        ("priority", json!(1)),
        ("on_exhausted", json!("park")),
        ("labels", json!({ "gpu": "yes" })),
    ] {
        let mut task = json!({ "workflow": "w" });
        task[field] = value;
        one(&a(task), &format!("/tasks/a/{field}"), "a run, not a step");
    }
    let follows = json!({ "workflow": "w", "parents": ["b"], "sticky": { "to": "b", "mode": "soft" } });
    one(&tasks(&json!({ "a": follows, "b": { "step": "s" } })), "/tasks/a/sticky", "a run, not a step");
    let told = json!({ "tasks": { "a": { "step": "s" } }, "on_failure": { "workflow": "tell" } });
    assert_eq!(faults(&told), []);
}
