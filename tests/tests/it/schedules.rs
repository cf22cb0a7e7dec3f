//! Schedules over two engines that are killed while they fire, and a clock that is put forward and back: one run for each instant.

use std::os::unix::process::ExitStatusExt as _;

use nix::sys::signal::Signal;
use serde_json::json;
use valet_crash_points::{CrashPoint, Harm, Plan};
use valet_tests::bounds::{SOON, START_MAX};
use valet_tests::wait::until;
use valet_tests::{Cluster, Oracle, Shape};

use super::PROGRAM;

const SCHEDULES: i64 = 34;
/// So many minutes come with each round, and so many are taken back again.
const FORWARD: i32 = 8;
const BACK: i32 = 3;

/// Where the engine dies in each round, and at which passing.
const POINTS: [(CrashPoint, u32); 6] = [
    (CrashPoint::EngineFirePlanned, 1),
    (CrashPoint::EngineFireNoted, 1),
    (CrashPoint::EngineFireStarted, 60),
    (CrashPoint::EngineFireSettled, 1),
    (CrashPoint::EngineCommitBefore, 2),
    (CrashPoint::EngineCommitAfter, 2),
];

/// Schedules go by the database's clock: statements ask this one for the time.
const CLOCK: [&str; 4] = [
    "CREATE TABLE clock_change (amount interval NOT NULL)",
    "INSERT INTO clock_change VALUES ('0')",
    "CREATE FUNCTION public.now() RETURNS timestamptz LANGUAGE sql STABLE \
     AS 'SELECT pg_catalog.now() + (SELECT amount FROM public.clock_change)'",
    "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET search_path = public, pg_catalog', current_database()); END $$",
];

/// What became of all instants.
#[derive(Debug, PartialEq, Eq, sqlx::FromRow)]
struct Fires {
    all: i64,
    started: i64,
    /// Instants of a schedule follow one another without a gap.
    schedules: i64,
    gapless: i64,
    /// Ids of runs that instants have, runs that schedules started, and runs.
    named: i64,
    audited: i64,
    runs: i64,
}

struct Scene {
    cluster: Cluster,
    oracle: Oracle,
}

impl Scene {
    async fn set() -> Self {
        let mut cluster = Cluster::start(PROGRAM, Shape { engines: 2, workers: 0, ..Shape::default() }).await;
        let oracle = cluster.oracle().await;
        for statement in CLOCK {
            sqlx::query(statement).execute(oracle.pool()).await.expect("a clock");
        }
        // Connections that are made from now on have it.
        let each_minute = json!({
            "workflow": "bench", "cron": "* * * * *", "overlap": "allow", "catch_up_seconds": 3_600,
            "run": { "input": { "steps": 1 } },
        });
        for engine in 0..2 {
            cluster.restart_engine(engine).await;
        }
        for n in 0..SCHEDULES {
            let made = cluster.api().put(&format!("/api/v1/schedules/s{n}"), &each_minute).await.expect("an answer");
            assert_eq!(made.status, 201, "{}", made.body);
        }
        Self { cluster, oracle }
    }

    async fn put_clock(&self, minutes: i32) {
        let change = sqlx::query("UPDATE clock_change SET amount = amount + make_interval(mins => $1)");
        change.bind(minutes).execute(self.oracle.pool()).await.expect("another time");
    }

    /// Has both engines look, and waits until all that is due is started.
    async fn settled(&self, round: usize) {
        for engine in 0..2 {
            // Whoever puts one looks at once; this one is never due.
            let never =
                json!({ "workflow": "bench", "cron": "0 0 29 2 *", "run": { "input": { "steps": round + 1 } } });
            let put = self.cluster.api_of(engine).put("/api/v1/schedules/never", &never).await.expect("an answer");
            assert!(put.status.is_success(), "{}", put.body);
        }
        until("all that is due to be started", SOON, async || {
            let open = "SELECT (SELECT count(*) FROM schedules WHERE next_at <= public.now()), \
                               (SELECT count(*) FROM schedule_fires WHERE state <> 'started')";
            let open: (i64, i64) = sqlx::query_as(open).fetch_one(self.oracle.pool()).await.expect("counts");
            if open == (0, 0) { Ok(()) } else { Err(format!("{open:?} are due and open")) }
        })
        .await;
    }

    async fn fires(&self) -> Fires {
        let fires = "SELECT count(*) AS all, count(*) FILTER (WHERE state = 'started') AS started, count(DISTINCT run_id) AS named,
                            count(DISTINCT schedule_id) AS schedules,
                            (SELECT count(*) FROM (SELECT FROM schedule_fires GROUP BY schedule_id
                             HAVING max(at) - min(at) = make_interval(mins => count(*)::int - 1)) g) AS gapless,
                            (SELECT count(*) FROM audit WHERE action = 'run.start' AND via = 'schedule') AS audited,
                            (SELECT count(*) FROM runs) + (SELECT count(*) FROM finished_runs) AS runs
                     FROM schedule_fires";
        sqlx::query_as(fires).fetch_one(self.oracle.pool()).await.expect("counts")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_instants_start_one_run_each_over_crashes_and_changes_of_the_clock() {
    let known = CrashPoint::ALL.iter().filter(|point| point.as_str().starts_with("engine.fire."));
    assert!(known.clone().all(|point| POINTS.iter().any(|(killed, _)| killed == point)), "{known:?}");
    let mut scene = Scene::set().await;
    for (round, (point, passing)) in POINTS.into_iter().enumerate() {
        let (dying, other) = (round % 2, 1 - round % 2);
        // What becomes due is the dying one's.
        scene.cluster.engines[other].freeze();
        scene.cluster.engines[dying].kill().await;
        scene.put_clock(FORWARD).await;
        scene.cluster.engines[dying].start_armed(Plan { passing, ..Plan::first(point, Harm::Kill) });
        let status = scene.cluster.engines[dying].ended(START_MAX).await;
        assert_eq!(status.signal(), Some(Signal::SIGKILL as i32), "{point}: it ended otherwise: {status}");
        // What it left is taken on when its time has come, or when the clock went back.
        scene.put_clock(if round % 2 == 0 { 1 } else { -BACK }).await;
        scene.cluster.engines[other].thaw();
        scene.cluster.engines[dying].start();
        scene.cluster.engine_ready(dying).await;
        scene.settled(round).await;
        if round % 2 == 0 {
            scene.put_clock(-BACK).await;
            scene.settled(round).await;
        }
        // Whatever is under way.
        let fires = scene.fires().await;
        assert_eq!((fires.named, fires.audited), (fires.all, fires.runs), "{point}: {fires:?}");
        assert!(fires.runs <= fires.all, "{point}: {fires:?}");
    }
    let all = until("one run for each instant, and an instant for each minute", SOON, async || {
        let fires = scene.fires().await;
        let Fires { all, started, schedules, gapless, named, audited, runs } = fires;
        let each = [started, named, audited, runs].iter().all(|count| *count == all);
        if each && schedules == SCHEDULES && gapless == SCHEDULES { Ok(all) } else { Err(format!("{fires:?}")) }
    })
    .await;
    assert!(all >= 1_000, "only {all} instants");
}
