//! Runs that wait for published events: which ones an event wakes, once, whatever becomes of the engine that took it.

use axum::http::Method;
use serde_json::{Value, json};
use uuid::Uuid;
use valet_core::id::RunId;
use valet_engine::access::Reach;
use valet_engine::audit::Deed;
use valet_engine::bounds::EVENT_WAKES_MAX;
use valet_engine::http::look_at_schedules;
use valet_engine::ports::{Clock as _, Machine};
use valet_engine::store::postgres::events::NewEvent;

use super::access::secret;
use super::app::TestApp;
use super::calls::{Call, OTHER_TENANT};
use super::declared::register;
use super::pushed_events::event;

/// A run of this workflow ends with what came, without a worker: first of `wait`, then of an event `next`.
fn ends_with(wait: &Value) -> Value {
    let mut first = wait.clone();
    first["as"] = json!("came");
    json!({
        "tasks": {
            "first": { "step": "none", "wait_for": [[first]], "skip_if": "waited.came.came" },
            "second": { "step": "none", "parents": ["first"], "wait_for": [[{ "event": "next", "as": "came" }]],
                        "skip_if": "waited.came.came" },
        },
        "output": "'over'",
    })
}

async fn declare(app: &TestApp, name: &str, wait: Value) {
    register(app, name, &ends_with(&wait)).await.expect(201);
}

/// How many runs it woke.
async fn push(app: &TestApp, call: Call) -> Value {
    app.send(call).await.expect(201).json()["woken"].clone()
}

const WAITS: &str = "SELECT count(*) FROM event_waits";
const WAKES: &str = "SELECT count(*) FROM event_wakes";
const TIMERS: &str = "SELECT count(*) FROM timers";

async fn count(app: &TestApp, of: &'static str) -> i64 {
    sqlx::query_scalar(of).fetch_one(app.pool()).await.expect("a count")
}

/// The key that the run waits for.
async fn waits_for(app: &TestApp, run: &str) -> Value {
    app.run(run).await["reason"]["key"].clone()
}

#[tokio::test]
async fn an_event_wakes_each_run_that_waits_for_it_once() {
    let app = TestApp::start().await;
    declare(
        &app,
        "paid",
        json!({ "event": "order:*", "if": "message.payload.amount > 3 && message.subject == 'default'" }),
    )
    .await;
    let paid = |amount: u32| event("order:paid", &json!({ "amount": amount, "who": "somebody" }));
    assert_eq!(push(&app, paid(5)).await, 0, "nobody waits yet");
    let runs = [app.start_run("paid", &json!({})).await, app.start_run("paid", &json!({})).await];
    for run in &runs {
        assert_eq!(waits_for(&app, run).await, "order:*", "what was pushed before does not count");
    }
    assert_eq!(push(&app, paid(3)).await, 0, "the filter does not hold");
    let pushed = app.send(paid(4).key("once")).await.expect(201).json();
    assert_eq!(pushed["woken"], 2);
    let again = app.send(paid(4).key("once")).await.expect(200).json();
    assert_eq!((&again["id"], &again["woken"]), (&pushed["id"], &json!(2)));
    for run in &runs {
        assert_eq!(waits_for(&app, run).await, "next", "it goes on, and waits for the next");
    }
    assert_eq!((count(&app, WAITS).await, count(&app, WAKES).await), (2, 0));
    let text: String = sqlx::query_scalar("SELECT string_agg(w::text, '') FROM event_waits w")
        .fetch_one(app.pool())
        .await
        .expect("rows");
    assert!(!text.contains("somebody"));
    assert_eq!(push(&app, event("next", &json!(null))).await, 2);
    for run in &runs {
        let run = app.run(run).await;
        assert_eq!((&run["status"], &run["output"]), (&json!("succeeded"), &json!("over")));
    }
    assert_eq!(count(&app, WAITS).await, 0);
    let audited: i64 = sqlx::query_scalar("SELECT count(*) FROM audit WHERE action = 'run.wake' AND via = 'event'")
        .fetch_one(app.pool())
        .await
        .expect("a count");
    assert_eq!(audited, 4, "a row for each run and event, and none for those that it was not for");
}

#[tokio::test]
async fn key_scope_tenant_and_reach_must_fit() {
    let app = TestApp::start().await;
    for (name, wait) in [
        ("exact", json!({ "event": "user_1" })),
        ("wild", json!({ "event": "user*" })),
        ("scoped", json!({ "event": "*", "scope": "eu" })),
        ("computed", json!({ "event": { "$cel": "'user_' + input.n" } })),
    ] {
        declare(&app, name, wait).await;
    }
    let mut runs = Vec::new();
    for name in ["exact", "wild", "scoped", "computed"] {
        runs.push(app.start_run(name, &json!({ "n": "2" })).await);
    }
    let waiting = async || {
        let mut left = Vec::new();
        for (run, name) in runs.iter().zip(["exact", "wild", "scoped", "computed"]) {
            if waits_for(&app, run).await != "next" {
                left.push(name);
            }
        }
        left
    };
    assert_eq!(push(&app, event("user_1", &json!(1)).token(OTHER_TENANT)).await, 0, "another tenant's");
    assert_eq!(push(&app, event("userx1", &json!(1))).await, 1, "only the star stands for others");
    assert_eq!(waiting().await, ["exact", "scoped", "computed"]);
    let limited = json!({ "name": "l", "role": "admin", "workflows": ["exact"], "subjects": ["ada"] });
    let limited = secret(&app, &limited).await;
    let of_ada = Call::post("/api/v1/events").json(&json!({ "key": "user_1", "subject": "ada" })).token(&limited);
    let told = app.send(of_ada).await.expect(201).json();
    assert_eq!(told.get("woken"), None, "a token of some runs is not told of others");
    assert_eq!(waiting().await, ["exact", "scoped", "computed"], "the runs are another subject's");
    let only_wild = secret(&app, &json!({ "name": "w", "role": "admin", "workflows": ["wild"] })).await;
    app.send(event("user_1", &json!(1)).token(&only_wild)).await.expect(201);
    assert_eq!(waiting().await, ["exact", "scoped", "computed"], "and another workflow's");
    assert_eq!(push(&app, event("user_2", &json!(1))).await, 1);
    assert_eq!(waiting().await, ["exact", "scoped"]);
    let in_scope = |scope: &str| Call::post("/api/v1/events").json(&json!({ "key": "k", "scope": scope }));
    assert_eq!(push(&app, in_scope("us")).await, 0);
    assert_eq!(push(&app, in_scope("eu")).await, 1);
    assert_eq!(waiting().await, ["exact"]);
    assert_eq!(push(&app, event("user_1", &json!(1))).await, 1);
}

#[tokio::test]
async fn a_run_that_is_cancelled_waits_no_more_and_a_paused_one_keeps_what_came() {
    let app = TestApp::start().await;
    declare(&app, "paid", json!({ "event": "paid" })).await;
    let (gone, paused) = (app.start_run("paid", &json!({})).await, app.start_run("paid", &json!({})).await);
    let act = |run: &str, what: &str| Call::post(format!("/api/v1/runs/{run}/{what}")).json(&json!({ "reason": "r" }));
    app.send(act(&gone, "cancel")).await.expect(200);
    assert_eq!(count(&app, WAITS).await, 1);
    app.send(Call::post(format!("/api/v1/runs/{paused}/pause"))).await.expect(200);
    assert_eq!(push(&app, event("paid", &json!(1))).await, 1);
    assert_eq!(push(&app, event("paid", &json!(2))).await, 0, "the first is there already");
    assert_eq!(app.run(&paused).await["reason"]["kind"], "paused");
    app.send(Call::post(format!("/api/v1/runs/{paused}/resume"))).await.expect(200);
    assert_eq!(waits_for(&app, &paused).await, "next");
}

/// Neither knows of waits that began at the other, and none is passed over on the word of a cache.
#[tokio::test]
async fn any_engine_wakes_what_waits_at_another() {
    let one = TestApp::start().await;
    let other = TestApp::on(&one.url).await;
    declare(&one, "paid", json!({ "event": "paid" })).await;
    let run = one.start_run("paid", &json!({})).await;
    assert_eq!(push(&other, event("paid", &json!(1))).await, 1);
    assert_eq!(push(&one, event("next", &json!(2))).await, 1, "its cache holds the first wait");
    assert_eq!(other.run(&run).await["status"], "succeeded");
}

/// An event as an engine keeps it that dies before it tells anybody.
async fn keep(app: &TestApp, key: &str, subject: &str) -> (Uuid, i64) {
    let id = Uuid::now_v7();
    let new = NewEvent {
        id,
        tenant: "acme",
        key,
        scope: None,
        subject,
        payload: b"1",
        idempotency_key: None,
        request_hash: b"",
        replay_of: None,
        runs: &[],
        reach: &Reach::default(),
    };
    let kept = app.store.add_event(&new, &Deed::queued("acme")).await.expect("a statement").expect("it is new");
    (id, kept.wakes)
}

async fn make_old(app: &TestApp) {
    let old = "UPDATE event_wakes SET since = now() - interval '1 minute'";
    sqlx::query(old).execute(app.pool()).await.expect("time");
}

#[tokio::test]
async fn whom_an_engine_left_untold_another_tells_once() {
    let app = TestApp::start().await;
    declare(&app, "paid", json!({ "event": "paid", "if": "message.payload == 1 && message.id.startsWith('event_')" }))
        .await;
    let run = app.start_run("paid", &json!({})).await;
    let (id, wakes) = keep(&app, "paid", "ada").await;
    assert_eq!(wakes, 1);
    look_at_schedules(&app.app).await.expect("a look");
    assert_eq!(waits_for(&app, &run).await, "paid", "its engine may be at it");
    make_old(&app).await;
    look_at_schedules(&app.app).await.expect("a look");
    assert_eq!(waits_for(&app, &run).await, "next");
    let woken = async || {
        app.send(Call::get(format!("/api/v1/events/event_{}", id.simple()))).await.expect(200).json()["woken"].clone()
    };
    assert_eq!((woken().await, count(&app, WAKES).await), (json!(1), 0));

    // Another engine had told it, and died before it said so; the run waits for the next, or has ended.
    for _ in 0..2 {
        let seq: i32 = 1;
        let run = run.parse::<RunId>().expect("an id").0;
        sqlx::query("UPDATE events SET woken = 0 WHERE id = $1").bind(id).execute(app.pool()).await.expect("a row");
        let left =
            "INSERT INTO event_wakes (event_id, run_id, seq, since) VALUES ($1, $2, $3, now() - interval '1 minute')";
        sqlx::query(left).bind(id).bind(run).bind(seq).execute(app.pool()).await.expect("a row");
        look_at_schedules(&app.app).await.expect("a look");
        assert_eq!((woken().await, count(&app, WAKES).await), (json!(1), 0), "it was woken, once");
        app.send(event("next", &json!(null))).await.expect(201);
    }
    assert_eq!(app.run(&run).await["status"], "succeeded");
}

/// What is left is told of other events, though one cannot be opened or its runs are gone.
#[tokio::test]
async fn an_event_of_an_erased_subject_is_told_to_nobody() {
    let app = TestApp::start().await;
    declare(&app, "paid", json!({ "event": "paid" })).await;
    let (gone, run) = (app.start_run("paid", &json!({})).await, app.start_run("paid", &json!({})).await);
    keep(&app, "paid", "ada").await;
    assert_eq!(count(&app, WAKES).await, 2);
    app.store.forget_subject("acme", "ada", Machine.now()).await.expect("it is forgotten");
    assert_eq!(count(&app, WAKES).await, 0);
    let (id, wakes) = keep(&app, "paid", "eve").await;
    assert_eq!(wakes, 2);
    app.send(Call::post(format!("/api/v1/runs/{gone}/cancel")).json(&json!({ "reason": "r" }))).await.expect(200);
    sqlx::query("UPDATE events SET body = ''").execute(app.pool()).await.expect("a row");
    make_old(&app).await;
    look_at_schedules(&app.app).await.expect("a look passes over what cannot be opened");
    assert_eq!((waits_for(&app, &run).await, count(&app, WAKES).await), (json!("paid"), 0));
    let other = keep(&app, "paid", "eve").await.0;
    make_old(&app).await;
    look_at_schedules(&app.app).await.expect("a look");
    assert_eq!(waits_for(&app, &run).await, "next");
    let woken: Vec<(Uuid, i32)> = sqlx::query_as("SELECT id, woken FROM events WHERE id = ANY ($1) ORDER BY at")
        .bind(vec![id, other])
        .fetch_all(app.pool())
        .await
        .expect("rows");
    assert_eq!(woken, [(id, 0), (other, 1)]);
}

#[tokio::test]
async fn one_event_wakes_those_that_waited_longest_up_to_a_bound() {
    let app = TestApp::start().await;
    let fill = "INSERT INTO event_waits (run_id, seq, tenant, subject, workflow, key, since)
        SELECT gen_random_uuid(), n, 'acme', 's', 'w', 'paid', now() - n * interval '1 second' FROM generate_series(0, $1) AS n";
    sqlx::query(fill).bind(EVENT_WAKES_MAX as i32).execute(app.pool()).await.expect("rows");
    let (_, wakes) = keep(&app, "paid", "ada").await;
    assert_eq!(wakes, i64::from(EVENT_WAKES_MAX));
    let newest: Option<i32> =
        sqlx::query_scalar("SELECT min(seq) FROM event_wakes").fetch_one(app.pool()).await.expect("a row");
    assert_eq!(newest, Some(1), "the one that came last is left out");
}

/// Two patterns of the same task are two waits; what is let go is not told any more.
#[tokio::test]
async fn the_first_of_a_group_lets_the_others_go() {
    let app = TestApp::start().await;
    let definition = json!({ "tasks": { "t": {
        "step": "none", "skip_if": "waited.a.came",
        "wait_for": [[{ "event": "a", "as": "a" }, { "event": "*" }, { "signal": "go" }, { "sleep": "1d" }]],
    } } });
    register(&app, "any", &definition).await.expect(201);
    let run = app.start_run("any", &json!({})).await;
    assert_eq!(count(&app, WAITS).await, 2);
    // Both fit: whichever the run is told of first lets the other go.
    assert_eq!(push(&app, event("a", &json!(1))).await, 1);
    assert_eq!((count(&app, WAITS).await, count(&app, TIMERS).await), (0, 0));
    assert_ne!(app.run(&run).await["status"], "waiting");
    let put = Call::new(Method::PUT, "/api/v1/workflows/wrong").json(&json!({ "tasks": { "x": {
        "step": "s", "wait_for": [[{ "sleep": 1 }, { "event": "" }]],
    } } }));
    app.send(put).await.problem(422, "invalid_definition").at("/tasks/x/wait_for/0/1/event");
}
