//! An engine is killed while it tells waiting runs of an event: another tells the rest, and each run takes the event once.

use std::os::unix::process::ExitStatusExt as _;

use nix::sys::signal::Signal;
use serde_json::json;
use valet_crash_points::{CrashPoint, Harm, Plan};
use valet_tests::bounds::{LOAD_MAX, START_MAX};
use valet_tests::wait::until;
use valet_tests::{Cluster, Shape};

use super::PROGRAM;

const RUNS: i64 = 20;

/// Where the engine dies that takes the event, and at which passing.
const POINTS: [(CrashPoint, u32); 3] =
    [(CrashPoint::EngineEventKept, 1), (CrashPoint::EngineCommitAfter, 2), (CrashPoint::EngineEventTold, 1)];

#[tokio::test(flavor = "multi_thread")]
async fn every_waiting_run_is_woken_once_though_the_engine_dies_that_took_the_event() {
    let known = CrashPoint::ALL.iter().filter(|point| point.as_str().starts_with("engine.event."));
    assert!(known.clone().all(|point| POINTS.iter().any(|(killed, _)| killed == point)), "{known:?}");
    let mut cluster = Cluster::start(PROGRAM, Shape { engines: 2, workers: 0, ..Shape::default() }).await;
    for engine in 0..2 {
        cluster.engine_ready(engine).await;
    }
    let (oracle, api) = (cluster.oracle().await, cluster.api_of(1));
    let put = async |path: &str, body| {
        let answer = api.put(path, &body).await.expect("an answer");
        assert_eq!(answer.status, 201, "{}", answer.body);
    };
    // Without a schedule engines look for what others left once a minute.
    put(
        "/api/v1/schedules/never",
        json!({ "workflow": "bench", "cron": "0 0 29 2 *", "run": { "input": { "steps": 1 } } }),
    )
    .await;
    let wait = json!({ "event": "order:*", "if": "message.payload.round == 'this'", "as": "paid" });
    let task = json!({ "step": "none", "wait_for": [[wait]], "skip_if": "waited.paid.came" });
    put("/api/v1/workflows/paid", json!({ "tasks": { "t": task }, "output": "'paid'" })).await;
    for (round, (point, passing)) in POINTS.into_iter().enumerate() {
        for n in 0..RUNS {
            api.start("paid", &json!({}), &format!("{round}/{n}")).await.expect("a run");
        }
        cluster.engines[0].kill().await;
        cluster.engines[0].start_armed(Plan { passing, ..Plan::first(point, Harm::Kill) });
        cluster.engine_ready(0).await;
        let event = json!({ "key": "order:paid", "payload": { "round": "this" } });
        let pushed = cluster.api_of(0).post("/api/v1/events", &event, None).await;
        assert!(pushed.is_err(), "{point}: it died, and answered: {pushed:?}");
        let status = cluster.engines[0].ended(START_MAX).await;
        assert_eq!(status.signal(), Some(Signal::SIGKILL as i32), "{point}: it ended otherwise: {status}");
        let told = (round as i64 + 1) * RUNS;
        until("all runs to be woken, once", LOAD_MAX, async || {
            let counts = "SELECT (SELECT count(*) FROM finished_runs WHERE workflow = 'paid' AND status = 'succeeded'),
                                 (SELECT sum(woken) FROM events), (SELECT count(*) FROM event_waits), (SELECT count(*) FROM event_wakes),
                                 (SELECT count(*) FROM audit WHERE action = 'run.wake')";
            let counts: (i64, i64, i64, i64, i64) =
                sqlx::query_as(counts).fetch_one(oracle.pool()).await.map_err(|error| error.to_string())?;
            if counts == (told, told, 0, 0, told) { Ok(()) } else { Err(format!("{point}: {counts:?}")) }
        })
        .await;
        cluster.engines[0].start();
        cluster.engine_ready(0).await;
    }
}
