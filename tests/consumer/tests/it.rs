//! The program of a user, as real processes: its workflow runs, on its own steps, and every verb is there.

use std::process::Command;

use serde_json::json;
use valet_tests::bounds::SOON;
use valet_tests::wait::until;
use valet_tests::{Cluster, Shape};

const PROGRAM: &str = env!("CARGO_BIN_EXE_valet-consumer");

#[tokio::test(flavor = "multi_thread")]
async fn a_programs_own_workflow_runs_on_its_own_steps() {
    let cluster = Cluster::start(PROGRAM, Shape { queues: "default".to_owned(), ..Shape::default() }).await;
    let api = cluster.api();
    let run = api.start("buy-book", &json!({ "isbn": "0262033844", "copies": 2 }), "a").await.expect("a run").body.id;
    let done = until("the run to succeed", SOON, async || {
        let view = api.run(&run).await.map_err(|error| error.to_string())?;
        if view.run.status == "succeeded" { Ok(view) } else { Err(view.run.status) }
    })
    .await;
    assert_eq!(done.output, Some(json!("2 × The Book 0262033844")));
    assert_eq!(done.run.status_line.as_deref(), Some("ordering The Book 0262033844"));

    let refused = api.start("buy-book", &json!({ "isbn": "1", "copies": 0 }), "b").await.expect_err("no copies");
    assert!(refused.to_string().contains("copies"), "{refused}");
}

/// What a verb of the program prints, with the settings of its engine.
fn printed(cluster: &Cluster, arguments: &[&str]) -> (String, Option<i32>) {
    let settings = cluster.environment().iter().map(|(name, value)| (name, value));
    let done = Command::new(PROGRAM).args(arguments).envs(settings).output().expect("the program runs");
    assert!(done.stderr.is_empty(), "{}", String::from_utf8_lossy(&done.stderr));
    (String::from_utf8(done.stdout).expect("text"), done.status.code())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_replayed_with_the_programs_own_code() {
    let cluster = Cluster::start(PROGRAM, Shape { queues: "default".to_owned(), ..Shape::default() }).await;
    let api = cluster.api();
    let run = api.start("buy-book", &json!({ "isbn": "0262033844", "copies": 2 }), "a").await.expect("a run").body.id;
    until("the run to succeed", SOON, async || {
        let view = api.run(&run).await.map_err(|error| error.to_string())?;
        if view.run.status == "succeeded" { Ok(()) } else { Err(view.run.status) }
    })
    .await;
    let (said, code) = printed(&cluster, &["runs", "replay", &run]);
    assert!(said.starts_with(&format!("{run}  buy-book  succeeded: build ")), "{said}");
    assert!(said.trim_end().ends_with("asks for what its 8 entries recorded"), "{said}");
    assert_eq!(code, Some(0));

    let (walked, _) = printed(&cluster, &["runs", "replay", &run, "--step"]);
    assert!(walked.contains("the code asks for step `order`") && !walked.contains("0262033844"), "{walked}");
    let (whole, _) = printed(&cluster, &["runs", "replay", &run, "--step", "--payloads", "--json"]);
    assert!(whole.contains("0262033844"), "{whole}");
    let documents: Vec<serde_json::Value> =
        whole.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(documents.last().expect("a verdict")["verdict"], "fits");
}

#[test]
fn every_verb_is_there() {
    let help = Command::new(PROGRAM).arg("--help").output().expect("the program runs");
    let text = String::from_utf8(help.stdout).expect("text");
    for verb in ["up", "engine", "worker", "migrate", "simulate", "bench", "config", "run", "runs", "human", "doctor"] {
        assert!(text.lines().any(|line| line.trim_start().starts_with(&format!("{verb} "))), "{verb}: {text}");
    }
}
