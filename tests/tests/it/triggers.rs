//! Triggers through Redis: each starts one run and tells its producer, whatever happens to the engine.

use std::time::Duration;

use serde_json::{Value, json};
use valet_tests::bounds::{LOAD_MAX, SOON};
use valet_tests::wait::until;
use valet_tests::{Cluster, Shape};

use super::PROGRAM;

const LIST: &str = "valet:triggers";

fn trigger(key: &str, steps: u32) -> String {
    json!({ "workflow": "bench", "idempotency_key": key, "input": { "steps": steps } }).to_string()
}

async fn result(cluster: &Cluster, key: &str) -> Value {
    result_within(SOON, cluster, key).await
}

async fn result_within(bound: Duration, cluster: &Cluster, key: &str) -> Value {
    let probe = cluster.redis();
    let place = format!("{LIST}:result:{key}");
    let text =
        until("the trigger's result", bound, async || probe.get(&place).await.ok_or_else(|| "none yet".to_owned()))
            .await;
    serde_json::from_str(&text).expect("a result is JSON")
}

async fn succeeded(cluster: &Cluster, run: &str) {
    let api = cluster.api();
    until("the run to succeed", SOON, async || {
        let status = api.run(run).await.map_err(|error| error.to_string())?.run.status;
        if status == "succeeded" { Ok(()) } else { Err(status) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_starts_one_run_and_a_bad_one_is_told_why() {
    let cluster = Cluster::start(PROGRAM, Shape::default()).await;
    let probe = cluster.redis();
    probe.push(LIST, &trigger("a", 2)).await;
    let first = result(&cluster, "a").await;
    assert_eq!(first["created"], true, "{first}");
    let run = first["run"].as_str().expect("a run").to_owned();
    succeeded(&cluster, &run).await;

    // A producer that did not see the answer repeats the trigger.
    probe.push(LIST, &trigger("a", 2)).await;
    until("the repeat to name the first run", SOON, async || {
        let again = result(&cluster, "a").await;
        if again == json!({ "run": run, "created": false }) { Ok(()) } else { Err(again.to_string()) }
    })
    .await;

    for (key, text, code) in [
        ("b", json!({ "workflow": "nothing", "idempotency_key": "b", "input": {} }), "workflow_not_found"),
        ("c", json!({ "workflow": "bench", "idempotency_key": "c", "input": { "steps": "two" } }), "invalid_input"),
        (
            "a",
            json!({ "workflow": "bench", "idempotency_key": "a", "input": { "steps": 3 } }),
            "idempotency_key_reused",
        ),
    ] {
        probe.push(LIST, &text.to_string()).await;
        until("the trigger to be refused", SOON, async || {
            let told = result(&cluster, key).await;
            if told["error"]["code"] == code { Ok(()) } else { Err(told.to_string()) }
        })
        .await;
    }
    probe.push(LIST, "no JSON, and a name: Ada Lovelace").await;
    until("all refused triggers to be listed", SOON, async || {
        let refused = probe.list("valet:triggers:refused").await;
        if refused.len() == 4 { Ok(()) } else { Err(format!("{refused:?}")) }
    })
    .await;
    let refused = probe.list("valet:triggers:refused").await.join(" ");
    assert!(refused.contains("invalid_json") && !refused.contains("Ada"), "code and key only: {refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn triggers_of_a_killed_engine_are_started_once_by_another() {
    let mut cluster = Cluster::start(PROGRAM, Shape { engines: 2, workers: 1, ..Shape::default() }).await;
    let probe = cluster.redis();
    let count = 300;
    for n in 0..count {
        probe.push(LIST, &trigger(&format!("k{n}"), 1)).await;
        if n == count / 2 {
            cluster.engines[0].kill().await;
        }
    }
    let oracle = cluster.oracle().await;
    oracle.ended("bench", count, LOAD_MAX).await;
    oracle.assert_all_well("bench", count, 1).await;
    // What the dead engine took goes back when it was silent for half a minute. A run that it had started without
    // telling the producer is told then, though the run itself ended long before.
    for n in 0..count {
        assert!(result_within(LOAD_MAX, &cluster, &format!("k{n}")).await["run"].is_string());
    }
}
