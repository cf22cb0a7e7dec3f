//! Schedules: one run for each of their instants, whoever looks, dies or is late.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use axum::http::Method;
use chrono::TimeDelta;
use futures::future::join_all;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};
use valet_core::Timestamp;
use valet_core::id::RunId;
use valet_engine::bounds::{BACKFILL_MAX, SCHEDULE_LOOK_UNUSED};
use valet_engine::http::{look_at_schedules, run_schedules};
use valet_engine::ports::{Clock, Entropy as _, Machine};
use valet_engine::schedule::plan;

use super::access::secret;
use super::app::TestApp;
use super::calls::{Answer, Call, OTHER_TENANT};
use super::database;

fn place(name: &str) -> String {
    format!("/api/v1/schedules/{name}")
}

async fn put(app: &TestApp, name: &str, schedule: &Value) -> Answer {
    app.send(Call::new(Method::PUT, place(name)).json(schedule)).await
}

/// Each minute, a run that waits for a person.
fn each_minute(overlap: &str) -> Value {
    json!({ "workflow": "ask", "cron": "* * * * *", "overlap": overlap, "run": { "input": {} } })
}

/// As if its next instant had been so many whole minutes ago.
async fn minutes_ago(app: &TestApp, name: &str, minutes: i32) {
    let back =
        "UPDATE schedules SET next_at = date_trunc('minute', now()) - make_interval(mins => $2) WHERE name LIKE $1";
    sqlx::query(back).bind(name).bind(minutes).execute(app.pool()).await.expect("an earlier instant");
}

async fn look(app: &TestApp) -> Duration {
    look_at_schedules(&app.app).await.expect("a look")
}

async fn shown(app: &TestApp, name: &str) -> Value {
    app.send(Call::get(place(name))).await.expect(200).json()
}

/// What became of its instants, oldest first.
async fn fires(app: &TestApp, name: &str) -> Vec<Value> {
    let list = app.send(Call::get(format!("{}/fires?limit=200", place(name)))).await.expect(200).json();
    list["fires"].as_array().expect("fires").iter().rev().cloned().collect()
}

fn states(fires: &[Value]) -> Vec<(&str, &str)> {
    let mut told = Vec::new();
    for fire in fires {
        told.push((fire["state"].as_str().expect("a state"), fire["reason"].as_str().unwrap_or("")));
    }
    told
}

fn run_of(fire: &Value) -> String {
    fire["run"].as_str().expect("a run").to_owned()
}

/// Runs that schedules started, by the audit: whatever became of them.
async fn started(app: &TestApp) -> i64 {
    let count = "SELECT count(*) FROM audit WHERE action = 'run.start' AND via = 'schedule'";
    sqlx::query_scalar(count).fetch_one(app.pool()).await.expect("a count")
}

#[tokio::test]
async fn a_schedule_is_put_shown_changed_and_removed() {
    let app = TestApp::start().await;
    let nightly = json!({
        "workflow": "echo", "cron": "30 2 * * *", "zone": "Europe/Berlin", "overlap": "queue", "catch_up_seconds": 60,
        "run": { "input": { "text": "hello" }, "subject": "ada" },
    });
    let preview = Call::new(Method::PUT, format!("{}?dry_run=true", place("nightly"))).json(&nightly);
    let previewed = app.send(preview).await.expect(200).json();
    assert_eq!(previewed["next"].as_array().map(Vec::len), Some(10), "{previewed}");
    app.send(Call::get(place("nightly"))).await.problem(404, "schedule_not_found").at("name");

    let made = put(&app, "nightly", &nightly).await.expect(201).json();
    assert_eq!((&made["subject"], &made["run"]["input"]), (&json!("ada"), &json!({ "text": "hello" })));
    assert_eq!(made["next"], previewed["next"]);
    let first = made["next"][0].as_str().expect("an instant");
    assert!(first.contains("T02:30:00+0") || first.contains("T03:00:00+02"), "as clocks in Berlin show it: {first}");
    assert_eq!(put(&app, "nightly", &nightly).await.expect(200).json(), made, "again it changes nothing");

    let mut weekly = nightly.clone();
    weekly["cron"] = json!("0 12 * * MON");
    let changed = put(&app, "nightly", &weekly).await.expect(200).json();
    assert_ne!(changed["next"], made["next"]);
    assert_eq!((&changed["cron"], &changed["created_at"]), (&json!("0 12 * * MON"), &made["created_at"]));
    put(&app, "another", &nightly).await.expect(201);
    let list = app.send(Call::get("/api/v1/schedules?limit=1")).await.expect(200).json();
    assert_eq!((&list["schedules"][0]["name"], list["schedules"][0].get("run")), (&json!("another"), None), "{list}");
    let cursor = list["next_cursor"].as_str().expect("a cursor");
    let rest = app.send(Call::get(format!("/api/v1/schedules?cursor={cursor}"))).await.expect(200).json();
    assert_eq!((&rest["schedules"][0]["name"], rest.get("next_cursor")), (&json!("nightly"), None), "{rest}");

    app.send(Call::new(Method::DELETE, place("nightly"))).await.expect(204);
    app.send(Call::get(place("nightly"))).await.problem(404, "schedule_not_found").at("name");
    app.send(Call::new(Method::DELETE, place("nightly"))).await.problem(404, "schedule_not_found").at("name");
    let stored: Vec<u8> = sqlx::query_scalar("SELECT body FROM schedules").fetch_one(app.pool()).await.expect("a row");
    assert!(!String::from_utf8_lossy(&stored).contains("hello"), "inputs are sealed");
}

#[tokio::test]
async fn what_is_wrong_is_named_with_its_place_and_its_mending() {
    let app = TestApp::start().await;
    let with = |key: &str, value: Value| {
        let mut schedule = each_minute("skip");
        schedule[key] = value;
        schedule
    };
    let cases = [
        (with("cron", json!("61 * * * *")), "invalid_schedule", "/cron", "minute, hour, day of month"),
        (with("cron", json!("0 0 31 2 *")), "invalid_schedule", "/cron", "never runs"),
        (with("cron", json!(null)), "invalid_schedule", "/cron", "`at`"),
        (with("at", json!("2099-01-01T00:00:00Z")), "invalid_schedule", "/cron", "not both"),
        (with("zone", json!("berlin")), "invalid_schedule", "/zone", "Europe/Berlin"),
        (with("overlap", json!("never")), "invalid_schedule", "/overlap", "skip, queue, cancel_old, allow"),
        (with("catch_up_seconds", json!(0)), "invalid_schedule", "/catch_up_seconds", "10 to"),
        (with("run", json!({ "input": 7 })), "invalid_input", "/run/input", ""),
        (with("run", json!({ "input": {}, "plan": "" })), "invalid_input", "/run/plan", ""),
        (with("run", json!({})), "invalid_body", "/run/input", ""),
        (with("unknown", json!(1)), "invalid_body", "/unknown", ""),
    ];
    for (schedule, code, field, told) in cases {
        let answer = put(&app, "wrong", &schedule).await.problem(422, code).at(field);
        let detail = answer.json()["detail"].as_str().expect("a sentence").to_owned();
        assert!(detail.contains(told), "{field}: {detail}");
    }
    put(&app, "wrong", &with("workflow", json!("nowhere"))).await.problem(404, "workflow_not_found").at("/workflow");
    put(&app, "a%20b", &each_minute("skip")).await.problem(422, "invalid_schedule").at("name");
    let past = json!({ "workflow": "ask", "at": "2026-01-01T00:00:00Z", "run": { "input": {} } });
    put(&app, "past", &past).await.problem(422, "invalid_schedule").at("/at");
    let all =
        put(&app, "wrong", &json!({ "workflow": "ask", "zone": "x", "overlap": "x", "run": { "input": {} } })).await;
    assert_eq!(all.json()["errors"].as_array().map(Vec::len), Some(3), "all at once: {}", all.json());
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM schedules").fetch_one(app.pool()).await.expect("a count");
    assert_eq!(count, 0);
}

#[tokio::test]
async fn an_instant_starts_one_run_whoever_looks() {
    let one = TestApp::start().await;
    let two = TestApp::on(&one.url).await;
    for n in 0..30 {
        put(&one, &format!("s{n}"), &each_minute("allow")).await.expect(201);
    }
    minutes_ago(&one, "s%", 2).await;
    join_all((0..8).flat_map(|_| [look(&one), look(&two)])).await;
    let minute: i64 =
        sqlx::query_scalar("SELECT count(*) FROM schedule_fires").fetch_one(one.pool()).await.expect("a count");
    assert!((90..=120).contains(&minute), "three instants each, or four: {minute}");
    assert_eq!(started(&one).await, minute);
    assert_eq!(one.runs_stored().await, minute);
    for fire in fires(&one, "s7").await {
        assert_eq!((&fire["state"], &fire["origin"]), (&json!("started"), &json!("time")), "{fire}");
        assert_eq!(one.run(&run_of(&fire)).await["workflow"], "ask");
    }
    // The clock goes back: they are due once more, and known.
    minutes_ago(&one, "s%", 2).await;
    join_all([look(&one), look(&two)]).await;
    let known: i64 =
        sqlx::query_scalar("SELECT count(*) FROM schedule_fires").fetch_one(one.pool()).await.expect("a count");
    assert!(known - minute <= 30, "at most the minute that came meanwhile");
    assert_eq!(started(&one).await, known);
}

/// The clock of an engine's machine, so many days off.
struct Wrong(AtomicI64);

impl Clock for Wrong {
    fn now(&self) -> Timestamp {
        Machine.now() + TimeDelta::days(self.0.load(Ordering::SeqCst))
    }
}

/// Schedules go by the database's clock. Those of the engines may differ, and be put forward and back meanwhile.
#[tokio::test]
async fn engines_whose_clocks_are_wrong_start_each_instant_once_and_none_too_early() {
    const SCHEDULES: i64 = 20;
    const MINUTES: i64 = 5;
    let url = database::migrated().await;
    let clocks = [20, -20].map(|days| Arc::new(Wrong(AtomicI64::new(days))));
    let one = TestApp::going_by(&url, Arc::<Wrong>::clone(&clocks[0])).await;
    let two = TestApp::going_by(&url, Arc::<Wrong>::clone(&clocks[1])).await;
    for n in 0..SCHEDULES {
        put(&one, &format!("s{n}"), &each_minute("allow")).await.expect(201);
    }
    for days in [20, -20, 0] {
        minutes_ago(&one, "s%", MINUTES as i32).await;
        let looks = async { join_all((0..4).flat_map(|_| [look(&one), look(&two)])).await };
        let changes = async {
            tokio::task::yield_now().await;
            clocks[0].0.store(-days, Ordering::SeqCst);
            clocks[1].0.store(days, Ordering::SeqCst);
        };
        tokio::join!(looks, changes);
    }
    let counts = "SELECT count(*), count(DISTINCT run_id), count(*) FILTER (WHERE at > now()) FROM schedule_fires";
    let (all, runs, early): (i64, i64, i64) = sqlx::query_as(counts).fetch_one(one.pool()).await.expect("counts");
    // A minute may have come meanwhile.
    assert!((SCHEDULES * (MINUTES + 1)..=SCHEDULES * (MINUTES + 2)).contains(&all), "{all}");
    assert_eq!((runs, early, started(&one).await, one.runs_stored().await), (all, 0, all, all));
}

/// What an engine noted and did not start, or started and did not settle, another carries on; the run is the same one.
#[tokio::test]
async fn whatever_an_engine_left_is_started_once_by_another() {
    let app = TestApp::start().await;
    let long_ago = "UPDATE schedule_fires SET moved_at = now() - interval '1 minute'";
    put(&app, "left", &each_minute("allow")).await.expect(201);
    minutes_ago(&app, "left", 0).await;
    // Dies between the note and the start.
    let due = app.store.due_schedules().await.expect("a schedule");
    let planned = due.into_iter().map(|due| {
        let plan = plan(due.standing.as_ref().expect("it is understood"), due.now);
        (due, plan)
    });
    let planned: Vec<_> = planned.collect();
    let run_id = || RunId::root(Machine.now(), Machine.bytes());
    let noted = app.store.advance_schedules(&planned, run_id).await.expect("it is noted");
    assert_eq!(noted.len(), 1);
    assert!(app.store.advance_schedules(&planned, run_id).await.expect("an answer").is_empty(), "it has moved since");
    look(&app).await;
    assert_eq!(started(&app).await, 0, "its engine may be at it");
    sqlx::query(long_ago).execute(app.pool()).await.expect("time");
    look(&app).await;
    let fire = fires(&app, "left").await.remove(0);
    assert_eq!((run_of(&fire), &fire["state"]), (noted[0].run().to_string(), &json!("started")));
    // Dies between the start and the settlement, and the run has ended since.
    app.send(Call::post(format!("/api/v1/runs/{}/kill", run_of(&fire)))).await.expect(200);
    sqlx::query("UPDATE schedule_fires SET state = 'starting'").execute(app.pool()).await.expect("a row");
    sqlx::query(long_ago).execute(app.pool()).await.expect("time");
    look(&app).await;
    let after = fires(&app, "left").await.remove(0);
    assert_eq!((run_of(&after), &after["state"]), (run_of(&fire), &json!("started")));
    assert_eq!(app.runs_stored().await, started(&app).await);
    // It was left, and then the clock went back.
    let ahead = "UPDATE schedule_fires SET state = 'starting', moved_at = now() + interval '1 hour'";
    sqlx::query(ahead).execute(app.pool()).await.expect("a row");
    look(&app).await;
    assert_eq!(fires(&app, "left").await[0]["state"], "started");
}

/// A thousand instants, two engines, and whoever looks is stopped anywhere, again and again.
#[tokio::test]
async fn looks_that_are_cut_off_anywhere_start_each_run_once() {
    const SCHEDULES: usize = 100;
    const MINUTES: i32 = 9;
    let one = TestApp::start().await;
    let two = TestApp::on(&one.url).await;
    for n in 0..SCHEDULES {
        let quick = json!({ "workflow": "anything", "cron": "* * * * *", "overlap": "allow", "run": { "input": n } });
        put(&one, &format!("s{n}"), &quick).await.expect(201);
    }
    minutes_ago(&one, "s%", MINUTES).await;
    let seed = 4711;
    let dice = &mut StdRng::seed_from_u64(seed);
    for round in 0..40 {
        let engines = [&one, &two, &one, &two];
        let looks = engines.map(|app| {
            let app = Arc::clone(&app.app);
            tokio::spawn(async move { look_at_schedules(&app).await.map(drop) })
        });
        tokio::time::sleep(Duration::from_micros(dice.random_range(0..60_000))).await;
        looks.iter().for_each(tokio::task::JoinHandle::abort);
        join_all(looks).await;
        // Some of what was left is taken on while it is still being started elsewhere.
        if round % 4 == 0 {
            let left = "UPDATE schedule_fires SET moved_at = now() - interval '1 minute' WHERE state = 'starting'";
            sqlx::query(left).execute(one.pool()).await.expect("time");
        }
    }
    let left = "UPDATE schedule_fires SET moved_at = now() - interval '1 minute' WHERE state = 'starting'";
    database::until("all to be started", async || {
        sqlx::query(left).execute(one.pool()).await.expect("time");
        join_all([look(&one), look(&two)]).await;
        let open = "SELECT count(*) FROM schedule_fires WHERE state <> 'started'";
        let open: i64 = sqlx::query_scalar(open).fetch_one(one.pool()).await.expect("a count");
        (open == 0).then_some(())
    })
    .await;
    let (fires, runs): (i64, i64) = sqlx::query_as("SELECT count(*), count(DISTINCT run_id) FROM schedule_fires")
        .fetch_one(one.pool())
        .await
        .expect("counts");
    assert!(fires >= SCHEDULES as i64 * i64::from(MINUTES + 1), "seed {seed}: {fires}");
    assert_eq!((runs, started(&one).await), (fires, fires), "seed {seed}");
    assert_eq!(one.runs_stored().await, fires, "seed {seed}");
}

#[tokio::test]
async fn a_run_that_is_under_way_decides_by_the_overlap() {
    let app = TestApp::start().await;
    for overlap in ["skip", "queue", "cancel_old", "allow"] {
        put(&app, overlap, &each_minute(overlap)).await.expect(201);
    }
    let quiet = "UPDATE schedules SET next_at = '2999-01-01'";
    minutes_ago(&app, "%", 1).await;
    look(&app).await;
    // No other minute comes in between.
    sqlx::query(quiet).execute(app.pool()).await.expect("quiet");
    let of = async |name: &str| fires(&app, name).await;
    let (skip, queue, cancel, allow) = (of("skip").await, of("queue").await, of("cancel_old").await, of("allow").await);
    assert_eq!(states(&skip)[..2], [("started", ""), ("skipped", "still_running")]);
    assert_eq!(states(&queue)[..2], [("started", ""), ("waiting", "")]);
    assert_eq!(states(&cancel).last(), Some(&("started", "")), "{cancel:?}");
    assert_eq!(states(&cancel)[0], ("skipped", "superseded"));
    assert!(states(&allow).iter().all(|state| *state == ("started", "")));

    assert!(look(&app).await <= Duration::from_secs(1), "it waits for the first to end");
    assert_eq!(states(&of("queue").await)[1], ("waiting", ""));
    app.send(Call::post(format!("/api/v1/runs/{}/cancel", run_of(&queue[0])))).await.expect(200);
    look(&app).await;
    assert_eq!(states(&of("queue").await)[1], ("started", ""), "now that the first has ended");

    let old = run_of(cancel.last().expect("one"));
    let trigger = app.send(Call::post("/api/v1/schedules/cancel_old/trigger")).await.expect(201).json();
    assert!(["waiting", "starting", "started"].contains(&trigger["state"].as_str().expect("a state")), "{trigger}");
    app.until_status(&old, "cancelled").await;
    look(&app).await;
    assert_eq!(states(&of("cancel_old").await).last(), Some(&("started", "")));
}

#[tokio::test]
async fn what_was_missed_is_caught_up_within_its_window_and_filled_in_beyond_it() {
    let app = TestApp::start().await;
    let mut schedule = each_minute("allow");
    schedule["catch_up_seconds"] = json!(150);
    put(&app, "late", &schedule).await.expect(201);
    minutes_ago(&app, "late", 10).await;
    look(&app).await;
    let caught_up = fires(&app, "late").await.len();
    assert!((2..=4).contains(&caught_up), "those of two and a half minutes: {caught_up}");
    let missed = shown(&app, "late").await["missed"].clone();
    let backfill = Call::post("/api/v1/schedules/late/backfill").json(&missed);
    let filled = app.send(backfill.clone()).await.expect(202).json();
    let added = filled["added"].as_u64().expect("a count");
    assert!((7..=9).contains(&added) && filled["known"] == 0, "{filled}");
    assert_eq!(app.send(backfill).await.expect(202).json(), json!({ "added": 0, "known": added }));
    look(&app).await;
    // One after the other, as nothing else was said.
    let backfilled: Vec<Value> =
        fires(&app, "late").await.into_iter().filter(|fire| fire["origin"] == "backfill").collect();
    assert!(states(&backfilled).iter().all(|state| *state == ("waiting", "")), "others of it run: {backfilled:?}");

    let asked = |from: &str, until: &str| {
        Call::post("/api/v1/schedules/late/backfill").json(&json!({ "from": from, "until": until }))
    };
    app.send(asked("2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z")).await.problem(422, "invalid_schedule").at("/from");
    app.send(asked("2026-01-02T00:00:00Z", "2099-01-01T00:00:00Z")).await.problem(422, "invalid_schedule").at("/until");
    let many = app.send(asked("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z")).await.problem(422, "invalid_schedule");
    assert!(many.at("/until").json()["detail"].as_str().expect("why").contains(&BACKFILL_MAX.to_string()));
}

#[tokio::test]
async fn one_instant_is_one_run_and_too_late_is_none() {
    let app = TestApp::start().await;
    let once = json!({ "workflow": "ask", "at": "2099-05-04T10:00:00Z", "run": { "input": {} } });
    for name in ["in-time", "too-late", "paused"] {
        let made = put(&app, name, &once).await.expect(201).json();
        assert_eq!(made["next"], json!(["2099-05-04T10:00:00Z"]));
    }
    app.send(Call::post("/api/v1/schedules/paused/pause")).await.expect(200);
    let pass = "UPDATE schedules SET at = now() - make_interval(secs => $2), next_at = now() - make_interval(secs => $2) \
                WHERE name = $1";
    for (name, ago_s) in [("in-time", 5.0), ("too-late", 7_200.0), ("paused", 5.0)] {
        sqlx::query(pass).bind(name).bind(ago_s).execute(app.pool()).await.expect("time");
    }
    look(&app).await;
    assert_eq!(states(&fires(&app, "in-time").await), [("started", "")]);
    assert_eq!(shown(&app, "in-time").await["next"], json!([]));
    assert!(fires(&app, "too-late").await.is_empty() && shown(&app, "too-late").await["missed"].is_object());
    assert!(fires(&app, "paused").await.is_empty());
    app.send(Call::post("/api/v1/schedules/paused/resume")).await.expect(200);
    look(&app).await;
    assert_eq!(states(&fires(&app, "paused").await), [("started", "")], "within its catch-up time");
    put(&app, "in-time", &once).await.expect(200);
    look(&app).await;
    assert_eq!(fires(&app, "in-time").await.len(), 1, "the same request changes nothing");
}

#[tokio::test]
async fn while_it_is_paused_instants_pass_and_then_it_goes_on() {
    let app = TestApp::start().await;
    put(&app, "nightly", &each_minute("allow")).await.expect(201);
    for _ in 0..2 {
        let paused = app.send(Call::post("/api/v1/schedules/nightly/pause")).await.expect(200).json();
        assert_eq!((&paused["paused"], &paused["next"]), (&json!(true), &json!([])));
    }
    minutes_ago(&app, "nightly", 5).await;
    assert_eq!(look(&app).await, SCHEDULE_LOOK_UNUSED);
    app.send(Call::post("/api/v1/schedules/nightly/trigger")).await.problem(409, "schedule_paused").at("name");
    let resumed = app.send(Call::post("/api/v1/schedules/nightly/resume")).await.expect(200).json();
    assert_eq!((&resumed["paused"], resumed["next"].as_array().map(Vec::len)), (&json!(false), Some(10)));
    look(&app).await;
    assert!(fires(&app, "nightly").await.len() <= 1, "only the minute that came meanwhile");
}

#[tokio::test]
async fn a_trigger_starts_one_run_for_its_key() {
    let app = TestApp::start().await;
    let yearly = json!({ "workflow": "ask", "cron": "@yearly", "run": { "input": {}, "subject": "ada" } });
    put(&app, "yearly", &yearly).await.expect(201);
    let trigger =
        |overlap: &str| Call::post("/api/v1/schedules/yearly/trigger").key("now").json(&json!({ "overlap": overlap }));
    let first = app.send(trigger("allow")).await.expect(201).json();
    assert_eq!((&first["origin"], &first["state"]), (&json!("manual"), &json!("started")));
    assert_eq!(app.run(&run_of(&first)).await["subject"], "ada");
    assert_eq!(run_of(&app.send(trigger("allow")).await.expect(200).json()), run_of(&first));
    let second = app.send(Call::post("/api/v1/schedules/yearly/trigger")).await.expect(201).json();
    assert_eq!((&second["state"], &second["reason"]), (&json!("skipped"), &json!("still_running")));
    app.send(trigger("never")).await.problem(422, "invalid_schedule").at("/overlap");
    assert_eq!(app.runs_stored().await, 1);
}

#[tokio::test]
async fn a_run_that_is_refused_is_named_and_holds_up_nothing() {
    let app = TestApp::start().await;
    let tasks = json!({ "tasks": { "a": { "step": "s" } } });
    app.send(Call::new(Method::PUT, "/api/v1/workflows/fleeting").json(&tasks)).await.expect(201);
    let mut schedule = each_minute("skip");
    put(&app, "good", &schedule).await.expect(201);
    schedule["workflow"] = json!("fleeting");
    put(&app, "bad", &schedule).await.expect(201);
    sqlx::query("DELETE FROM declared_workflows").execute(app.pool()).await.expect("it is gone");
    minutes_ago(&app, "%", 0).await;
    look(&app).await;
    assert_eq!(states(&fires(&app, "bad").await)[0], ("refused", "workflow_not_found at name"));
    assert_eq!(states(&fires(&app, "good").await)[0], ("started", ""));
    let refused = app.send(Call::get("/api/v1/schedules/bad/fires?state=started")).await.expect(200).json();
    assert_eq!(refused["fires"], json!([]));
    app.send(Call::get("/api/v1/schedules/bad/fires?state=odd")).await.problem(400, "invalid_filter").at("state");
}

#[tokio::test]
async fn schedules_are_within_their_tenant_and_a_tokens_reach() {
    let app = TestApp::start().await;
    let of =
        |subject: &str| json!({ "workflow": "ask", "cron": "@yearly", "run": { "input": {}, "subject": subject } });
    put(&app, "adas", &of("ada")).await.expect(201);
    put(&app, "eves", &of("eve")).await.expect(201);
    let limited = json!({ "name": "ada's", "role": "operator", "workflows": ["ask"], "subjects": ["ada"] });
    let limited = secret(&app, &limited).await;
    let list = app.send(Call::get("/api/v1/schedules").token(&limited)).await.expect(200).json();
    assert_eq!(list["schedules"].as_array().map(Vec::len), Some(1), "{list}");
    app.send(Call::get(place("eves")).token(&limited)).await.problem(404, "schedule_not_found");
    let put_as =
        |name: &str, subject: &str| app.send(Call::new(Method::PUT, place(name)).json(&of(subject)).token(&limited));
    put_as("eves", "ada").await.problem(409, "name_taken").at("name");
    put_as("new", "eve").await.problem(403, "out_of_reach").at("/run/subject");
    put_as("adas", "ada").await.expect(200);
    let viewer = secret(&app, &json!({ "name": "viewer", "role": "viewer" })).await;
    let seen = app.send(Call::get(place("adas")).token(&viewer)).await.expect(200).json();
    assert_eq!(seen.get("run"), None, "inputs are for those who act with them");
    let theirs = app.send(Call::get("/api/v1/schedules").token(OTHER_TENANT)).await.expect(200).json();
    assert_eq!(theirs["schedules"], json!([]));
}

#[tokio::test]
async fn of_an_erased_subject_no_schedule_is_left() {
    let app = TestApp::start().await;
    let of = |subject: &str| json!({ "workflow": "anything", "cron": "* * * * *", "run": { "input": {}, "subject": subject } });
    put(&app, "adas", &of("ada")).await.expect(201);
    put(&app, "eves", &of("eve")).await.expect(201);
    minutes_ago(&app, "%", 0).await;
    look(&app).await;
    let until = Machine.now() + Duration::from_secs(5);
    app.store.forget_subject("acme", "ada", until).await.expect("it is forgotten");
    let left: Vec<String> = sqlx::query_scalar(
        "SELECT s.name FROM schedules s JOIN schedule_fires f ON f.schedule_id = s.id GROUP BY s.name",
    )
    .fetch_all(app.pool())
    .await
    .expect("names");
    assert_eq!(left, ["eves"]);
    let orphans = "SELECT count(*) FROM schedule_fires WHERE schedule_id NOT IN (SELECT id FROM schedules)";
    let orphans: i64 = sqlx::query_scalar(orphans).fetch_one(app.pool()).await.expect("a count");
    assert_eq!(orphans, 0);
}

/// Nothing is due: an engine asks once a minute, and wakes up for what it knows of.
#[tokio::test]
async fn who_has_no_schedules_hardly_asks_and_who_has_is_woken_in_time() {
    let app = TestApp::start().await;
    assert_eq!(look(&app).await, SCHEDULE_LOOK_UNUSED);
    let looking = tokio::spawn(run_schedules(Arc::clone(&app.app)));
    let each_second = json!({ "workflow": "anything", "cron": "* * * * * *", "run": { "input": 1 } });
    put(&app, "seconds", &each_second).await.expect(201);
    database::until("three seconds' runs", async || (started(&app).await >= 3).then_some(())).await;
    looking.abort();
    let late = "SELECT max(moved_at - at) < interval '900 milliseconds' FROM schedule_fires";
    let in_time: bool = sqlx::query_scalar(late).fetch_one(app.pool()).await.expect("an answer");
    assert!(in_time, "each within its second");
}

#[tokio::test]
async fn a_thousand_that_are_due_at_once_start_at_once() {
    const COUNT: i64 = 1_000;
    let app = TestApp::start().await;
    // What as many take that are asked for at once, to compare with: the machine may have other things to do.
    let runs: Vec<Value> = (0..COUNT).map(|_| json!({ "input": {} })).collect();
    let bulk = Call::post("/api/v1/workflows/ask/runs/bulk").json(&json!({ "runs": runs }));
    let began = Instant::now();
    app.send(bulk).await.expect(200);
    let bulk = began.elapsed();
    put(&app, "s", &each_minute("skip")).await.expect(201);
    let copies = "INSERT INTO schedules (id, tenant, name, workflow, subject, cron, zone, overlap, catch_up_s, body, request_hash, next_at, created_by) \
                  SELECT gen_random_uuid(), tenant, 's' || n, workflow, subject, cron, zone, overlap, catch_up_s, body, request_hash, next_at, created_by \
                  FROM schedules, generate_series(2, $1) AS n";
    sqlx::query(copies).bind(COUNT as i32).execute(app.pool()).await.expect("copies");
    minutes_ago(&app, "s%", 0).await;
    let began = Instant::now();
    look(&app).await;
    let took = began.elapsed();
    assert!(started(&app).await >= COUNT);
    println!("{COUNT} schedules that were due at once started within {took:?}, a bulk of as many within {bulk:?}");
    assert!(took < bulk * 3 + Duration::from_secs(1), "{took:?}, and a bulk {bulk:?}");
}
