//! Starts runs over HTTP and learns when they ended, from the database: the engine's own instants.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use super::stack::BenchError;

/// Longest time of a round.
const ROUND_MAX: Duration = Duration::from_mins(10);

/// Starts runs of `steps` no-op steps.
#[derive(Clone)]
pub struct Load {
    client: reqwest::Client,
    url: String,
    token: String,
    body: serde_json::Value,
}

impl Load {
    pub fn new(url: &str, token: &str, steps: u32, conns: u32) -> Result<Self, BenchError> {
        let client = reqwest::Client::builder()
            .pool_max_idle_per_host(conns as usize)
            .tcp_nodelay(true)
            .timeout(Duration::from_mins(1))
            .build()?;
        let body = json!({ "input": { "steps": steps }, "subject": "bench" });
        Ok(Self { client, url: format!("{url}/api/v1/workflows/bench/runs"), token: token.to_owned(), body })
    }

    async fn start_one(&self) -> Result<(), BenchError> {
        let answer = self.client.post(&self.url).bearer_auth(&self.token).json(&self.body).send().await?;
        if answer.status().is_success() {
            // The body is read, so that the connection is used again.
            answer.bytes().await?;
            return Ok(());
        }
        Err(BenchError::Refused(answer.text().await?))
    }

    /// Starts `runs` as fast as `conns` connections can.
    pub async fn all_at_once(&self, runs: u32, conns: u32) -> Result<(), BenchError> {
        let left = Arc::new(AtomicU32::new(runs));
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..conns {
            let (load, left) = (self.clone(), Arc::clone(&left));
            tasks.spawn(async move {
                while left.fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| n.checked_sub(1)).is_ok() {
                    load.start_one().await?;
                }
                Ok::<(), BenchError>(())
            });
        }
        while let Some(done) = tasks.join_next().await {
            done.map_err(|e| BenchError::Refused(e.to_string()))??;
        }
        Ok(())
    }

    /// Starts `runs` at `rate` a second, whatever the answers' time: an open loop.
    pub async fn steadily(&self, runs: u32, rate: u32) -> Result<(), BenchError> {
        let started = Instant::now();
        let mut tasks = tokio::task::JoinSet::new();
        for n in 0..runs {
            tokio::time::sleep_until(started + Duration::from_secs_f64(f64::from(n) / f64::from(rate.max(1)))).await;
            let load = self.clone();
            tasks.spawn(async move { load.start_one().await });
        }
        while let Some(done) = tasks.join_next().await {
            done.map_err(|e| BenchError::Refused(e.to_string()))??;
        }
        Ok(())
    }
}

/// Waits until no run is live.
pub async fn until_done(pool: &sqlx::PgPool) -> Result<(), BenchError> {
    let started = Instant::now();
    loop {
        let live: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM runs)").fetch_one(pool).await?;
        if !live {
            return Ok(());
        }
        if started.elapsed() > ROUND_MAX {
            return Err(BenchError::Refused(format!("runs were still live after {} s", ROUND_MAX.as_secs())));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
