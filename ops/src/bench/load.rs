//! Starts runs over HTTP, tells them to go on, and learns from the database when they have ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::bounds::{COUNT_EVERY, LOOK_EVERY, REPEAT_AFTER, REPEATS_MAX, REQUEST_MAX, ROUND_MAX};
use super::stack::BenchError;

/// A run to start.
#[derive(Clone, Debug)]
pub struct Start {
    pub input: Value,
    pub key: Option<String>,
}

/// A run that was started: its id, and how long the answer took.
#[derive(Clone, Debug)]
pub struct Started {
    pub id: String,
    pub answer: Duration,
}

/// Speaks to an engine as a producer and an operator.
#[derive(Clone)]
pub struct Load {
    client: reqwest::Client,
    url: String,
    token: String,
}

#[derive(Deserialize)]
struct RunStarted {
    id: String,
}

impl Load {
    pub fn new(url: &str, token: &str, conns: u32) -> Result<Self, BenchError> {
        let client = reqwest::Client::builder()
            .pool_max_idle_per_host(conns as usize)
            .tcp_nodelay(true)
            .timeout(REQUEST_MAX)
            .build()?;
        Ok(Self { client, url: url.to_owned(), token: token.to_owned() })
    }

    /// Sends until it is taken; an engine that is busy or just being restarted is asked again.
    async fn post(&self, path: &str, key: Option<&str>, body: &Value) -> Result<String, BenchError> {
        let mut last = String::new();
        for _ in 0..REPEATS_MAX {
            let mut request = self.client.post(format!("{}{path}", self.url)).bearer_auth(&self.token).json(body);
            if let Some(key) = key {
                request = request.header("Idempotency-Key", key);
            }
            match request.send().await {
                Ok(answer) if answer.status().is_success() => return Ok(answer.text().await?),
                Ok(answer) => {
                    let status = answer.status();
                    last = answer.text().await?;
                    if status != StatusCode::TOO_MANY_REQUESTS && status != StatusCode::SERVICE_UNAVAILABLE {
                        return Err(BenchError::Refused(last));
                    }
                }
                // What was sent may have been carried out; without a key it must not be sent again.
                Err(error) if key.is_some() || error.is_connect() => last = error.to_string(),
                Err(error) => return Err(error.into()),
            }
            sleep(REPEAT_AFTER).await;
        }
        Err(BenchError::Refused(format!("{path} was not taken after {REPEATS_MAX} tries: {last}")))
    }

    pub async fn start(&self, start: &Start) -> Result<Started, BenchError> {
        self.start_at("/api/v1/workflows/bench/runs", start).await
    }

    /// Answered once the run has ended.
    async fn start_and_wait(&self, start: &Start) -> Result<Started, BenchError> {
        self.start_at("/api/v1/workflows/bench/runs?wait=30s", start).await
    }

    async fn start_at(&self, path: &str, start: &Start) -> Result<Started, BenchError> {
        let body = json!({ "input": start.input, "subject": "bench" });
        let began = Instant::now();
        let answer = self.post(path, start.key.as_deref(), &body).await?;
        let answered = began.elapsed();
        let RunStarted { id } = serde_json::from_str(&answer).map_err(|e| BenchError::Refused(e.to_string()))?;
        Ok(Started { id, answer: answered })
    }

    /// Starts all as fast as `conns` connections can, each the next once its last was answered.
    pub async fn all_at_once(&self, starts: Vec<Start>, conns: u32) -> Result<Vec<Started>, BenchError> {
        let load = self.clone();
        pooled(starts, conns, move |start| {
            let load = load.clone();
            async move { load.start(&start).await }
        })
        .await
    }

    /// Starts them at `rate` a second, whatever the answers' time: an open loop. With `wait` each is answered once it has ended.
    pub async fn steadily(&self, starts: Vec<Start>, rate: u32, wait: bool) -> Result<Vec<Started>, BenchError> {
        let began = Instant::now();
        let mut tasks = JoinSet::new();
        for (n, start) in starts.into_iter().enumerate() {
            sleep_until(began + Duration::from_secs_f64(n as f64 / f64::from(rate))).await;
            let load = self.clone();
            tasks.spawn(async move { if wait { load.start_and_wait(&start).await } else { load.start(&start).await } });
        }
        let mut started = Vec::new();
        while let Some(done) = tasks.join_next().await {
            started.push(done.map_err(|e| BenchError::Refused(e.to_string()))??);
        }
        Ok(started)
    }

    /// Sends the signal `go` to each run.
    pub async fn release(&self, runs: Vec<Started>, conns: u32) -> Result<(), BenchError> {
        let load = self.clone();
        let told = pooled(runs, conns, move |run| {
            let load = load.clone();
            async move { load.post(&format!("/api/v1/runs/{}/signals/go", run.id), Some("go"), &json!({})).await }
        });
        told.await.map(drop)
    }

    pub async fn pause_queue(&self, queue: &str) -> Result<(), BenchError> {
        self.post(&format!("/api/v1/queues/{queue}/pause"), None, &json!({ "reason": "bench" })).await.map(drop)
    }

    pub async fn resume_queue(&self, queue: &str) -> Result<(), BenchError> {
        self.post(&format!("/api/v1/queues/{queue}/resume"), None, &json!({})).await.map(drop)
    }

    pub async fn put_limit(&self, name: &str, limit: &Value) -> Result<(), BenchError> {
        self.expect(self.client.put(format!("{}/api/v1/limits/{name}", self.url)).json(limit)).await
    }

    pub async fn remove_limit(&self, name: &str) -> Result<(), BenchError> {
        self.expect(self.client.delete(format!("{}/api/v1/limits/{name}", self.url))).await
    }

    /// Makes or changes all of these, by name.
    pub async fn put_schedules(&self, schedules: Vec<(String, Value)>, conns: u32) -> Result<(), BenchError> {
        let load = self.clone();
        let put = pooled(schedules, conns, move |(name, schedule)| {
            let load = load.clone();
            async move {
                load.expect(load.client.put(format!("{}/api/v1/schedules/{name}", load.url)).json(&schedule)).await
            }
        });
        put.await.map(drop)
    }

    pub async fn remove_schedules(&self, names: Vec<String>, conns: u32) -> Result<(), BenchError> {
        let load = self.clone();
        let removed = pooled(names, conns, move |name| {
            let load = load.clone();
            async move { load.expect(load.client.delete(format!("{}/api/v1/schedules/{name}", load.url))).await }
        });
        removed.await.map(drop)
    }

    async fn expect(&self, request: reqwest::RequestBuilder) -> Result<(), BenchError> {
        let answer = request.bearer_auth(&self.token).send().await?;
        if answer.status().is_success() { Ok(()) } else { Err(BenchError::Refused(answer.text().await?)) }
    }

    /// One page of the newest runs; answers how long it took, and the cursor of the next.
    pub async fn page(&self, filter: &str, cursor: Option<&str>) -> Result<(Duration, Option<String>), BenchError> {
        let mut url = format!("{}/api/v1/runs?limit=50{filter}", self.url);
        if let Some(cursor) = cursor {
            url = format!("{url}&cursor={cursor}");
        }
        let began = Instant::now();
        let answer = self.client.get(url).bearer_auth(&self.token).send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        let took = began.elapsed();
        if !status.is_success() {
            return Err(BenchError::Refused(text));
        }
        let page: Value = serde_json::from_str(&text).map_err(|e| BenchError::Refused(e.to_string()))?;
        Ok((took, page["next_cursor"].as_str().map(ToOwned::to_owned)))
    }
}

/// Does all with at most `conns` at once; results in no order.
async fn pooled<I, O, F, W>(items: Vec<I>, conns: u32, work: W) -> Result<Vec<O>, BenchError>
where
    I: Clone + Send + Sync + 'static,
    O: Send + 'static,
    F: Future<Output = Result<O, BenchError>> + Send,
    W: Fn(I) -> F + Clone + Send + 'static,
{
    let (items, next) = (Arc::new(items), Arc::new(AtomicUsize::new(0)));
    let mut tasks = JoinSet::new();
    for _ in 0..conns {
        let (items, next, work) = (Arc::clone(&items), Arc::clone(&next), work.clone());
        tasks.spawn(async move {
            let mut done = Vec::new();
            while let Some(item) = items.get(next.fetch_add(1, Ordering::AcqRel)) {
                done.push(work(item.clone()).await?);
            }
            Ok::<_, BenchError>(done)
        });
    }
    let mut all = Vec::with_capacity(items.len());
    while let Some(done) = tasks.join_next().await {
        all.extend(done.map_err(|e| BenchError::Refused(e.to_string()))??);
    }
    Ok(all)
}

/// Waits until no run is live.
pub async fn until_done(pool: &sqlx::PgPool) -> Result<(), BenchError> {
    until(pool, "no run is live", LOOK_EVERY, "/* valet bench */ SELECT NOT EXISTS (SELECT 1 FROM runs)").await
}

/// Waits until no step is to be done: live runs wait for something else.
pub async fn until_no_steps(pool: &sqlx::PgPool) -> Result<(), BenchError> {
    until(pool, "no step is left", COUNT_EVERY, "/* valet bench */ SELECT NOT EXISTS (SELECT 1 FROM steps)").await
}

/// Asks until it is so.
pub async fn until(pool: &sqlx::PgPool, what: &str, every: Duration, question: &'static str) -> Result<(), BenchError> {
    let asked = async {
        loop {
            if sqlx::query_scalar::<_, bool>(question).fetch_one(pool).await? {
                return Ok(());
            }
            sleep(every).await;
        }
    };
    timeout(ROUND_MAX, asked).await.unwrap_or_else(|_| {
        Err(BenchError::Refused(format!("waited in vain for {} s until {what}", ROUND_MAX.as_secs())))
    })
}
