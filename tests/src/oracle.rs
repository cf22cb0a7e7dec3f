//! What the database itself says: the judge of every test, past the engine's own views.

use std::time::Duration;

use sqlx::postgres::{PgPool, PgPoolOptions};
use sqlx::{AssertSqlSafe, Postgres, Transaction};

use crate::wait::until;

/// Reads the engine's tables.
#[derive(Clone, Debug)]
pub struct Oracle {
    pool: PgPool,
}

/// Writers of a table wait until this is released; readers do not.
pub struct Lock {
    pub table: &'static str,
    transaction: Transaction<'static, Postgres>,
}

impl Lock {
    pub async fn release(self) {
        self.transaction.rollback().await.expect("a lock is released");
    }
}

/// How all runs of a workflow stand.
#[derive(Clone, Debug, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct Tally {
    pub live: i64,
    pub succeeded: i64,
    pub ended_otherwise: i64,
    /// Results of steps that were accepted, over all ended runs.
    pub accepted: i64,
}

/// What may be wrong with ended runs; all zero is well.
#[derive(Clone, Debug, Default, PartialEq, Eq, sqlx::FromRow)]
pub struct Faults {
    /// Runs whose accepted results are not as many as their steps.
    pub wrong_results: i64,
    /// Runs whose journal's revisions are not 1, 2, 3… up to the run's own.
    pub gaps: i64,
    pub steps_left: i64,
    pub timers_left: i64,
    pub messages_left: i64,
    pub tasks_left: i64,
    /// Journal chunks of runs that are nowhere.
    pub orphans: i64,
}

impl Oracle {
    /// # Panics
    /// When the database does not answer.
    pub async fn connect(url: &str) -> Self {
        let options = PgPoolOptions::new().max_connections(4).acquire_timeout(Duration::from_secs(20));
        Self { pool: options.connect(url).await.expect("the oracle reaches the database") }
    }

    pub fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Every value of every table as text; byte columns as hexadecimal.
    pub async fn everything(&self) -> String {
        let tables = "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
                      WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p')";
        let mut all = String::new();
        for table in sqlx::query_scalar::<_, String>(tables).fetch_all(&self.pool).await.expect("tables") {
            let rows = sqlx::AssertSqlSafe(format!("SELECT to_jsonb(t)::text FROM {table} t"));
            let rows = sqlx::query_scalar::<_, String>(rows).fetch_all(&self.pool).await.expect("rows");
            all.extend(rows);
        }
        all
    }

    /// How all runs of a workflow stand.
    pub async fn tally(&self, workflow: &str) -> Tally {
        sqlx::query_as(
            "SELECT (SELECT count(*) FROM runs WHERE workflow = $1) AS live,
                    (SELECT count(*) FROM finished_runs WHERE workflow = $1 AND status = 'succeeded') AS succeeded,
                    (SELECT count(*) FROM finished_runs WHERE workflow = $1 AND status <> 'succeeded') AS ended_otherwise,
                    (SELECT coalesce(sum(j.accepted), 0)::bigint FROM journal j JOIN finished_runs f ON f.id = j.run_id
                     WHERE f.workflow = $1) AS accepted",
        )
        .bind(workflow)
        .fetch_one(&self.pool)
        .await
        .expect("the oracle counts runs")
    }

    /// Accepted results of all steps so far.
    pub async fn accepted(&self) -> i64 {
        sqlx::query_scalar("SELECT coalesce(sum(accepted), 0)::bigint FROM journal")
            .fetch_one(&self.pool)
            .await
            .expect("the oracle counts results")
    }

    /// Live runs of a workflow in a status.
    pub async fn runs(&self, workflow: &str, status: &str) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM runs WHERE workflow = $1 AND status = $2")
            .bind(workflow)
            .bind(status)
            .fetch_one(&self.pool)
            .await
            .expect("the oracle counts runs")
    }

    /// Steps of a queue in a state.
    pub async fn steps(&self, queue: &str, state: &str) -> i64 {
        sqlx::query_scalar("SELECT count(*) FROM steps WHERE queue = $1 AND state = $2")
            .bind(queue)
            .bind(state)
            .fetch_one(&self.pool)
            .await
            .expect("the oracle counts steps")
    }

    /// Ready steps of a queue that have a ticket.
    pub async fn ticketed(&self, queue: &str) -> i64 {
        sqlx::query_scalar(
            "SELECT count(*) FROM steps WHERE queue = $1 AND state = 'ready' AND ticketed_at IS NOT NULL",
        )
        .bind(queue)
        .fetch_one(&self.pool)
        .await
        .expect("the oracle counts tickets")
    }

    /// Holds up all writers of a table.
    pub async fn lock(&self, table: &'static str) -> Lock {
        let mut transaction = self.pool.begin().await.expect("a transaction");
        let statement = AssertSqlSafe(format!("LOCK TABLE {table} IN EXCLUSIVE MODE"));
        sqlx::query(statement).execute(&mut *transaction).await.expect("a lock");
        Lock { table, transaction }
    }

    /// Backends of engines that wait for a table with a statement whose beginning contains the text.
    pub async fn blocked(&self, table: &str, statement: &str) -> Vec<i32> {
        sqlx::query_scalar(
            "SELECT a.pid FROM pg_stat_activity a JOIN pg_locks l ON l.pid = a.pid
             WHERE a.application_name = 'valet-engine' AND NOT l.granted AND l.relation = $1::regclass
               AND position($2 IN a.query) > 0",
        )
        .bind(table)
        .bind(statement)
        .fetch_all(&self.pool)
        .await
        .expect("the oracle sees who waits")
    }

    /// Ends a backend: what it was about to do is undone.
    pub async fn undo(&self, backend: i32) {
        let ended: bool = sqlx::query_scalar("SELECT pg_terminate_backend($1, 5000)")
            .bind(backend)
            .fetch_one(&self.pool)
            .await
            .expect("a backend is ended");
        assert!(ended, "backend {backend} did not end");
    }

    /// The sessions of live engines that own shards.
    pub async fn owners(&self) -> Vec<uuid::Uuid> {
        sqlx::query_scalar("SELECT DISTINCT owner FROM shards WHERE owner IS NOT NULL AND expires_at > now()")
            .fetch_all(&self.pool)
            .await
            .expect("the oracle reads shards")
    }

    /// Waits until so many runs of a workflow ended.
    pub async fn ended(&self, workflow: &str, runs: u32, limit: Duration) {
        until(&format!("{runs} runs of {workflow} to end"), limit, async || {
            let tally = self.tally(workflow).await;
            let all = tally.live == 0 && tally.succeeded + tally.ended_otherwise >= i64::from(runs);
            if all { Ok(()) } else { Err(format!("{tally:?}; {}", self.unfinished().await)) }
        })
        .await;
    }

    /// A few live steps, for people who read why a test failed.
    async fn unfinished(&self) -> String {
        let rows: Vec<(String, String, i32, i64, bool)> = sqlx::query_as(
            "SELECT state, queue, attempt, count(*), ticketed_at IS NOT NULL FROM steps GROUP BY 1, 2, 3, 5 ORDER BY 4 DESC LIMIT 8",
        )
        .fetch_all(&self.pool)
        .await
        .unwrap_or_default();
        let row = |(state, queue, attempt, count, ticketed): &(String, String, i32, i64, bool)| {
            format!("{count} {state} on {queue}, attempt {attempt}{}", if *ticketed { ", ticketed" } else { "" })
        };
        rows.iter().map(row).collect::<Vec<_>>().join("; ")
    }

    /// Panics unless exactly `runs` runs of the workflow are there, all succeeded, each with one accepted result for each
    /// of its `steps` steps and a journal without gaps, and nothing is left behind.
    pub async fn assert_all_well(&self, workflow: &str, runs: u32, steps: u32) {
        let (runs, steps) = (i64::from(runs), i64::from(steps));
        let expected = Tally { live: 0, succeeded: runs, ended_otherwise: 0, accepted: runs * steps };
        assert_eq!(self.tally(workflow).await, expected, "runs of {workflow}, left: found, right: wanted");
        assert_eq!(self.faults(workflow, steps).await, Faults::default(), "faults of {workflow}, left: found");
    }

    async fn faults(&self, workflow: &str, steps: i64) -> Faults {
        sqlx::query_as(
            "WITH mine AS (SELECT id, revision FROM finished_runs WHERE workflow = $1),
                  told AS (SELECT m.id, m.revision, count(j.run_id) AS chunks, min(j.revision) AS first,
                                  max(j.revision) AS last, coalesce(sum(j.accepted), 0) AS accepted
                           FROM mine m LEFT JOIN journal j ON j.run_id = m.id GROUP BY m.id, m.revision)
             SELECT (SELECT count(*) FROM told WHERE accepted <> $2) AS wrong_results,
                    (SELECT count(*) FROM told WHERE chunks <> revision OR first <> 1 OR last <> revision) AS gaps,
                    (SELECT count(*) FROM steps) AS steps_left,
                    (SELECT count(*) FROM timers) AS timers_left,
                    (SELECT count(*) FROM inbox) AS messages_left,
                    (SELECT count(*) FROM human_tasks WHERE ended_at IS NULL) AS tasks_left,
                    (SELECT count(*) FROM journal j WHERE NOT EXISTS (SELECT 1 FROM finished_runs f WHERE f.id = j.run_id)
                        AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.id = j.run_id)) AS orphans",
        )
        .bind(workflow)
        .bind(steps)
        .fetch_one(&self.pool)
        .await
        .expect("the oracle looks for faults")
    }
}
