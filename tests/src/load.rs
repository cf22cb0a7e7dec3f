//! Starts many runs over a flaky world: every start has its own key and is repeated until it is answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use crate::api::Api;
use crate::bounds::{LOAD_MAX, LOOK_EVERY};

/// Connections that start runs.
const CONNECTIONS: u32 = 32;

/// What to start.
#[derive(Clone, Debug)]
pub struct Load {
    pub workflow: &'static str,
    pub input: Value,
    pub runs: u32,
    /// Runs a second; `None`: as fast as they are accepted.
    pub rate: Option<u32>,
}

impl Load {
    /// Runs of `steps` steps that do nothing.
    pub fn bench(runs: u32, steps: u32) -> Self {
        Self { workflow: "bench", input: json!({ "steps": steps }), runs, rate: None }
    }

    /// Spread evenly over time.
    pub fn at_rate(mut self, runs_per_s: u32) -> Self {
        self.rate = Some(runs_per_s);
        self
    }

    /// Starts all of it; answers the run ids by number.
    ///
    /// # Panics
    /// When a start is refused, or not accepted in time.
    pub async fn start(self, api: Api) -> Vec<String> {
        let began = Instant::now();
        let next = Arc::new(AtomicU32::new(0));
        let mut tasks = JoinSet::new();
        for _ in 0..CONNECTIONS.min(self.runs) {
            let (load, api, next) = (self.clone(), api.clone(), Arc::clone(&next));
            tasks.spawn(async move {
                let mut started = Vec::new();
                loop {
                    let number = next.fetch_add(1, Ordering::AcqRel);
                    if number >= load.runs {
                        return started;
                    }
                    if let Some(rate) = load.rate {
                        sleep_until(began + Duration::from_secs_f64(f64::from(number) / f64::from(rate))).await;
                    }
                    started.push((number, load.start_one(&api, number).await));
                }
            });
        }
        let mut ids = vec![String::new(); self.runs as usize];
        while let Some(started) = tasks.join_next().await {
            for (number, id) in started.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic())) {
                ids[number as usize] = id;
            }
        }
        ids
    }

    async fn start_one(&self, api: &Api, number: u32) -> String {
        let key = format!("load-{number}");
        let began = Instant::now();
        loop {
            match api.start(self.workflow, &self.input, &key).await {
                Ok(answer) => return answer.body.id,
                Err(error) => {
                    assert!(error.is_retryable(), "run {number} is refused: {error}");
                    assert!(began.elapsed() < LOAD_MAX, "run {number} is not accepted within {LOAD_MAX:?}: {error}");
                }
            }
            sleep(LOOK_EVERY).await;
        }
    }
}
