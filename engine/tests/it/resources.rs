//! Resources that runs hold: reserved before they are there, fenced in every write, ended when nobody looks after them.

use serde_json::{Value, json};
use uuid::Uuid;

use super::app::TestApp;
use super::calls::{Answer, Call, OTHER_TENANT};
use super::worker::{Hold, Worker};

async fn send(worker: &Worker<'_>, hold: Option<&Hold>, kind: &str, what: &Value) -> Answer {
    let step =
        hold.map(|hold| json!({ "run": hold.run, "seq": hold.seq, "attempt": hold.attempt, "lease": hold.lease }));
    let mut body = json!({ "session": worker.session_uuid(), "kind": kind, "what": what });
    if let Some(step) = step {
        body["step"] = step;
    }
    worker.post("resources", &body).await
}

async fn told(worker: &Worker<'_>, hold: Option<&Hold>, kind: &str, what: &Value) -> Value {
    send(worker, hold, kind, what).await.expect(200).json()
}

async fn of_step(worker: &Worker<'_>, hold: &Hold, what: &Value) -> Value {
    told(worker, Some(hold), "sandbox", what).await
}

async fn of_session(worker: &Worker<'_>, what: &Value) -> Value {
    told(worker, None, "sandbox", what).await
}

async fn holding(app: &TestApp, worker: &Worker<'_>) -> Hold {
    let run = app.start_run("echo", &json!({ "text": "x" })).await;
    worker.take(&run, 1, 1).await
}

fn reserve(key: &str) -> Value {
    json!({ "reserve": { "key": key, "class": "local", "labels": { "provider": "p", "host": "h" }, "lease_ms": 60_000,
        "usd_micros_per_hour": 3_600_000_000_u64 } })
}

fn to(key: &str, state: &str) -> Value {
    json!({ "transition": { "key": key, "to": state } })
}

fn reap() -> Value {
    json!({ "reap": { "labels": { "provider": "p" }, "lease_ms": 60_000, "max": 10 } })
}

async fn passed(app: &TestApp, key: &str, seconds: u32) {
    let past = "UPDATE resources SET lease_until = lease_until - $2 * interval '1 second', metered_at = metered_at - $2 * interval '1 second', \
                not_before = not_before - $2 * interval '1 second', created_at = created_at - $2 * interval '1 second' WHERE key = $1";
    sqlx::query(past).bind(key).bind(f64::from(seconds)).execute(app.pool()).await.expect("time passes");
}

async fn listed(app: &TestApp, query: &str) -> Vec<Value> {
    let list = app.send(Call::get(format!("/api/v1/sandboxes{query}"))).await.expect(200).json();
    list["sandboxes"].as_array().expect("a list").clone()
}

#[tokio::test]
async fn a_sandbox_goes_through_its_states_and_no_other_way() {
    let app = TestApp::start().await;
    let worker = Worker::open(&app).await;
    let hold = holding(&app, &worker).await;
    let first = of_step(&worker, &hold, &reserve("a")).await;
    assert_eq!(first["resource"]["resource"]["state"], "requested");
    let again = of_step(&worker, &hold, &reserve("a")).await;
    for what in ["state", "fence", "created_at", "run"] {
        assert_eq!(
            again["resource"]["resource"][what], first["resource"]["resource"][what],
            "asked for again, it is the same"
        );
    }
    for state in ["starting", "ready", "in_use", "parked", "in_use", "in_use", "stopping", "destroyed", "destroyed"] {
        let now = of_step(&worker, &hold, &to("a", state)).await;
        assert_eq!(now["resource"]["resource"]["state"], *state, "{now}");
    }
    for state in ["requested", "ready", "in_use", "lost", "stopping"] {
        assert_eq!(of_step(&worker, &hold, &to("a", state)).await["refused"]["state"], "destroyed", "{state}");
    }
    let again = of_step(&worker, &hold, &reserve("a")).await;
    assert_eq!(again["resource"]["resource"]["ended"], true, "its key is spent");
    assert_eq!(of_step(&worker, &hold, &to("b", "ready")).await, "missing");
    let unknown = json!({ "transition": { "key": "a", "to": "asleep" } });
    send(&worker, Some(&hold), "sandbox", &unknown).await.problem(400, "unknown_state");
    send(&worker, Some(&hold), "castle", &reserve("a")).await.problem(404, "resource_kind_not_found");
    let claim = json!({ "claim": { "wanted_for": "x", "labels": {}, "lease_ms": 1 } });
    send(&worker, Some(&hold), "sandbox", &claim).await.problem(400, "not_claimed");
}

#[tokio::test]
async fn every_write_wants_the_lease_or_the_fence() {
    let app = TestApp::start().await;
    let worker = Worker::open(&app).await;
    let (hold, other) = (holding(&app, &worker).await, holding(&app, &worker).await);
    let forged = Hold { lease: Uuid::now_v7().to_string(), ..hold.clone() };
    assert_eq!(of_step(&worker, &forged, &reserve("a")).await, "stale");
    assert!(listed(&app, "?all=true").await.is_empty());
    of_step(&worker, &hold, &reserve("a")).await;
    assert_eq!(of_step(&worker, &forged, &to("a", "stopping")).await, "stale");
    assert!(of_step(&worker, &other, &to("a", "stopping")).await.get("taken").is_some(), "another run's");
    assert!(of_step(&worker, &other, &reserve("a")).await.get("taken").is_some());
    send(&worker, None, "sandbox", &to("a", "stopping")).await.problem(400, "no_fence");
    send(&worker, None, "sandbox", &reserve("b")).await.problem(400, "no_step");
    let fenced =
        |fence: i64| json!({ "transition": { "key": "a", "tenant": "acme", "fence": fence, "to": "stopping" } });
    assert!(of_session(&worker, &fenced(2)).await.get("taken").is_some());
    assert_eq!(of_session(&worker, &fenced(1)).await["resource"]["resource"]["state"], "stopping");
    // A session that is over says nothing, and is told nothing that one could take for "there is none".
    let mut gone = Worker::open(&app).await;
    gone.session = Uuid::now_v7().to_string();
    for what in [reap(), json!({ "list": { "labels": {} } }), json!({ "live_runs": { "runs": [hold.run] } }), fenced(1)]
    {
        let answer = send(&gone, None, "sandbox", &what).await;
        assert!(answer.status == 404 || answer.json() == "stale", "{what}: {}", answer.json());
    }
    let live = of_session(&worker, &json!({ "live_runs": { "runs": [hold.run, Uuid::now_v7()] } })).await;
    assert_eq!(live, json!({ "runs": [hold.run] }));
}

#[tokio::test]
async fn what_nobody_looks_after_is_taken_over_once_and_under_a_new_fence() {
    let app = TestApp::start().await;
    let (worker, second) = (Worker::open(&app).await, Worker::open(&app).await);
    let (kept, late, over) = (holding(&app, &worker).await, holding(&app, &worker).await, holding(&app, &worker).await);
    for (hold, key) in [(&kept, "kept"), (&late, "late"), (&over, "over")] {
        of_step(&worker, hold, &reserve(key)).await;
    }
    assert_eq!(of_session(&worker, &reap()).await, json!({ "resources": [] }));
    passed(&app, "late", 61).await;
    worker.finish(&over, &json!({ "done": { "output": "x" } })).await;
    let what = reap();
    let (one, two) = tokio::join!(of_session(&worker, &what), of_session(&second, &what));
    let mut taken: Vec<(String, i64)> = [one, two]
        .iter()
        .flat_map(|told| told["resources"].as_array().expect("a list").clone())
        .map(|row| (row["key"].as_str().expect("a key").to_owned(), row["fence"].as_i64().expect("a number")))
        .collect();
    taken.sort();
    assert_eq!(taken, [("late".to_owned(), 2), ("over".to_owned(), 2)], "each by one of them");
    assert!(of_step(&worker, &late, &to("late", "ready")).await.get("refused").is_some(), "its holder has lost it");
    let old = json!({ "transition": { "key": "late", "tenant": "acme", "fence": 1, "to": "destroyed" } });
    assert!(of_session(&worker, &old).await.get("taken").is_some());
    let end = |key: &str| json!({ "transition": { "key": key, "tenant": "acme", "fence": 2, "to": "destroyed" } });
    assert_eq!(of_session(&second, &end("late")).await["resource"]["resource"]["ended"], true);
    // Whoever took it over died.
    assert_eq!(of_session(&worker, &reap()).await, json!({ "resources": [] }));
    passed(&app, "over", 61).await;
    assert_eq!(of_session(&worker, &reap()).await["resources"][0]["fence"], 3);
    assert_eq!(listed(&app, "").await.len(), 2);
}

#[tokio::test]
async fn cost_is_metered_charged_once_and_bounded_by_the_day() {
    let app = TestApp::start().await;
    let worker = Worker::open(&app).await;
    let hold = holding(&app, &worker).await;
    let mut bounded = reserve("a");
    bounded["reserve"]["day_max_usd_micros"] = json!(90_000_000);
    of_step(&worker, &hold, &bounded).await;
    passed(&app, "a", 30).await;
    let dollars = |amount: &Value| amount.as_u64().expect("an amount") / 1_000_000;
    let charge = |told: &Value| dollars(&told["resource"]["charge_usd_micros"]);
    assert_eq!(charge(&of_step(&worker, &hold, &to("a", "ready")).await), 30, "a dollar a second");
    assert_eq!(charge(&of_step(&worker, &hold, &to("a", "in_use")).await), 0);
    passed(&app, "a", 59).await;
    bounded["reserve"]["key"] = json!("b");
    assert!(of_step(&worker, &hold, &bounded).await.get("resource").is_some(), "89 of 90 are spent");
    passed(&app, "a", 1).await;
    bounded["reserve"]["key"] = json!("c");
    let spent = of_step(&worker, &hold, &bounded).await;
    let spent = dollars(&spent["spent"]["usd_micros"]);
    assert!((90..100).contains(&spent), "what runs counts too: {spent}");
    bounded["reserve"]["key"] = json!("a");
    assert!(of_step(&worker, &hold, &bounded).await.get("resource").is_some(), "what is there is there");
    for state in ["stopping", "destroyed"] {
        of_step(&worker, &hold, &to("a", state)).await;
    }
    passed(&app, "a", 60).await;
    let list = app.send(Call::get("/api/v1/sandboxes?all=true")).await.expect(200).json();
    let ended = list["sandboxes"].as_array().expect("a list").iter().find(|one| one["id"] == "a").expect("it");
    assert!((90..100).contains(&dollars(&ended["cost_usd_micros"])), "what is gone costs nothing: {ended}");
    let cost = &list["costs"][0];
    assert_eq!(cost["tier"], "local");
    assert!((90..100).contains(&dollars(&cost["usd_micros"])), "{cost}");
    assert!((90.0..100.0).contains(&cost["seconds"].as_f64().expect("seconds")), "{cost}");
}

#[tokio::test]
async fn an_operator_kills_what_is_his_and_its_holder_is_told() {
    let app = TestApp::start().await;
    let worker = Worker::open(&app).await;
    let hold = holding(&app, &worker).await;
    of_step(&worker, &hold, &reserve("a")).await;
    of_step(&worker, &hold, &to("a", "ready")).await;
    let kill = || Call::post("/api/v1/sandboxes/a/kill").json(&json!({ "reason": "it hangs" }));
    app.send(kill().token(OTHER_TENANT)).await.problem(404, "sandbox_not_found");
    let killed = app.send(kill()).await.expect(200).json();
    assert_eq!(
        (&killed["state"], &killed["reason"], &killed["left"]),
        (&json!("stopping"), &json!("it hangs"), &json!(true))
    );
    let refused = of_step(&worker, &hold, &to("a", "in_use")).await;
    assert_eq!(refused["refused"]["reason"], "it hangs");
    let taken = of_session(&worker, &reap()).await;
    assert_eq!((&taken["resources"][0]["key"], &taken["resources"][0]["fence"]), (&json!("a"), &json!(3)));
    let end = json!({ "transition": { "key": "a", "tenant": "acme", "fence": 3, "to": "destroyed" } });
    of_session(&worker, &end).await;
    app.send(kill()).await.problem(409, "sandbox_ended");
    app.send(Call::post("/api/v1/sandboxes/b/kill")).await.problem(404, "sandbox_not_found");
}

#[tokio::test]
async fn a_host_that_is_gone_leaves_rows_that_are_given_up() {
    let app = TestApp::start().await;
    let worker = Worker::open(&app).await;
    let hold = holding(&app, &worker).await;
    of_step(&worker, &hold, &reserve("a")).await;
    let kind = valet_workflows::sandboxes::SANDBOXES;
    assert_eq!(app.store.give_up_resources(&kind).await.expect("a look"), 0);
    passed(&app, "a", 60 + 3_601).await;
    assert_eq!(app.store.give_up_resources(&kind).await.expect("a look"), 1);
    let lost = listed(&app, "?all=true").await;
    assert_eq!(lost[0]["state"], "lost");
    assert!(lost[0]["reason"].as_str().expect("a sentence").contains("nobody that reaches it"), "{lost:?}");
    assert!(of_step(&worker, &hold, &to("a", "in_use")).await.get("refused").is_some());
}

#[tokio::test]
async fn what_is_kept_with_it_lies_sealed_and_goes_with_its_end() {
    let app = TestApp::start().await;
    let worker = Worker::open(&app).await;
    let hold = holding(&app, &worker).await;
    let mut new = reserve("a");
    new["reserve"]["data"] = json!({ "connect": "wss://secret" });
    let row = of_step(&worker, &hold, &new).await;
    assert_eq!(row["resource"]["resource"]["data"]["connect"], "wss://secret");
    let bytes = async || {
        let find = sqlx::query_scalar::<_, Option<Vec<u8>>>("SELECT sealed FROM resources WHERE key = 'a'");
        find.fetch_one(app.pool()).await.expect("a row")
    };
    let sealed = bytes().await.expect("something");
    assert!(!String::from_utf8_lossy(&sealed).contains("secret"));
    of_step(&worker, &hold, &to("a", "stopping")).await;
    of_step(&worker, &hold, &to("a", "destroyed")).await;
    assert_eq!(bytes().await, None);
}

/// The profile of ada at a provider, idle.
async fn profile(app: &TestApp, key: &str) {
    let add = "INSERT INTO resources (tenant, kind, key, class, state, lease_until, labels) \
               VALUES ('acme', 'profile', $1, 'adspower', 'idle', now(), '{\"subject\": \"ada\", \"host\": \"h\"}')";
    sqlx::query(add).bind(key).execute(app.pool()).await.expect("a profile");
}

fn claim(wanted_for: &str) -> Value {
    json!({ "claim": { "wanted_for": wanted_for, "labels": { "subject": "ada" }, "lease_ms": 600_000 } })
}

#[tokio::test]
async fn a_profile_is_handed_out_once_rests_and_is_free_ten_minutes_after_its_holder_died() {
    let app = TestApp::start().await;
    let worker = Worker::open(&app).await;
    let (first, second) = (holding(&app, &worker).await, holding(&app, &worker).await);
    profile(&app, "p1").await;
    let ask = async |hold: &Hold, what: Value| told(&worker, Some(hold), "profile", &what).await;
    let (one, two) = tokio::join!(ask(&first, claim("x")), ask(&second, claim("x")));
    let (winner, loser, given) = match (one.get("resource"), two.get("resource")) {
        (Some(_), None) => (&first, &second, one.clone()),
        (None, Some(_)) => (&second, &first, two.clone()),
        other => panic!("to one of them: {other:?}"),
    };
    assert_eq!(given["resource"]["resource"]["state"], "locked");
    assert_eq!(given["resource"]["resource"]["labels"]["host"], "h", "where it can be reached");
    assert_eq!(ask(loser, claim("x")).await, "missing");
    assert_eq!(ask(winner, claim("x")).await["resource"]["resource"]["fence"], 2, "the same claim again is the same");
    assert_eq!(ask(winner, claim("y")).await, "missing", "another is another");
    ask(winner, to("p1", "in_use")).await;
    let rest = json!({ "transition": { "key": "p1", "to": "cool_down", "release": true, "rest_ms": 60_000 } });
    ask(winner, rest.clone()).await;
    assert_eq!(ask(loser, claim("x")).await, "missing", "it rests");
    assert!(ask(winner, to("p1", "idle")).await.get("taken").is_some(), "it is his no more");
    passed(&app, "p1", 61).await;
    assert_eq!(ask(loser, claim("x")).await["resource"]["resource"]["state"], "locked");
    // Its holder dies without a word.
    passed(&app, "p1", 599).await;
    assert_eq!(ask(winner, claim("z")).await, "missing");
    passed(&app, "p1", 2).await;
    assert_eq!(ask(winner, claim("z")).await["resource"]["resource"]["fence"], 5);
    assert!(ask(loser, to("p1", "in_use")).await.get("taken").is_some(), "its holder before is fenced off");
    ask(winner, rest).await;
}

#[tokio::test]
async fn many_claims_at_once_never_get_the_same() {
    let app = TestApp::start().await;
    let worker = Worker::open(&app).await;
    for n in 0..5 {
        profile(&app, &format!("p{n}")).await;
    }
    let hold = holding(&app, &worker).await;
    let claims = (0..20).map(|n| {
        let (worker, hold) = (&worker, &hold);
        async move { told(worker, Some(hold), "profile", &claim(&format!("c{n}"))).await }
    });
    let told = futures::future::join_all(claims).await;
    let mut keys: Vec<&str> = told.iter().filter_map(|told| told["resource"]["resource"]["key"].as_str()).collect();
    keys.sort_unstable();
    assert_eq!(keys, ["p0", "p1", "p2", "p3", "p4"]);
}

/// A run that listens to its sandbox, with one in use; and the token of that.
async fn speaking(app: &TestApp) -> (String, String) {
    let run = app.start_run("hearing", &json!({})).await;
    let held = "INSERT INTO resources (tenant, kind, key, class, state, run_id, lease_until, labels) \
                VALUES ('acme', 'sandbox', 's-1', 'cloud', 'in_use', $1, now() + interval '1 hour', '{}')";
    let id: Uuid = super::worker::bare(&run).parse().expect("an id");
    sqlx::query(held).bind(id).execute(app.pool()).await.expect("a sandbox");
    (run, app.store.resource_token("acme", "sandbox", "s-1"))
}

const HOOK: &str = "/api/v1/webhooks/sandbox?tenant=acme&sandbox=s-1";

fn says(token: &str, id: &str, event: &str) -> Call {
    Call::post(HOOK).token(token).json(&json!({ "id": id, "event": event, "message": "a puzzle" }))
}

#[tokio::test]
async fn a_sandbox_is_told_where_to_speak_and_with_what() {
    let app = TestApp::start().await;
    let worker = Worker::open(&app).await;
    let hold = holding(&app, &worker).await;
    let reserved = of_step(&worker, &hold, &reserve("a b")).await;
    let callback = &reserved["resource"]["callback"];
    let expected = "https://valet.example/api/v1/webhooks/sandbox?tenant=acme&sandbox=a+b";
    assert_eq!(callback["url"], expected);
    let token = callback["token"].as_str().expect("a token");
    let spoken = Call::post(expected.trim_start_matches("https://valet.example")).token(token);
    app.send(spoken.json(&json!({ "id": "1", "event": "step_started" }))).await.expect(204);
}

#[tokio::test]
async fn a_puzzle_parks_a_step_goes_on_and_the_last_word_ends_the_wait() {
    let app = TestApp::start().await;
    let (run, token) = speaking(&app).await;
    let state = async || listed(&app, "").await[0]["state"].clone();
    app.send(says(&token, "1", "step_started")).await.expect(204);
    app.send(says(&token, "2", "captcha_detected")).await.expect(204);
    assert_eq!(state().await, "parked");
    app.send(says(&token, "3", "step_started")).await.expect(204);
    assert_eq!(state().await, "in_use");
    // A word that comes twice is one word: the sandbox is not parked anew.
    app.send(says(&token, "2", "captcha_detected")).await.expect(204);
    assert_eq!(state().await, "in_use");
    app.send(says(&token, "4", "step_completed")).await.expect(204);
    app.send(says(&token, "5", "completed")).await.expect(204);
    let ended = app.until_status(&run, "succeeded").await;
    let heard: Vec<&str> = ended["output"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    assert_eq!(heard, ["step_started", "captcha_detected", "step_started", "step_completed", "completed"]);
    app.send(says(&token, "5", "completed")).await.expect(204);
    app.send(says(&token, "6", "error")).await.problem(409, "run_ended");
}

#[tokio::test]
async fn only_the_sandbox_itself_is_heard() {
    let app = TestApp::start().await;
    let (_, token) = speaking(&app).await;
    let other = app.store.resource_token("acme", "sandbox", "s-2");
    let of_profile = app.store.resource_token("acme", "profile", "s-1");
    for wrong in [other.as_str(), &of_profile, "vr_", "x", &token[..20]] {
        app.send(says(wrong, "1", "error")).await.problem(401, "unauthorized");
    }
    let unknown = Call::post("/api/v1/webhooks/sandbox?tenant=acme&sandbox=s-2").token(&other);
    app.send(unknown.json(&json!({ "id": "1", "event": "error" }))).await.problem(401, "unauthorized");
    app.send(Call::post(HOOK).without(axum::http::header::AUTHORIZATION).json(&json!({})))
        .await
        .problem(401, "unauthorized");
    // Who keeps the token to himself signs.
    let body = json!({ "id": "1", "event": "error" });
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, token.as_bytes());
    let tag = ring::hmac::sign(&key, body.to_string().as_bytes());
    let digits = tag.as_ref().iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    let signed = |digits: &str, body: &Value| {
        Call::post(HOOK)
            .without(axum::http::header::AUTHORIZATION)
            .header("x-valet-signature", format!("sha256={digits}"))
            .json(body)
    };
    app.send(signed(&digits, &body)).await.expect(204);
    app.send(signed(&digits, &json!({ "id": "2", "event": "error" }))).await.problem(401, "unauthorized");
    // What it says must be in order all the same.
    app.send(says(&token, "", "error")).await.problem(400, "invalid_id");
    app.send(says(&token, "1", "asleep")).await.problem(422, "invalid_body");
    let large = json!({ "id": "1", "event": "error", "data": "x".repeat(70_000) });
    app.send(Call::post(HOOK).token(&token).json(&large)).await.problem(413, "too_large");
}
