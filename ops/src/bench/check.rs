//! Whether it all adds up, as the database says.

use chrono::{DateTime, Utc};
use sqlx::PgPool;

use super::report::{Check, Latency};
use super::stack::BenchError;

/// What a round must come to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    pub runs: i64,
    pub results: i64,
}

impl Wanted {
    /// Runs of so many steps each.
    pub fn of(runs: u32, steps: u32) -> Self {
        Self { runs: i64::from(runs), results: i64::from(runs) * i64::from(steps) }
    }
}

/// Before a round.
pub async fn now(pool: &PgPool) -> Result<DateTime<Utc>, BenchError> {
    Ok(sqlx::query_scalar("/* valet bench */ SELECT clock_timestamp()").fetch_one(pool).await?)
}

/// Runs since then succeeded, each step has one accepted result, no journal has a gap, nothing is left behind.
pub async fn check(pool: &PgPool, since: DateTime<Utc>, wanted: Wanted) -> Result<Check, BenchError> {
    // The tenant is named for the index: history may be long.
    let (succeeded, accepted, gaps): (i64, i64, i64) = sqlx::query_as(
        "/* valet bench */
         WITH mine AS MATERIALIZED (
                  SELECT id, revision, status FROM finished_runs
                  WHERE tenant = 'default' AND workflow = 'bench' AND created_at >= $1),
              told AS (SELECT m.id, m.revision, j.chunks, j.first, j.last, j.accepted
                       FROM mine m CROSS JOIN LATERAL (
                           SELECT count(*) AS chunks, min(revision) AS first, max(revision) AS last,
                                  coalesce(sum(accepted), 0) AS accepted
                           FROM journal WHERE run_id = m.id) AS j)
         SELECT (SELECT count(*) FROM mine WHERE status = 'succeeded'),
                (SELECT coalesce(sum(accepted), 0)::bigint FROM told),
                (SELECT count(*) FROM told WHERE chunks <> revision OR first IS DISTINCT FROM 1 OR last <> revision)",
    )
    .bind(since)
    .fetch_one(pool)
    .await?;
    let left: i64 = sqlx::query_scalar(
        "/* valet bench */ SELECT (SELECT count(*) FROM runs) + (SELECT count(*) FROM steps)
             + (SELECT count(*) FROM timers) + (SELECT count(*) FROM inbox)",
    )
    .fetch_one(pool)
    .await?;
    Ok(Check { wanted_runs: wanted.runs, succeeded, wanted_results: wanted.results, accepted, gaps, left })
}

/// From a run's first journal entry to its last commit's instant, as stored.
pub async fn latency(pool: &PgPool, since: DateTime<Utc>) -> Result<Option<Latency>, BenchError> {
    let row: (Option<f64>, Option<f64>, Option<f64>, Option<f64>) = sqlx::query_as(
        "/* valet bench */
         SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY ms), percentile_cont(0.95) WITHIN GROUP (ORDER BY ms),
                percentile_cont(0.99) WITHIN GROUP (ORDER BY ms), max(ms)
         FROM (SELECT extract(epoch FROM ended_at - created_at)::float8 * 1000 AS ms FROM finished_runs
               WHERE tenant = 'default' AND workflow = 'bench' AND created_at >= $1) AS t",
    )
    .bind(since)
    .fetch_one(pool)
    .await?;
    let (Some(p50), Some(p95), Some(p99), Some(max)) = row else { return Ok(None) };
    Ok(Some(Latency { p50, p95, p99, max }))
}
