//! Children by the thousand, on a real database.

use std::time::{Duration, Instant};

use serde_json::json;

use super::app::TestApp;
use super::calls::Call;
use super::database::until_within;

/// `VALET_FAN_OUT` asks for another number: 20,000 to measure.
fn count() -> u32 {
    std::env::var("VALET_FAN_OUT").ok().and_then(|text| text.parse().ok()).unwrap_or(1_200)
}

/// The run that nobody is the parent of has ended.
async fn ended(app: &TestApp) -> Option<()> {
    let query = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM finished_runs WHERE parent_run IS NULL");
    (query.fetch_one(app.pool()).await.expect("a count") == 1).then_some(())
}

async fn runs(app: &TestApp, table: &str) -> i64 {
    let query = format!("SELECT count(*) FROM {table} WHERE parent_run IS NOT NULL");
    sqlx::query_scalar(sqlx::AssertSqlSafe(query)).fetch_one(app.pool()).await.expect("a count")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_children_end_and_each_is_heard_once() {
    let app = TestApp::start().await;
    let (count, began) = (count(), Instant::now());
    let run = app.start_run("fan", &json!({ "count": count, "waits": false })).await;
    until_within(Duration::from_mins(2), "the fan-out ends", async || ended(&app).await).await;
    println!("{count} children started, ended and heard in {:?}", began.elapsed());
    let shown = app.run(&run).await;
    assert_eq!((&shown["status"], &shown["output"]), (&json!("succeeded"), &json!(count)));
    assert_eq!(runs(&app, "finished_runs").await, i64::from(count));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_crowd_is_closed_leaves_first() {
    let app = TestApp::start().await;
    let count = count();
    let began = Instant::now();
    let run = app.start_run("fan", &json!({ "count": count, "waits": true })).await;
    until_within(Duration::from_mins(2), "all children wait", async || {
        (runs(&app, "runs").await == i64::from(count)).then_some(())
    })
    .await;
    println!("{count} children started in {:?}", began.elapsed());
    let began = Instant::now();
    app.send(Call::post(format!("/api/v1/runs/{run}/cancel"))).await.expect(200);
    until_within(Duration::from_mins(2), "the tree is closed", async || ended(&app).await).await;
    println!("{count} children and their parent cancelled in {:?}", began.elapsed());
    assert_eq!((runs(&app, "runs").await, runs(&app, "finished_runs").await), (0, i64::from(count)));
    assert_eq!(app.run(&run).await["status"], "cancelled");
}
