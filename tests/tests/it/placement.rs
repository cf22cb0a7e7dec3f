//! Steps go to the workers that they prefer while one of those has a place, and to any at once when none has.

use std::time::Duration;

use serde_json::json;
use sqlx::PgPool;
use tokio::time::Instant;
use uuid::Uuid;
use valet_tests::bounds::LOAD_MAX;
use valet_tests::wait::until;
use valet_tests::{Api, Cluster, Shape};

use super::PROGRAM;

/// One step that prefers workers with `gpu` = `yes`, and holds its slot for so long.
async fn declare(api: &Api, name: &str, ms: u32) {
    let definition = json!({ "tasks": { "only": {
        "step": "noop", "queue": "bench", "input": { "n": 1, "ms": ms },
        "prefer_labels": [{ "labels": { "gpu": "yes" }, "weight": 50 }, { "labels": { "zone": "eu" }, "weight": 5 }],
    } } });
    let answer = api.put(&format!("/api/v1/workflows/{name}"), &definition).await.expect("an engine");
    assert!(answer.status.is_success(), "{answer:?}");
}

/// The run, who was granted its step, and how long after it became ready.
async fn granted(api: &Api, pool: &PgPool, workflow: &str) -> (String, String, Duration) {
    let key = Uuid::now_v7().to_string();
    let run = api.start(workflow, &json!({}), &key).await.expect("the run starts").body.id;
    let id: Uuid = Uuid::parse_str(run.trim_start_matches("run_")).expect("an id");
    let who = "SELECT x.name, extract(epoch FROM s.granted_at - s.available_at)::float8
               FROM steps s JOIN sessions x ON x.id = s.session_id WHERE s.run_id = $1";
    let (name, seconds) = until(&format!("the step of {run} to be granted"), LOAD_MAX, async || {
        let found = sqlx::query_as::<_, (String, f64)>(who).bind(id).fetch_optional(pool).await;
        found.map_err(|error| error.to_string())?.ok_or_else(|| "it waits".to_owned())
    })
    .await;
    (run, name, Duration::from_secs_f64(seconds.max(0.0)))
}

async fn ended(api: &Api, run: &str) {
    until(&format!("{run} to end"), LOAD_MAX, async || {
        let status = api.run(run).await.map_err(|error| error.to_string())?.run.status;
        if status == "succeeded" { Ok(()) } else { Err(status) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preferred_worker_gets_steps_while_it_has_a_place_and_others_get_them_at_once_otherwise() {
    // The others stand first, so that chance would favour them.
    let labels = vec!["gpu=no", "zone=us", "gpu=yes,zone=eu"];
    let mut cluster = Cluster::start(PROGRAM, Shape { workers: 3, slots: 1, labels, ..Shape::default() }).await;
    let (api, oracle) = (cluster.api(), cluster.oracle().await);
    let pool = oracle.pool();
    declare(&api, "short", 200).await;
    declare(&api, "long", 3_000).await;

    for turn in 0..10 {
        let (run, who, after) = granted(&api, pool, "short").await;
        assert_eq!(who, "worker-2", "turn {turn}, {after:?} after it was ready");
        ended(&api, &run).await;
    }

    let (busy, who, _) = granted(&api, pool, "long").await;
    assert_eq!(who, "worker-2");
    let mut waited = Vec::new();
    for _ in 0..2 {
        let (_, who, after) = granted(&api, pool, "long").await;
        assert!(["worker-0", "worker-1"].contains(&who.as_str()), "{who}: the preferred one is busy");
        waited.push(after);
    }
    eprintln!("granted to others {waited:?} after they were ready");
    assert!(waited.iter().all(|after| *after < Duration::from_secs(1)), "{waited:?}: nobody is waited for");
    ended(&api, &busy).await;
    oracle.ended("long", 3, LOAD_MAX).await;

    // Its session lives on for eight seconds, with a free place.
    cluster.workers[2].kill().await;
    let killed = Instant::now();
    let (run, who, after) = granted(&api, pool, "short").await;
    eprintln!(
        "granted to {who} {after:?} after it was ready, the preferred worker being dead for {:?}",
        killed.elapsed()
    );
    assert_ne!(who, "worker-2");
    assert!(killed.elapsed() < Duration::from_secs(7), "before anybody knew: {:?}", killed.elapsed());
    assert!(after < Duration::from_secs(4), "{after:?}");
    ended(&api, &run).await;
}
