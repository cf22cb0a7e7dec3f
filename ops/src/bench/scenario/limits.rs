//! Runs under limits: many keys with some slots each, and one key with one slot that all wait for.

use serde_json::{Value, json};
use tokio::time::Instant;
use valet_workflows::bench::BenchInput;

use super::Bench;
use crate::bench::check::{Wanted, now};
use crate::bench::load::{Start, until_done};
use crate::bench::report::{Latency, Round};
use crate::bench::stack::BenchError;

const NAME: &str = "bench";
const SLOTS_OF_A_KEY: u32 = 10;
/// Runs of one step, one after the other, at most.
const ONE_BY_ONE_MAX: u32 = 10_000;

impl Bench<'_> {
    /// The latency is that of the one key: from the end of a run to that of the next, which has one step that does nothing.
    pub(super) async fn limits(&self) -> Result<Round, BenchError> {
        let one_by_one = self.runs.min(ONE_BY_ONE_MAX);
        let (since, before, began) = self.begin().await?;
        let of_keys = json!({ "workflow": "bench", "key": "input.limit_key", "most": SLOTS_OF_A_KEY });
        let keys_s = self.under(&of_keys, self.runs, self.steps).await?;
        let one_since = now(&self.pool).await?;
        let one_s = self.under(&json!({ "workflow": "bench", "most": 1 }), one_by_one, 1).await?;
        self.load.remove_limit(NAME).await?;

        let mut wanted = Wanted::of(self.runs, self.steps);
        wanted.runs += i64::from(one_by_one);
        wanted.results += i64::from(one_by_one);
        let mut round = self.end(before, began, wanted, since).await?;
        round.figures.insert("steps_per_s", f64::from(self.runs) * f64::from(self.steps) / keys_s);
        round.figures.insert("runs_per_s", f64::from(self.runs) / keys_s);
        round.figures.insert("runs_per_s_of_one_key", f64::from(one_by_one) / one_s);
        let gaps: Vec<f64> = sqlx::query_scalar(
            "/* valet bench */ SELECT gap FROM (
                 SELECT extract(epoch FROM ended_at - lag(ended_at) OVER (ORDER BY ended_at))::float8 * 1000 AS gap FROM finished_runs
                 WHERE tenant = 'default' AND workflow = 'bench' AND created_at >= $1) AS t WHERE gap IS NOT NULL",
        )
        .bind(one_since)
        .fetch_all(&self.pool)
        .await?;
        round.latency_ms = Latency::of(gaps);
        Ok(round)
    }

    /// Seconds from the first start until all have ended.
    async fn under(&self, limit: &Value, runs: u32, steps: u32) -> Result<f64, BenchError> {
        self.load.put_limit(NAME, limit).await?;
        let start = |n| Start {
            input: json!(BenchInput { steps, limit_key: n % self.args.keys, ..BenchInput::default() }),
            key: None,
        };
        let began = Instant::now();
        self.load.all_at_once((0..runs).map(start).collect(), self.args.conns).await?;
        until_done(&self.pool).await?;
        Ok(began.elapsed().as_secs_f64())
    }
}
