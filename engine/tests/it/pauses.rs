//! Pauses of workflows, queues, workers, tenants and the engine: what is granted, what is held, and how it goes on.

use std::time::{Duration, Instant};

use futures::future::join_all;
use serde_json::{Value, json};
use sqlx::Connection as _;
use tokio::sync::watch;
use uuid::Uuid;
use valet_engine::bounds::PAUSES_MAX;
use valet_engine::http::{Limits, Rate};
use valet_engine::pauses::pause_at_start;

use super::access::secret;
use super::app::TestApp;
use super::calls::{Answer, Call, OTHER_TENANT};
use super::database;
use super::worker::{Hold, Worker, bare};

const ENGINE: &str = "engine";
const TENANT: &str = "tenants/acme";
const ECHO: &str = "workflows/echo";
const QUEUE: &str = "queues/default";

async fn pause(app: &TestApp, what: &str) -> Value {
    app.send(Call::post(format!("/api/v1/{what}/pause"))).await.expect(200).json()
}

async fn resume(app: &TestApp, what: &str) -> Value {
    app.send(Call::post(format!("/api/v1/{what}/resume"))).await.expect(200).json()
}

async fn echo(app: &TestApp) -> String {
    app.start_run("echo", &json!({ "text": "x" })).await
}

fn claim_of(run: &str, seq: u32) -> Hold {
    Hold { run: bare(run), seq, attempt: 1, lease: Uuid::now_v7().to_string() }
}

fn is_gated(answer: &Value) -> bool {
    *answer == json!({ "refused": { "why": "gated" } })
}

fn done(output: &str) -> Value {
    json!({ "done": { "output": output } })
}

async fn signal(app: &TestApp, run: &str, payload: Value) {
    let call = Call::post(format!("/api/v1/runs/{run}/signals/go")).json(&json!({ "payload": payload }));
    app.send(call).await.expect(204);
}

async fn granted(app: &TestApp) -> i64 {
    let count = "SELECT count(*) FROM steps WHERE lease_id IS NOT NULL";
    sqlx::query_scalar(count).fetch_one(app.pool()).await.expect("a count")
}

async fn ask_for_any(worker: &Worker<'_>, wait: &str) -> Answer {
    worker.post(&format!("claim?wait={wait}"), &json!({ "session": worker.session_uuid() })).await
}

/// Starts runs and claims their steps until told to stop; how many claims a pause refused.
async fn hammer(app: &TestApp, worker: &Worker<'_>, stop: watch::Receiver<bool>) -> usize {
    let mut refused = 0;
    while !*stop.borrow() {
        let run = echo(app).await;
        refused += usize::from(is_gated(&worker.claim(&claim_of(&run, 1)).await));
    }
    refused
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_granted_once_a_pause_is_answered_while_claims_race() {
    let no_limit = Rate { per_s: 0, burst: 1 };
    let app = TestApp::limited(Limits { token: no_limit, tenant: no_limit, ..Limits::default() }).await;
    let worker = Worker::open(&app).await;
    let by_session = format!("workers/{}", worker.session);
    for what in [ECHO, QUEUE, TENANT, ENGINE, "workers/w", by_session.as_str()] {
        let began_with = granted(&app).await;
        let (stop, stopping) = watch::channel(false);
        let claiming = join_all((0..8).map(|_| hammer(&app, &worker, stopping.clone())));
        let pausing = async {
            let first = async || (granted(&app).await > began_with).then_some(());
            database::until("claims to be granted", first).await;
            pause(&app, what).await;
            let at_the_answer = granted(&app).await;
            tokio::time::sleep(Duration::from_millis(200)).await;
            stop.send_replace(true);
            at_the_answer
        };
        let (refused, at_the_answer) = tokio::join!(claiming, pausing);
        assert_eq!(granted(&app).await, at_the_answer, "{what}: none after the answer");
        assert!(refused.into_iter().sum::<usize>() > 0, "{what}: claims went on");
        resume(&app, what).await;
    }
}

/// The claim's statement does not see the pause, and grants after the pause was committed: the answer waits for it.
#[tokio::test]
async fn a_claim_that_began_before_a_pause_ends_before_the_pause_is_answered() {
    let app = TestApp::start().await;
    let worker = Worker::open(&app).await;
    let run = echo(&app).await;
    let mut outside = database::connect(&app.url).await;
    let mut lock = outside.begin().await.expect("a transaction");
    sqlx::query("SELECT 1 FROM steps FOR UPDATE").execute(&mut *lock).await.expect("a lock");
    let claim = claim_of(&run, 1);
    let claiming = async { worker.claim(&claim).await };
    let pausing = async {
        let waits =
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
        database::until("the claim waits for the lock", async || {
            let waiting: i64 = sqlx::query_scalar(waits).fetch_one(app.pool()).await.expect("a count");
            (waiting > 0).then_some(())
        })
        .await;
        let answered = async {
            pause(&app, ECHO).await;
            granted(&app).await
        };
        let released = async {
            let stored = "SELECT count(*) FROM pauses";
            database::until("the pause is stored", async || {
                let stored: i64 = sqlx::query_scalar(stored).fetch_one(app.pool()).await.expect("a count");
                (stored > 0).then_some(())
            })
            .await;
            tokio::time::sleep(Duration::from_millis(300)).await;
            lock.rollback().await.expect("the lock is released");
        };
        tokio::join!(answered, released).0
    };
    let (answer, at_the_answer) = tokio::join!(claiming, pausing);
    assert!(answer.get("granted").is_some(), "it began before: {answer}");
    assert_eq!(at_the_answer, 1, "and was granted before the pause was answered");
}

#[tokio::test]
async fn what_a_pause_does_not_mean_goes_on() {
    let app = TestApp::start().await;
    let (one, two) = (Worker::open(&app).await, Worker::open(&app).await);
    let foreign =
        || Call::post("/api/v1/workflows/echo/runs").token(OTHER_TENANT).json(&json!({ "input": { "text": "x" } }));
    for (what, refused_one, refused_two, refused_foreign, refused_other) in [
        (ECHO, true, true, false, false),
        (TENANT, true, true, false, true),
        (QUEUE, true, true, false, true),
        ("queues/mail", false, false, false, false),
        (ENGINE, true, true, true, true),
        ("workers/SESSION", true, false, true, true),
    ] {
        let what = what.replace("SESSION", &one.session);
        pause(&app, &what).await;
        let foreign = app.send(foreign()).await.expect(201).json()["id"].as_str().expect("an id").to_owned();
        let other = app.start_run("guarded", &json!({ "text": "x" })).await;
        let got = [
            one.claim(&claim_of(&echo(&app).await, 1)).await,
            two.claim(&claim_of(&echo(&app).await, 1)).await,
            one.claim(&claim_of(&foreign, 1)).await,
            one.claim(&claim_of(&other, 2)).await,
        ];
        let expected = [refused_one, refused_two, refused_foreign, refused_other];
        assert_eq!(got.map(|answer| is_gated(&answer)), expected, "{what}");
        resume(&app, &what).await;
    }
}

#[tokio::test]
async fn a_granted_step_ends_under_a_pause_and_its_result_is_held() {
    let app = TestApp::start().await;
    let worker = Worker::open(&app).await;
    for (what, scope) in [(ECHO, "workflow"), (TENANT, "tenant"), (ENGINE, "engine")] {
        let run = echo(&app).await;
        let hold = worker.take(&run, 1, 1).await;
        pause(&app, what).await;
        assert!(worker.finish(&hold, &done("out")).await.get("accepted").is_some());
        let held = app.run(&run).await;
        assert_eq!((&held["status"], &held["reason"]), (&json!("waiting"), &json!({ "kind": "held" })), "{what}");
        assert_eq!((&held["paused"], &held["paused_by_scope"]), (&json!(false), &json!(scope)));
        resume(&app, what).await;
        let ended = app.until_status(&run, "succeeded").await;
        assert_eq!((&ended["output"], ended.get("paused_by_scope")), (&json!("out"), None));
    }
}

/// Neither a queue nor a worker is what a run belongs to: they hold grants only.
#[tokio::test]
async fn results_are_delivered_while_only_a_queue_or_a_worker_is_paused() {
    let app = TestApp::start().await;
    let worker = Worker::open(&app).await;
    for what in [QUEUE, "workers/w"] {
        let (run, waiting) = (echo(&app).await, echo(&app).await);
        let hold = worker.take(&run, 1, 1).await;
        pause(&app, what).await;
        assert!(worker.finish(&hold, &done("out")).await.get("accepted").is_some());
        assert_eq!(app.until_status(&run, "succeeded").await["output"], "out");
        let scope = if what == QUEUE { json!("queue") } else { Value::Null };
        assert_eq!(app.run(&waiting).await["paused_by_scope"], scope);
        resume(&app, what).await;
    }
}

#[tokio::test]
async fn no_effect_begins_under_a_pause_but_its_workers_own() {
    let app = TestApp::start().await;
    let worker = Worker::open(&app).await;
    for (what, expected) in [(ECHO, "no"), (QUEUE, "no"), (TENANT, "no"), (ENGINE, "no"), ("workers/w", "go")] {
        let run = echo(&app).await;
        let hold = worker.take(&run, 1, 1).await;
        pause(&app, what).await;
        let begin = json!({
            "session": worker.session_uuid(), "run": hold.run, "seq": 1, "attempt": 1, "lease": hold.lease,
        });
        assert_eq!(worker.post("effects", &begin).await.expect(200).json(), json!(expected), "{what}");
        resume(&app, what).await;
        assert_eq!(worker.post("effects", &begin).await.expect(200).json(), json!("go"), "{what} resumed");
    }
}

#[tokio::test]
async fn timers_and_messages_are_kept_and_delivered_in_order_on_resume() {
    let app = TestApp::start().await;
    let (listening, asking) = (
        app.start_run("listen", &json!({ "count": 3 })).await,
        app.start_run("ask", &json!({ "deadline_ms": 300 })).await,
    );
    signal(&app, &listening, json!(1)).await;
    pause(&app, TENANT).await;
    let started = app.start_run("listen", &json!({ "count": 1 })).await;
    for (run, payload) in [(&listening, 2), (&listening, 3), (&started, 4)] {
        signal(&app, run, json!(payload)).await;
    }
    for run in [&listening, &asking, &started] {
        database::until("what came is held", async || (app.run(run).await["reason"]["kind"] == "held").then_some(()))
            .await;
        assert_eq!(app.run(run).await["status"], "waiting");
    }
    resume(&app, TENANT).await;
    assert_eq!(app.until_status(&listening, "succeeded").await["output"], json!([1, 2, 3]));
    assert_eq!(app.until_status(&asking, "succeeded").await["output"], "timed out");
    assert_eq!(app.until_status(&started, "succeeded").await["output"], json!([4]));
}

/// More than one tick takes up, and none is forgotten.
#[tokio::test]
async fn every_held_run_goes_on_after_a_resume() {
    let app = TestApp::start().await;
    let one = json!({ "count": 1 });
    let runs = join_all((0..130).map(|_| app.start_run("listen", &one))).await;
    pause(&app, ENGINE).await;
    join_all(runs.iter().map(|run| signal(&app, run, json!(7)))).await;
    let held = "SELECT count(*) FROM runs WHERE reason->>'kind' = 'held'";
    let held: i64 = sqlx::query_scalar(held).fetch_one(app.pool()).await.expect("a count");
    assert_eq!(held, 130);
    resume(&app, ENGINE).await;
    for run in &runs {
        assert_eq!(app.until_status(run, "succeeded").await["output"], json!([7]));
    }
}

#[tokio::test]
async fn clean_ups_go_on_under_the_pause_of_their_workflow_and_tenant_only() {
    let app = TestApp::start().await;
    let worker = Worker::open(&app).await;
    for (what, goes_on) in
        [("workflows/guarded", true), (TENANT, true), (QUEUE, false), (ENGINE, false), ("workers/w", false)]
    {
        let run = app.start_run("guarded", &json!({ "text": "x" })).await;
        pause(&app, what).await;
        assert!(is_gated(&worker.claim(&claim_of(&run, 2)).await), "{what}: its step");
        app.send(Call::post(format!("/api/v1/runs/{run}/cancel"))).await.expect(200);
        let sweep = claim_of(&run, 1);
        assert_eq!(is_gated(&worker.claim(&sweep).await), !goes_on, "{what}: its clean-up");
        assert_eq!(app.run(&run).await.get("paused_by_scope").is_some(), what == QUEUE || what == ENGINE, "{what}");
        resume(&app, what).await;
        assert!(worker.claim(&sweep).await.get("granted").is_some(), "{what}");
        worker.finish(&sweep, &json!({ "done": { "output": null } })).await;
        app.until_status(&run, "cancelled").await;
    }
}

async fn finish_with_offer(worker: &Worker<'_>, hold: &Hold) -> Value {
    let finish = json!({
        "run": hold.run, "seq": hold.seq, "attempt": hold.attempt, "lease": hold.lease, "outcome": done("first"),
        "hand_over": { "lease": Uuid::now_v7(), "queue": "default" },
    });
    let body = json!({ "session": worker.session_uuid(), "finishes": [finish] });
    worker.post("finishes", &body).await.expect(200).json()["answers"][0]["accepted"].clone()
}

/// Also where the engine does not know of the pause yet: the commit looks.
#[tokio::test]
async fn nothing_is_handed_over_under_a_pause() {
    let app = TestApp::start().await;
    let worker = Worker::open(&app).await;
    let second = async |run: &str| app.run(run).await["steps"][1]["state"].clone();
    let run = app.start_run("pair", &json!({ "text": "x" })).await;
    let hold = worker.take(&run, 1, 1).await;
    assert!(finish_with_offer(&worker, &hold).await.get("next").is_some(), "without a pause it is");
    let set = "INSERT INTO pauses (tenant, scope, name, paused_by, reason) VALUES ($1, $2, $3, 'ada', '')";
    for (tenant, scope, name) in
        [("acme", "workflow", "pair"), ("acme", "queue", "default"), ("acme", "tenant", ""), ("*", "worker", "w")]
    {
        for is_known in [false, true] {
            let run = app.start_run("pair", &json!({ "text": "x" })).await;
            let hold = worker.take(&run, 1, 1).await;
            sqlx::query(set).bind(tenant).bind(scope).bind(name).execute(app.pool()).await.expect("a pause");
            if is_known {
                let place = if scope == "tenant" { "acme" } else { name };
                pause(&app, &format!("{scope}s/{place}")).await;
            }
            assert_eq!(finish_with_offer(&worker, &hold).await, json!({}), "{scope}, known: {is_known}");
            sqlx::query("DELETE FROM pauses").execute(app.pool()).await.expect("resumed");
            database::until("the second step waits for a worker", async || {
                (second(&run).await == "ready").then_some(())
            })
            .await;
            // The engine learns that nothing is paused any more.
            resume(&app, ENGINE).await;
            pause(&app, "queues/mail").await;
            resume(&app, "queues/mail").await;
        }
    }
}

#[tokio::test]
async fn a_paused_step_gets_no_tickets_and_a_new_one_with_the_resume() {
    let app = TestApp::start().await;
    let worker = Worker::open(&app).await;
    let ticketed = "SELECT ticketed_at::text FROM steps";
    let ticketed =
        async || sqlx::query_scalar::<_, Option<String>>(ticketed).fetch_one(app.pool()).await.expect("a step");
    pause(&app, ECHO).await;
    let run = echo(&app).await;
    assert!(is_gated(&worker.claim(&claim_of(&run, 1)).await));
    let first = ticketed().await;
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(4_500) {
        worker.beat(&[]).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert_eq!(ticketed().await, first, "its worker is idle, and its ticket is old");
    let resumed = Instant::now();
    resume(&app, ECHO).await;
    database::until("it gets another", async || ticketed().await.filter(|at| Some(at) != first.as_ref())).await;
    assert!(resumed.elapsed() < Duration::from_millis(1_500), "at once: {:?}", resumed.elapsed());
}

#[tokio::test]
async fn who_waits_for_a_step_gets_it_when_it_is_resumed() {
    let app = TestApp::start().await;
    let worker = Worker::open(&app).await;
    echo(&app).await;
    for what in [ECHO, QUEUE, TENANT, ENGINE, "workers/w"] {
        pause(&app, what).await;
        ask_for_any(&worker, "300ms").await.expect(204);
        let (answer, ()) = tokio::join!(ask_for_any(&worker, "20s"), async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            resume(&app, what).await;
        });
        let grant = answer.expect(200).json()["granted"][0].clone();
        assert_eq!(grant["name"], "say", "{what}");
        echo(&app).await;
    }
}

#[tokio::test]
async fn a_paused_worker_in_the_line_holds_up_nobody_behind_it() {
    let app = TestApp::start().await;
    let (first, second) = (Worker::open(&app).await, Worker::open(&app).await);
    let what = format!("workers/{}", first.session);
    pause(&app, &what).await;
    assert_eq!(first.beat(&[]).await["paused"], true);
    assert_eq!(second.beat(&[]).await.get("paused"), None);
    let (held, took, _) = tokio::join!(
        ask_for_any(&first, "6s"),
        async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let began = Instant::now();
            ask_for_any(&second, "20s").await.expect(200);
            began.elapsed()
        },
        async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            echo(&app).await
        }
    );
    held.expect(204);
    assert!(took < Duration::from_secs(4), "long before the other gave up: {took:?}");
    resume(&app, &what).await;
    assert_eq!(first.beat(&[]).await.get("paused"), None);
}

#[tokio::test]
async fn a_pause_outlives_its_engine_and_holds_from_the_first_moment() {
    let app = TestApp::start().await;
    let worker = Worker::open(&app).await;
    let (granted, waiting) = (echo(&app).await, echo(&app).await);
    let hold = worker.take(&granted, 1, 1).await;
    let set = pause(&app, ECHO).await;
    app.engine.stop().await;

    let next = TestApp::on(&app.url).await;
    let finish = json!({
        "run": hold.run, "seq": 1, "attempt": 1, "lease": hold.lease, "outcome": done("out"),
    });
    let body = json!({ "session": worker.session_uuid(), "finishes": [finish] });
    let finished =
        next.send(Call::post("/worker/v1/finishes").token(super::calls::WORKER).json(&body)).await.expect(200);
    assert!(finished.json()["answers"][0].get("accepted").is_some());
    assert_eq!(next.run(&granted).await["reason"]["kind"], "held");
    let worker = Worker::open(&next).await;
    assert!(is_gated(&worker.claim(&claim_of(&waiting, 1)).await));
    assert_eq!(pause(&next, ECHO).await, set, "the same pause");
    resume(&next, ECHO).await;
    assert_eq!(next.until_status(&granted, "succeeded").await["output"], "out");
}

#[tokio::test]
async fn another_engine_grants_nothing_at_once_and_holds_what_it_delivers_soon() {
    let (one, url) = {
        let one = TestApp::start().await;
        let url = one.url.clone();
        (one, url)
    };
    let two = TestApp::on(&url).await;
    let worker = Worker::open(&two).await;
    let (granted, waiting) = (echo(&two).await, echo(&two).await);
    let hold = worker.take(&granted, 1, 1).await;
    pause(&one, TENANT).await;
    assert!(is_gated(&worker.claim(&claim_of(&waiting, 1)).await), "the database says so");
    database::until("the other engine knows", async || {
        (two.run(&waiting).await["paused_by_scope"] == "tenant").then_some(())
    })
    .await;
    worker.finish(&hold, &done("out")).await;
    assert_eq!(two.run(&granted).await["reason"]["kind"], "held");
    resume(&one, TENANT).await;
    assert_eq!(two.until_status(&granted, "succeeded").await["output"], "out");
}

#[tokio::test]
async fn an_engine_that_starts_paused_takes_everything_and_grants_nothing() {
    let url = database::migrated().await;
    let before = TestApp::on(&url).await;
    before.engine.stop().await;
    pause_at_start(&before.store).await.expect("a pause");
    let app = TestApp::on(&url).await;
    let worker = Worker::open(&app).await;
    let run = echo(&app).await;
    assert!(is_gated(&worker.claim(&claim_of(&run, 1)).await));
    assert_eq!(app.send(Call::get("/readyz")).await.expect(200).json()["paused"], true);
    let pauses = app.send(Call::get("/api/v1/pauses")).await.expect(200).json();
    assert_eq!((&pauses["pauses"][0]["scope"], &pauses["pauses"][0]["paused_by"]), (&json!("engine"), &json!("start")));
    assert_eq!(resume(&app, ENGINE).await["pauses"], json!([]));
    worker.carry_out(&run, 1, json!("out")).await;
    app.until_status(&run, "succeeded").await;
    assert_eq!(app.send(Call::get("/readyz")).await.expect(200).json().get("paused"), None);
}

#[tokio::test]
async fn pausing_again_is_the_same_pause_and_resuming_nothing_changes_nothing() {
    let app = TestApp::start().await;
    resume(&app, ECHO).await;
    let because = Call::post("/api/v1/workflows/echo/pause").json(&json!({ "reason": "the site asks for quiet" }));
    let first = app.send(because).await.expect(200).json();
    assert_eq!(
        (&first["scope"], &first["name"], &first["tenant"]),
        (&json!("workflow"), &json!("echo"), &json!("acme"))
    );
    assert_eq!((&first["paused_by"], &first["reason"]), (&json!("ada"), &json!("the site asks for quiet")));
    assert_eq!(pause(&app, ECHO).await, first);
    resume(&app, ECHO).await;
    let second = pause(&app, ECHO).await;
    assert!(second["version"].as_u64() > first["version"].as_u64(), "{second}");
    let actions: Vec<String> =
        sqlx::query_scalar("SELECT action FROM audit ORDER BY number").fetch_all(app.pool()).await.expect("rows");
    assert_eq!(actions, ["workflow.pause", "workflow.resume", "workflow.pause"]);
}

#[tokio::test]
async fn a_pause_for_every_tenant_is_one_of_its_own() {
    let app = TestApp::start().await;
    let worker = Worker::open(&app).await;
    let all = json!({ "all_tenants": true });
    app.send(Call::post("/api/v1/workflows/echo/pause").json(&all)).await.expect(200);
    pause(&app, ECHO).await;
    let started =
        Call::post("/api/v1/workflows/echo/runs").token(OTHER_TENANT).json(&json!({ "input": { "text": "x" } }));
    let foreign = app.send(started).await.expect(201).json()["id"].as_str().expect("an id").to_owned();
    assert!(is_gated(&worker.claim(&claim_of(&foreign, 1)).await));
    resume(&app, ECHO).await;
    let run = echo(&app).await;
    assert!(is_gated(&worker.claim(&claim_of(&run, 1)).await), "the wider one still holds");
    app.send(Call::post("/api/v1/workflows/echo/resume").json(&all)).await.expect(200);
    assert!(worker.claim(&claim_of(&run, 1)).await.get("granted").is_some());
}

#[tokio::test]
async fn what_cannot_be_paused_or_not_by_them_is_refused_at_its_place() {
    let app = TestApp::start().await;
    let shared = Worker::open(&app).await;
    let admin = secret(&app, &json!({ "name": "an admin", "role": "admin" })).await;
    let some = secret(&app, &json!({ "name": "some", "role": "operator", "workflows": ["echo"] })).await;
    let work = secret(&app, &json!({ "name": "its worker", "role": "worker" })).await;
    let own = Worker::with_token(&app, &work, &["default"]).await;
    let post = |path: &str, token: &str| Call::post(format!("/api/v1/{path}")).token(token);
    let check = async |call: Call, status: u16, code: &str, field: Option<&str>| {
        let refused = app.send(call).await.problem(status, code);
        if let Some(field) = field {
            refused.at(field);
        }
    };
    check(post("workflows/none/pause", &admin), 404, "workflow_not_found", Some("name")).await;
    check(post("workflows/ask/pause", &some), 404, "workflow_not_found", Some("name")).await;
    check(post("queues/no%20queue/pause", &admin), 400, "invalid_queue", Some("name")).await;
    check(post("queues/default/pause", &some), 403, "out_of_reach", None).await;
    check(post("workers/nobody/pause", &admin), 404, "worker_not_found", Some("id")).await;
    check(post(&format!("workers/{}/pause", shared.session), &admin), 403, "out_of_reach", Some("id")).await;
    check(post("tenants/umbrella/pause", &admin), 404, "tenant_not_found", Some("name")).await;
    check(post("engine/pause", &admin), 403, "out_of_reach", None).await;
    check(post("engine/resume", &admin), 403, "out_of_reach", None).await;
    let all = json!({ "all_tenants": true });
    check(post("workflows/echo/pause", &admin).json(&all), 403, "out_of_reach", Some("/all_tenants")).await;
    check(post("tenants/acme/pause", &admin).json(&all), 422, "invalid_body", Some("/all_tenants")).await;
    let long = json!({ "reason": "x".repeat(1_025) });
    check(post("workflows/echo/pause", &admin).json(&long), 422, "invalid_body", Some("/reason")).await;
    let none: i64 = sqlx::query_scalar("SELECT count(*) FROM pauses").fetch_one(app.pool()).await.expect("a count");
    assert_eq!(none, 0);
    for path in [&format!("workers/{}/pause", own.session), "tenants/acme/pause", "queues/later/pause"] {
        app.send(post(path, &admin)).await.expect(200);
    }
    app.send(post("workflows/echo/pause", &some)).await.expect(200);
    let theirs = app.send(Call::get("/api/v1/pauses").token(&admin)).await.expect(200).json();
    assert_eq!(theirs["pauses"].as_array().map(Vec::len), Some(4));

    let fill = "INSERT INTO pauses (tenant, scope, name, paused_by, reason) \
                SELECT 'acme', 'queue', 'q' || n, 'ada', '' FROM generate_series(5, $1) AS n";
    sqlx::query(fill).bind(PAUSES_MAX as i32).execute(app.pool()).await.expect("pauses");
    check(post("queues/one-more/pause", &admin), 409, "too_many_pauses", None).await;
    app.send(post("queues/later/pause", &admin)).await.expect(200);
}
