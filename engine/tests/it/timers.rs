//! Timers by the thousand that are due at one instant.

use std::time::{Duration, Instant};

use futures::{StreamExt as _, stream};
use serde_json::json;
use valet_core::Payload;
use valet_core::command::StartRun;
use valet_engine::audit::Deed;

use super::app::TestApp;
use super::database::until_within;

/// More than one tick returns. `VALET_TIMERS` asks for another number: 100,000 to measure.
fn count() -> u32 {
    std::env::var("VALET_TIMERS").ok().and_then(|text| text.parse().ok()).unwrap_or(6_000)
}

#[tokio::test(flavor = "multi_thread")]
async fn timers_of_one_instant_all_fire_however_many() {
    let app = TestApp::start().await;
    let count = count();
    // Far enough that all sleep by then.
    let due = app.engine.clock.now() + Duration::from_millis(4_000 + u64::from(count));
    let input = Payload::of(&json!({ "ms": due.timestamp_millis() })).expect("JSON");
    let start = |_| {
        let [tenant, subject, workflow, plan] = ["acme", "ada", "nap", "free"].map(ToOwned::to_owned);
        let start = StartRun::new(tenant, subject, workflow, plan, input.clone());
        let engine = app.engine.clone();
        async move { engine.start_run(Deed::queued("acme"), start).await.expect("a run") }
    };
    let began = Instant::now();
    stream::iter(0..count).map(start).buffer_unordered(512).collect::<Vec<_>>().await;
    println!("{count} runs began to sleep in {:?}", began.elapsed());
    let now = app.engine.clock.now();
    // On a slow machine some are late: they fire at once.
    tokio::time::sleep((due - now).to_std().unwrap_or_default()).await;
    let began = Instant::now();
    let live = async || sqlx::query_scalar::<_, i64>("SELECT count(*) FROM runs").fetch_one(app.pool()).await;
    until_within(Duration::from_mins(5), "all have woken", async || {
        (live().await.expect("a count") == 0).then_some(())
    })
    .await;
    let took = began.elapsed();
    println!("{count} timers of one instant fired in {took:?}");
    let fired: i64 = sqlx::query_scalar("SELECT count(*) FROM finished_runs WHERE status = 'succeeded'")
        .fetch_one(app.pool())
        .await
        .expect("a count");
    assert_eq!(fired, i64::from(count), "each once");
}
