//! A bulk operation goes on when engines die in it: after they acted on runs, before they noted what became of them.

use std::os::unix::process::ExitStatusExt as _;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use valet_crash_points::{CrashPoint, Harm, Plan};
use valet_tests::bounds::{LOAD_MAX, START_MAX};
use valet_tests::wait::until;
use valet_tests::{Cluster, Oracle, Shape};

use super::PROGRAM;

/// Whose runs are to be cancelled, and whose are not.
const CHOSEN: (&str, i64) = ("many", 300);
const OTHERS: (&str, i64) = ("others", 40);
/// Runs that somebody cancels by hand while the operation has not come to them.
const BY_HAND: i64 = 5;
/// Runs a second: some ten turns for all.
const RATE: i64 = 100;
/// Both engines die in turn, the first before anything was noted.
const DEATHS: [(usize, u32); 3] = [(0, 1), (1, 2), (0, 2)];

/// What became of the runs of a subject.
#[derive(Debug, PartialEq, Eq, sqlx::FromRow)]
struct Fate {
    queued: i64,
    cancelled: i64,
    others: i64,
    /// Cancels that the operation is written down for, and of how many runs.
    by_operation: i64,
    of_runs: i64,
    by_hand: i64,
}

async fn start(cluster: &Cluster, (subject, count): (&str, i64)) {
    let run = json!({ "input": { "steps": 1 }, "subject": subject });
    let runs = json!({ "runs": vec![run; usize::try_from(count).expect("a count")] });
    let started = cluster.api().post("/api/v1/workflows/bench/runs/bulk", &runs, None).await.expect("an answer");
    assert_eq!(started.status, 200, "{}", started.body);
}

async fn fate(oracle: &Oracle, subject: &str) -> Fate {
    let fate = "
        WITH all_runs AS (
            SELECT id, status FROM runs WHERE subject = $1 UNION ALL SELECT id, status FROM finished_runs WHERE subject = $1
        ), cancels AS (
            SELECT a.via, a.target FROM audit a JOIN all_runs r ON a.target = 'run_' || replace(r.id::text, '-', '')
            WHERE a.action = 'run.cancel'
        )
        SELECT (SELECT count(*) FROM all_runs WHERE status = 'running') AS queued,
               (SELECT count(*) FROM all_runs WHERE status = 'cancelled') AS cancelled,
               (SELECT count(*) FROM all_runs WHERE status NOT IN ('running', 'cancelled')) AS others,
               (SELECT count(*) FROM cancels WHERE via = 'bulk') AS by_operation,
               (SELECT count(DISTINCT target) FROM cancels) AS of_runs,
               (SELECT count(*) FROM cancels WHERE via <> 'bulk') AS by_hand";
    sqlx::query_as(fate).bind(subject).fetch_one(oracle.pool()).await.expect("counts")
}

/// Cancels runs that the operation comes to last. Those that it came to nevertheless have ended by then.
async fn cancel_by_hand(cluster: &Cluster, oracle: &Oracle, engine: usize) {
    let last = "SELECT 'run_' || replace(run_id::text, '-', '') FROM bulk_items WHERE state = 'pending' ORDER BY position DESC LIMIT $1";
    let runs: Vec<String> =
        sqlx::query_scalar(last).bind(BY_HAND).fetch_all(oracle.pool()).await.expect("runs that are left");
    assert_eq!(runs.len() as i64, BY_HAND);
    for run in runs {
        let path = format!("/api/v1/runs/{run}/cancel");
        let answer = cluster.api_of(engine).post(&path, &json!({}), None).await.expect("an answer");
        assert!(answer.status.is_success() || answer.status == 409, "{}: {}", answer.status, answer.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bulk_cancel_goes_on_over_deaths_of_engines_and_cancels_each_run_once() {
    let known = CrashPoint::ALL.iter().filter(|point| point.as_str().starts_with("engine.bulk."));
    assert_eq!(known.collect::<Vec<_>>(), [&CrashPoint::EngineBulkActed]);
    // Nobody works: the runs wait for a worker until they are cancelled.
    let mut cluster = Cluster::start(PROGRAM, Shape { engines: 2, workers: 0, ..Shape::default() }).await;
    let oracle = cluster.oracle().await;
    for of in [CHOSEN, OTHERS] {
        start(&cluster, of).await;
    }
    let none = Fate { queued: CHOSEN.1, cancelled: 0, others: 0, by_operation: 0, of_runs: 0, by_hand: 0 };
    assert_eq!(fate(&oracle, CHOSEN.0).await, none);

    for engine in &mut cluster.engines {
        engine.kill().await;
    }
    for (round, (engine, passing)) in DEATHS.into_iter().enumerate() {
        let point = CrashPoint::EngineBulkActed;
        cluster.engines[engine].start_armed(Plan { passing, ..Plan::first(point, Harm::Kill) });
        match round {
            0 => {
                cluster.engine_ready(engine).await;
                let cancel = json!({ "action": "cancel", "filter": { "subject": CHOSEN.0 }, "rate": RATE });
                // Whether it is answered before the engine dies does not matter: it is made before anything is done for it.
                drop(cluster.api_of(engine).post("/api/v1/bulk-operations", &cancel, Some("once")).await);
            }
            // Its predecessor's lease has not ended.
            1 => {
                cluster.engine_ready(engine).await;
                cancel_by_hand(&cluster, &oracle, engine).await;
            }
            _ => {}
        }
        let status = cluster.engines[engine].ended(LOAD_MAX).await;
        assert_eq!(status.signal(), Some(Signal::SIGKILL as i32), "it ended otherwise: {status}");
        let so_far = fate(&oracle, CHOSEN.0).await;
        assert!((1..CHOSEN.1).contains(&so_far.cancelled), "it died in the middle: {so_far:?}");
    }
    for engine in 0..2 {
        cluster.engines[engine].start();
        cluster.engine_ready(engine).await;
    }

    let done: Value = until("the operation to end", LOAD_MAX.max(START_MAX), async || {
        let listed = cluster.api().get("/api/v1/bulk-operations").await.map_err(|error| error.to_string())?;
        let operations = listed.body["operations"].as_array().cloned().unwrap_or_default();
        match operations.as_slice() {
            [one] if one["state"] == "completed" => Ok(one.clone()),
            _ => Err(listed.body.to_string()),
        }
    })
    .await;
    let all = fate(&oracle, CHOSEN.0).await;
    let by_operation = CHOSEN.1 - all.by_hand;
    let wanted = Fate { queued: 0, cancelled: CHOSEN.1, others: 0, by_operation, of_runs: CHOSEN.1, ..all };
    assert_eq!(all, wanted, "each run was cancelled once, by whoever came first");
    let figures = ["total", "done", "skipped", "failed"].map(|name| done[name].as_i64().unwrap_or(-1));
    assert_eq!(figures, [CHOSEN.1, by_operation, all.by_hand, 0], "{done}");
    let untouched = Fate { queued: OTHERS.1, ..none };
    assert_eq!(fate(&oracle, OTHERS.0).await, untouched, "they are others'");
}
