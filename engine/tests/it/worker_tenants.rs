//! Workers of one tenant: they do its steps, and whatever they know of others opens nothing to them.

use axum::http::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::access::secret;
use super::app::TestApp;
use super::calls::{Call, OTHER_TENANT, PEOPLE};
use super::files::upload;
use super::worker::{Hold, Worker, bare};

/// More than the desk reads at once.
const IN_FRONT: usize = 40;

async fn work_token(app: &TestApp, tenant: &str) -> String {
    secret(app, &json!({ "name": format!("{tenant}'s worker"), "role": "worker", "tenant": tenant })).await
}

async fn echo(app: &TestApp, token: &str) -> String {
    let start = Call::post("/api/v1/workflows/echo/runs").token(token).json(&json!({ "input": { "text": "x" } }));
    app.send(start).await.expect(201).json()["id"].as_str().expect("an id").to_owned()
}

async fn claim_next(worker: &Worker<'_>) -> Vec<Value> {
    let body = json!({ "session": worker.session_uuid(), "max": 100 });
    let answer = worker.post("claim?wait=2s", &body).await;
    if answer.status == 204 {
        return Vec::new();
    }
    answer.expect(200).json()["granted"].as_array().expect("grants").clone()
}

#[tokio::test]
async fn a_tenants_worker_is_given_its_own_steps_and_no_others() {
    let app = TestApp::start().await;
    for _ in 0..IN_FRONT {
        echo(&app, PEOPLE).await;
    }
    let own = echo(&app, OTHER_TENANT).await;
    let token = work_token(&app, "umbrella").await;
    let worker = Worker::with_token(&app, &token, &["default"]).await;

    let granted = claim_next(&worker).await;
    assert_eq!(granted.len(), 1, "{granted:?}");
    assert_eq!((&granted[0]["run"], &granted[0]["tenant"]), (&json!(bare(&own)), &json!("umbrella")));
    let text = |name: &str| granted[0][name].as_str().expect("a text").to_owned();
    let hold = Hold { run: text("run"), seq: 1, attempt: 1, lease: text("lease") };
    assert_eq!(worker.beat(&[&hold]).await["standing"], "yours");
    let done = json!({ "done": { "output": "mine" } });
    assert!(worker.finish(&hold, &done).await.get("accepted").is_some());
    // The first answer again, now that the run has ended.
    assert!(worker.finish(&hold, &done).await.get("accepted").is_some());
    assert_eq!(claim_next(&worker).await, [] as [Value; 0], "nothing is left for it");

    let everybodys = Worker::pulling(&app, &["default"]).await;
    assert_eq!(claim_next(&everybodys).await.len(), IN_FRONT, "nothing was taken from the others");
    worker.good_bye().await;
}

#[tokio::test]
async fn what_a_tenants_worker_knows_of_another_opens_nothing_to_it() {
    let app = TestApp::start().await;
    let run = echo(&app, PEOPLE).await;
    let waiting = echo(&app, PEOPLE).await;
    let file = upload(&app, PEOPLE, "default").await;
    let theirs = Worker::open(&app).await;
    let held = theirs.take(&run, 1, 1).await;
    let token = work_token(&app, "umbrella").await;
    let worker = Worker::with_token(&app, &token, &["default"]).await;

    // Another's session, by each route that names one.
    let step =
        json!({ "session": theirs.session_uuid(), "run": held.run, "seq": 1, "attempt": 1, "lease": held.lease });
    let item = json!({ "kind": "secret", "name": "s", "session": theirs.session_uuid(), "run": held.run, "seq": 1,
                       "attempt": 1, "lease": held.lease });
    let with = |more: &[(&str, &str)]| {
        let mut body = step.clone();
        for (name, value) in more {
            body[*name] = json!(value);
        }
        body
    };
    let names = with(&[("kind", "answer")]);
    let keep = with(&[("kind", "answer"), ("name", "q"), ("value", "forged")]);
    for (path, body) in [
        ("heartbeats", json!({ "session": theirs.session_uuid(), "free_slots": 1, "held": [] })),
        ("claims", json!({ "session": theirs.session_uuid(), "claims": [] })),
        ("claim?wait=1s", json!({ "session": theirs.session_uuid() })),
        ("finishes", json!({ "session": theirs.session_uuid(), "finishes": [] })),
        ("effects", step.clone()),
        ("items", item),
        ("items/names", names),
        ("items/keep", keep),
    ] {
        worker.post(path, &body).await.problem(404, "session_not_found").at("session");
    }
    let close = Call::new(Method::DELETE, format!("/worker/v1/sessions/{}", theirs.session)).token(&token);
    app.send(close).await.problem(404, "session_not_found").at("session");

    // Another's runs and leases, from a session of its own.
    let foreign = Hold { run: bare(&waiting), seq: 1, attempt: 1, lease: Uuid::now_v7().to_string() };
    assert_eq!(worker.claim(&foreign).await, json!({ "refused": { "why": "stale" } }));
    assert_eq!(worker.claim(&held).await, json!({ "refused": { "why": "stale" } }), "nor what somebody holds");
    let refused = worker.finish(&held, &json!({ "done": { "output": "forged" } })).await;
    assert!(refused.get("refused").is_some(), "{refused}");
    let step =
        json!({ "session": worker.session_uuid(), "run": held.run, "seq": 1, "attempt": 1, "lease": held.lease });
    assert_eq!(worker.post("effects", &step).await.expect(200).json(), json!("no"));
    let mut item = step;
    (item["kind"], item["name"]) = (json!("secret"), json!("s"));
    assert_eq!(worker.post("items", &item).await.expect(200).json(), json!("stale"));
    (item["kind"], item["value"]) = (json!("answer"), json!("forged"));
    for path in ["items/names", "items/keep"] {
        assert_eq!(worker.post(path, &item).await.expect(200).json(), json!("stale"), "{path}");
    }
    let put = Call::post(format!("/worker/v1/blobs?run={}&seq=1&name=x", held.run)).token(&token);
    app.send(put.body(b"x".to_vec())).await.problem(404, "run_not_found");
    app.send(Call::get(format!("/worker/v1/blobs/{file}")).token(&token)).await.problem(404, "file_not_found");

    // All of it is as it was.
    assert_eq!(theirs.beat(&[&held]).await, json!({ "standing": "yours", "lease_ms": 8000, "stop": [] }));
    assert!(theirs.finish(&held, &json!({ "done": { "output": "x" } })).await.get("accepted").is_some());
    assert_eq!(app.until_status(&run, "succeeded").await["output"], "x");

    let seen = async |token: &str| {
        let workers = app.send(Call::get("/api/v1/workers").token(token)).await.expect(200).json()["workers"].clone();
        workers.as_array().expect("workers").iter().map(|w| w["session"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(
        seen(PEOPLE).await,
        [json!(format!("sess_{}", theirs.session.replace('-', "")))],
        "not the worker of another tenant"
    );
    assert_eq!(seen(OTHER_TENANT).await.len(), 2, "its own and everybody's");
}

#[tokio::test]
async fn which_run_was_given_which_file_is_noted() {
    let app = TestApp::start().await;
    let file = upload(&app, PEOPLE, "default").await;
    let (run, foreign) = (echo(&app, PEOPLE).await, echo(&app, OTHER_TENANT).await);
    let token = work_token(&app, "acme").await;
    for _ in 0..2 {
        let read = Call::get(format!("/worker/v1/blobs/{file}?run={}", bare(&run))).token(&token);
        app.send(read).await.expect(200);
    }
    app.send(Call::get(format!("/worker/v1/blobs/{file}?run={}", bare(&foreign))).token(&token)).await.expect(200);
    let uses = app.send(Call::get("/api/v1/subjects/default/uses")).await.expect(200).json()["uses"].clone();
    assert_eq!(uses.as_array().map(Vec::len), Some(1), "{uses}");
    assert_eq!((&uses[0]["run"], &uses[0]["kind"], &uses[0]["name"]), (&json!(run), &json!("file"), &json!(file)));
}

#[tokio::test]
async fn what_a_worker_does_is_shown_to_those_who_reach_its_run() {
    let app = TestApp::start().await;
    let (run, _) = (echo(&app, PEOPLE).await, echo(&app, PEOPLE).await);
    let everybodys = Worker::open(&app).await;
    everybodys.take(&run, 1, 1).await;
    let limited = json!({ "name": "asker", "role": "viewer", "workflows": ["ask"] });
    let limited = secret(&app, &limited).await;
    let seen = async |token: &str| {
        let workers = app.send(Call::get("/api/v1/workers").token(token)).await.expect(200).json()["workers"].clone();
        let runs = workers[0]["at_work"].as_array().cloned().unwrap_or_default();
        (
            workers[0]["running"].clone(),
            runs.iter().map(|step| (step["run"].clone(), step["seq"].clone())).collect::<Vec<_>>(),
        )
    };
    assert_eq!(seen(PEOPLE).await, (json!(1), vec![(json!(run), json!(1))]));
    for token in [limited.as_str(), OTHER_TENANT] {
        assert_eq!(seen(token).await, (json!(1), Vec::new()), "how busy it is, and no more");
    }
}
