//! Many children of one run; runs and children by keys.

use std::collections::BTreeSet;

use rand::RngExt as _;
use serde_json::json;
use tokio::time::{sleep, timeout};
use valet_workflows::bench::BenchInput;

use super::{Bench, answers};
use crate::bench::bounds::{COUNT_EVERY, ROUND_MAX};
use crate::bench::check::Wanted;
use crate::bench::load::{Start, until_done};
use crate::bench::report::Round;
use crate::bench::stack::BenchError;

/// Calls of a keyed run, and the keys that they are drawn from: every second call or so finds a child.
const CHILD_CALLS: u32 = 8;
const CHILD_KEYS: u32 = 8;

impl Bench<'_> {
    /// One run with many children of one step.
    pub(super) async fn fan_out(&self) -> Result<Round, BenchError> {
        let input = BenchInput { steps: self.steps, children: self.runs, ..BenchInput::default() };
        let (since, before, began) = self.begin().await?;
        self.load.start(&Start { input: json!(input), key: None }).await?;
        let started = async {
            loop {
                let count: i64 = sqlx::query_scalar(
                    "/* valet bench */ SELECT (SELECT count(*) FROM runs WHERE parent_run IS NOT NULL)
                         + (SELECT count(*) FROM finished_runs
                            WHERE tenant = 'default' AND created_at >= $1 AND parent_run IS NOT NULL)",
                )
                .bind(since)
                .fetch_one(&self.pool)
                .await?;
                if count >= i64::from(self.runs) {
                    return Ok::<_, BenchError>(());
                }
                sleep(COUNT_EVERY).await;
            }
        };
        let late = |_| BenchError::Refused(format!("not all children were started within {} s", ROUND_MAX.as_secs()));
        timeout(ROUND_MAX, started).await.map_err(late)??;
        let start_s = began.elapsed().as_secs_f64();
        until_done(&self.pool).await?;
        let (children, own) = (i64::from(self.runs), i64::from(self.steps));
        let wanted = Wanted { runs: children + 1, results: children + own };
        let mut round = self.end(before, began, wanted, since).await?;
        round.figures.insert("start_s", start_s);
        Ok(round)
    }

    /// Starts by idempotency keys drawn at random: a key's first start makes the run, the others find it. Each run calls children
    /// by keys of its own, drawn at random too. The rate is that of starts that were answered.
    pub(super) async fn keyed(&self) -> Result<Round, BenchError> {
        let mut runs = BTreeSet::new();
        let (mut starts, mut children) = (Vec::with_capacity(self.runs as usize), 0);
        // Keys of earlier rounds belong to their runs.
        let mark: u64 = rand::random();
        for _ in 0..self.runs {
            let key = rand::rng().random_range(0..self.args.keys);
            // The same key must come with the same input.
            let child_keys: Vec<u32> = (0..CHILD_CALLS).map(|call| scatter(key, call) % CHILD_KEYS).collect();
            if runs.insert(key) {
                children += child_keys.iter().collect::<BTreeSet<_>>().len() as i64;
            }
            let input = BenchInput { steps: self.steps, child_keys, ..BenchInput::default() };
            starts.push(Start { input: json!(input), key: Some(format!("{mark:x}-{key}")) });
        }
        let (since, before, began) = self.begin().await?;
        let started = self.load.all_at_once(starts, self.args.conns).await?;
        let start_s = began.elapsed().as_secs_f64();
        until_done(&self.pool).await?;
        let roots = runs.len() as i64;
        let ids: BTreeSet<&str> = started.iter().map(|run| run.id.as_str()).collect();
        let wanted = Wanted { runs: roots + children, results: roots * i64::from(self.steps) + children };
        let mut round = self.end(before, began, wanted, since).await?;
        if ids.len() as i64 != roots {
            return Err(BenchError::Refused(format!("{} keys came to {} runs", roots, ids.len())));
        }
        round.figures.insert("start_s", start_s);
        round.figures.insert("starts_per_s", f64::from(self.runs) / start_s);
        round.figures.insert("children", children as f64);
        round.latency_ms = answers(&started);
        Ok(round)
    }
}

/// The same draw for the same key and call.
fn scatter(key: u32, call: u32) -> u32 {
    let mixed = (u64::from(key) << 32 | u64::from(call)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> 33) as u32
}
