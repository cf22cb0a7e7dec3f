//! Runs are found by what they have, over more of them than one request looks at.

use serde_json::{Value, json};
use valet_engine::bounds::RUNS_LOOKED_AT_MAX;

use super::app::TestApp;
use super::calls::Call;

/// Ended runs, one a second: more than two windows.
const RUNS: u32 = RUNS_LOOKED_AT_MAX * 2 + 5_000;

/// Every thousandth is of `bob`, of another workflow and of a parent; every 2,500th failed; what ended first has an attribute that no other
/// has.
async fn with_history() -> TestApp {
    let app = TestApp::start().await;
    let fill = "
        WITH week AS (SELECT floor(extract(epoch FROM now()) / 604800)::int AS week),
             made AS (SELECT ensure_week(week) FROM week)
        INSERT INTO finished_runs (id, tenant, subject, workflow, plan, attributes, parent_run, parent_seq, status, revision, build,
                                   error_code, created_at, ended_at)
        SELECT (lpad(to_hex(week), 4, '0') || substr(md5(n::text), 5))::uuid, 'acme', CASE WHEN n % 1000 = 0 THEN 'bob' ELSE 'ada' END,
               CASE WHEN n % 1000 = 0 THEN 'rare' ELSE 'echo' END, 'free',
               CASE WHEN n = 1 THEN '{\"site\": \"acme\", \"tries\": 3}' WHEN n % 2 = 0 THEN '{\"site\": \"other\"}' ELSE '{}' END::jsonb,
               CASE WHEN n % 1000 = 0 THEN '00000000-0000-0000-0000-00000000000a'::uuid END, CASE WHEN n % 1000 = 0 THEN 1 END,
               CASE WHEN n % 2500 = 0 THEN 'failed' ELSE 'succeeded' END, 1, 1,
               CASE WHEN n % 5000 = 0 THEN 'no_luck' WHEN n % 2500 = 0 THEN 'gone' END,
               now() - ($1 - n) * interval '1 second', now()
        FROM generate_series(1, $1) AS n, week, made";
    sqlx::query(fill).bind(RUNS as i32).execute(app.pool()).await.expect("a history");
    app
}

/// All pages of a list: how many runs, and how many requests it took.
async fn found(app: &TestApp, filter: &str) -> (Vec<Value>, u32) {
    let (mut runs, mut cursor, mut asked) = (Vec::new(), String::new(), 0);
    loop {
        let page = app.send(Call::get(format!("/api/v1/runs?limit=200&{filter}{cursor}"))).await.expect(200).json();
        asked += 1;
        runs.extend(page["runs"].as_array().expect("runs").iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return (runs, asked),
        }
        assert!(asked < 500, "{filter}: no end");
    }
}

#[tokio::test]
async fn filters_find_each_run_once_over_more_than_one_request_looks_at() {
    let app = with_history().await;
    let parent = "run_0000000000000000000000000000000a";
    let one_of_each = RUNS / 1000;
    for (filter, runs, requests) in [
        // By an index: one request.
        ("subject=bob".to_owned(), one_of_each, 1),
        ("status=failed".to_owned(), RUNS / 2500, 1),
        ("error_code=no_luck".to_owned(), RUNS / 5000, 1),
        (format!("parent={parent}"), one_of_each, 1),
        ("attributes=%7B%22site%22:%22acme%22%7D".to_owned(), 1, 1),
        ("attributes=%7B%22site%22:%22acme%22,%22tries%22:4%7D".to_owned(), 0, 1),
        ("subject=bob&status=failed".to_owned(), RUNS / 5000, 1),
        // By windows.
        ("workflow=rare".to_owned(), one_of_each, 3),
        ("workflow=nothing".to_owned(), 0, 3),
        ("workflow=rare&subject=ada".to_owned(), 0, 3),
    ] {
        let (all, asked) = found(&app, &filter).await;
        let mut ids: Vec<&str> = all.iter().filter_map(|run| run["id"].as_str()).collect();
        let began: Vec<&str> = all.iter().filter_map(|run| run["created_at"].as_str()).collect();
        assert!(began.is_sorted_by(|later, earlier| later >= earlier), "{filter}: newest first");
        ids.sort_unstable();
        ids.dedup();
        assert_eq!((ids.len(), all.len(), asked), (runs as usize, runs as usize, requests), "{filter}");
    }
    // Half of them have it: the newest fill the page, and nothing else is read.
    let page = app.send(Call::get("/api/v1/runs?limit=200&attributes=%7B%22site%22:%22other%22%7D")).await;
    assert_eq!(page.expect(200).json()["runs"].as_array().map(Vec::len), Some(200));
}

#[tokio::test]
async fn a_time_is_from_an_instant_and_before_another() {
    let app = with_history().await;
    let (all, _) = found(&app, "subject=bob").await;
    let (from, before) = (all[5]["created_at"].as_str().expect("an instant"), all[2]["created_at"].as_str());
    let (some, _) =
        found(&app, &format!("subject=bob&created_from={from}&created_before={}", before.expect("another"))).await;
    assert_eq!(some, all[3..=5]);
    let (some, _) = found(&app, &format!("created_from={from}&created_before={}", before.expect("another"))).await;
    assert_eq!(some.len(), 3_000);
}

#[tokio::test]
async fn runs_are_counted_by_status_and_by_when_they_began() {
    let app = with_history().await;
    for _ in 0..3 {
        app.start_run("ask", &json!({})).await;
    }
    let counts =
        async |query: &str| app.send(Call::get(format!("/api/v1/runs/counts?{query}"))).await.expect(200).json();
    let sum = |counts: &Value| {
        let of = |bucket: &Value| {
            bucket["ended"].as_object().into_iter().flatten().filter_map(|(_, n)| n.as_u64()).sum::<u64>()
        };
        counts["buckets"].as_array().expect("buckets").iter().map(of).sum::<u64>()
    };
    let all = counts("").await;
    let failed = u64::from(RUNS / 2500);
    assert_eq!(all["ended"], json!({ "failed": failed, "succeeded": u64::from(RUNS) - failed }));
    assert_eq!((sum(&all), all["live"].as_object().map(serde_json::Map::len)), (u64::from(RUNS), Some(1)), "{all}");
    assert_eq!((&all["live"]["waiting"], all.get("counted_from")), (&json!(3), None));
    let buckets = all["buckets"].as_array().expect("buckets");
    assert!(buckets.len() > 20 && buckets.is_sorted_by(|a, b| a["at"].as_str() < b["at"].as_str()), "{buckets:?}");
    let bobs = counts("subject=bob").await;
    assert_eq!((sum(&bobs), &bobs["live"]), (u64::from(RUNS / 1000), &json!({})));
    assert_eq!(counts("workflow=ask").await["live"], json!({ "waiting": 3 }));
    let hour = counts("error_code=no_luck").await;
    assert_eq!(hour["ended"], json!({ "failed": RUNS / 5000 }));
}

#[tokio::test]
async fn a_wrong_filter_or_anothers_cursor_is_told() {
    let app = TestApp::start().await;
    for _ in 0..3 {
        app.start_run("ask", &json!({})).await;
    }
    for (query, code, field) in [
        ("status=done", "invalid_filter", "status"),
        ("attributes=site", "invalid_filter", "attributes"),
        ("attributes=%7B%7D", "invalid_filter", "attributes"),
        ("created_from=yesterday", "invalid_filter", "created_from"),
        ("created_before=-9999-01-01T00:00:00Z", "invalid_filter", "created_before"),
        ("parent=run_x", "invalid_id", "parent"),
    ] {
        app.send(Call::get(format!("/api/v1/runs?{query}"))).await.problem(400, code).at(field);
    }
    let next = app.send(Call::get("/api/v1/runs?limit=1&workflow=ask")).await.expect(200).json();
    let next = next["next_cursor"].as_str().expect("more").to_owned();
    app.send(Call::get(format!("/api/v1/runs?workflow=ask&cursor={next}"))).await.expect(200);
    app.send(Call::get(format!("/api/v1/runs?cursor={next}"))).await.problem(400, "foreign_cursor").at("cursor");
    let backwards = "created_from=2026-01-02T00:00:00Z&created_before=2026-01-01T00:00:00Z";
    app.send(Call::get(format!("/api/v1/runs/counts?{backwards}")))
        .await
        .problem(400, "invalid_filter")
        .at("created_from");
}
