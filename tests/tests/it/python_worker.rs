//! A worker in another language, over HTTP alone: sixty lines of Python do what every worker does.

use std::path::Path;
use std::time::Instant;

use serde_json::json;
use valet_tests::bounds::SOON;
use valet_tests::process::Launch;
use valet_tests::wait::{until, until_true};
use valet_tests::{Cluster, Process, Shape};

use super::PROGRAM;

/// What a step of a killed worker may take until it begins again: its lease of 8 s, a tick, and a slow machine.
const AGAIN_MAX_S: f64 = 14.0;

/// `None`, and why, where it cannot be run.
fn python(cluster: &Cluster, name: &str) -> Option<Process> {
    let found =
        std::env::split_paths(&std::env::var_os("PATH")?).map(|folder| folder.join("python3")).find(|p| p.is_file());
    let Some(program) = found else {
        eprintln!("skipped: python3 is not installed");
        return None;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/python_worker/worker.py");
    let mut environment = cluster.environment().to_vec();
    environment.push(("VALET_QUEUES", "bench,stage".to_owned()));
    let mut process = Process::new(Launch {
        name: name.to_owned(),
        program,
        arguments: vec![script.display().to_string()],
        environment,
        folder: cluster.folder().to_owned(),
    });
    process.start();
    Some(process)
}

async fn succeeded(cluster: &Cluster, run: &str, process: &Process) {
    let api = cluster.api();
    until("the run to succeed", SOON, async || {
        let status = api.run(run).await.map_err(|error| error.to_string())?.run.status;
        if status == "succeeded" { Ok(()) } else { Err(format!("{status}; the worker said:\n{}", process.said())) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_python_worker_runs_steps_without_redis() {
    let mut cluster = Cluster::start(PROGRAM, Shape { workers: 0, ..Shape::default() }).await;
    let Some(mut worker) = python(&cluster, "python") else { return };
    let body = json!({ "input": { "steps": 3 }, "subject": "tests" });
    let path = "/api/v1/workflows/bench/runs?wait=30s";
    let told = cluster.api().post(path, &body, Some("waited")).await.expect("an answer");
    assert_eq!(told.status, 201, "{}\n{}", told.body, worker.said());
    assert_eq!((&told.body["status"], &told.body["output"]), (&json!("succeeded"), &json!(3)));
    let (stopped, stage) = (cluster.stack.stop_redis().await, cluster.stage("held"));
    stopped.expect("Redis stops");
    // A step goes on without it, and the next is found.
    stage.open();
    let input = json!({ "steps": 2, "stage": stage.folder() });
    let run = cluster.api().start("staged", &input, "staged").await.expect("a run starts").body.id;
    succeeded(&cluster, &run, &worker).await;
    // An engine that was away for a moment is found again.
    cluster.stack.start_redis().await.expect("Redis starts");
    cluster.restart_engine(0).await;
    let run = cluster.api().start("bench", &json!({ "steps": 2 }), "after").await.expect("a run starts").body.id;
    succeeded(&cluster, &run, &worker).await;
    assert!(worker.is_running(), "it lived through all of it");
    let oracle = cluster.oracle().await;
    oracle.assert_all_well("staged", 1, 2).await;
    assert_eq!(stage.count("began"), 2, "each step was carried out once");
}

/// Nobody's code but its own is needed: the definition comes over HTTP, the steps are done in Python.
#[tokio::test(flavor = "multi_thread")]
async fn a_python_worker_carries_a_declared_workflow_out() {
    let cluster = Cluster::start(PROGRAM, Shape { workers: 0, ..Shape::default() }).await;
    let Some(worker) = python(&cluster, "python") else { return };
    let task = |n: &str, parents: &[&str]| {
        let input = json!({ "n": { "$cel": n } });
        json!({ "step": "noop", "queue": "bench", "parents": parents, "input": input })
    };
    let definition = json!({
        "tasks": {
            "start": task("input.n", &[]),
            "left": task("parents.start.output + 1", &["start"]),
            "right": task("parents.start.output * 2", &["start"]),
            "sum": task("parents.left.output + parents.right.output", &["left", "right"]),
        },
        "output": "tasks.sum.output",
    });
    let registered = cluster.api().put("/api/v1/workflows/sums", &definition).await.expect("an answer");
    assert_eq!(registered.status, 201, "{}", registered.body);
    let body = json!({ "input": { "n": 20 } });
    let told = cluster.api().post("/api/v1/workflows/sums/runs?wait=30s", &body, Some("sum")).await.expect("an answer");
    let told = told.body;
    assert_eq!((&told["status"], &told["output"]), (&json!("succeeded"), &json!(61)), "{told}\n{}", worker.said());
}

/// What happens to a step whose Python worker is killed in the middle of it, with somebody else at hand.
#[tokio::test(flavor = "multi_thread")]
async fn the_step_of_a_killed_python_worker_runs_elsewhere_and_counts_once() {
    let mut cluster = Cluster::start(PROGRAM, Shape { workers: 1, ..Shape::default() }).await;
    // The Rust worker comes back for the second half.
    cluster.workers[0].kill().await;
    let Some(mut first) = python(&cluster, "python-1") else { return };
    let api = cluster.api();
    let mut runs = 0;
    for to_python in [true, false] {
        let stage = cluster.stage(if to_python { "to-python" } else { "to-rust" });
        let input = json!({ "steps": 1, "stage": stage.folder(), "once": false });
        let run = api.start("staged", &input, &format!("killed-{to_python}")).await.expect("a run starts").body.id;
        runs += 1;
        until_true("the step to begin", SOON, async || stage.count("began") == 1).await;
        first.kill().await;
        let killed = Instant::now();
        let second = if to_python { python(&cluster, "python-2") } else { None };
        if !to_python {
            cluster.workers[0].start();
        }
        until_true("the step to begin elsewhere", SOON, async || stage.count("began") == 2).await;
        let after_s = killed.elapsed().as_secs_f64();
        eprintln!("to python: {to_python}; the step began again after {after_s:.1} s");
        assert!(after_s < AGAIN_MAX_S, "{after_s:.1} s");
        stage.open();
        succeeded(&cluster, &run, second.as_ref().unwrap_or(&first)).await;
        let notes = stage.notes();
        assert_eq!(stage.count("ended"), 1, "only the second came to its end: {notes:?}");
        assert_eq!(notes.iter().map(|note| note.attempt).max(), Some(2), "{notes:?}");
        if let Some(mut second) = second {
            second.kill().await;
        }
        if to_python {
            first = python(&cluster, "python-3").expect("it was there before");
        }
    }
    cluster.oracle().await.assert_all_well("staged", runs, 1).await;
}
