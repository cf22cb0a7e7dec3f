//! Bad input is refused at the door: with a stable code, the place, and no run left behind.

use axum::http::{Method, header};
use serde_json::{Value, json};
use valet_engine::bounds::{JSON_DEPTH_MAX, REQUEST_BYTES_MAX};

use super::app::TestApp;
use super::calls::{Call, OTHER_TENANT, WORKER};

const APPLY: &str = "/api/v1/workflows/job-application/runs";
const ANYTHING: &str = "/api/v1/workflows/anything/runs";
const NO_RUN: &str = "run_00000000000080008000000000000000";

/// The example that ships, with one change.
fn application(change: impl FnOnce(&mut Value)) -> Value {
    let mut input: Value = serde_json::from_str(super::openapi::EXAMPLE).expect("the example is JSON");
    change(&mut input);
    json!({ "input": input })
}

/// An application without one of its fields.
fn lacking(pointer: &str, field: &str) -> Call {
    let body = application(|input| {
        input.pointer_mut(pointer).and_then(Value::as_object_mut).expect("an object").remove(field).expect("a field");
    });
    Call::post(APPLY).json(&body)
}

/// An application with a field more, or another value.
fn with(pointer: &str, field: &str, value: Value) -> Call {
    let body = application(|input| {
        input.pointer_mut(pointer).and_then(Value::as_object_mut).expect("an object").insert(field.to_owned(), value);
    });
    Call::post(APPLY).json(&body)
}

fn nested(levels: usize) -> String {
    // The body's own object is one level.
    format!("{{\"input\":{}{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1))
}

/// A body of just so many bytes.
fn sized(bytes: usize) -> String {
    let around = "{\"input\":\"\"}".len();
    format!("{{\"input\":\"{}\"}}", "x".repeat(bytes - around))
}

struct Case {
    call: Call,
    status: u16,
    code: &'static str,
    field: Option<&'static str>,
}

fn case(call: Call, status: u16, code: &'static str, field: Option<&'static str>) -> Case {
    Case { call, status, code, field }
}

async fn check(app: &TestApp, cases: Vec<Case>) {
    for case in cases {
        let name = format!("{} {}", case.call.method, case.call.path);
        let answer = app.send(case.call).await;
        let text = String::from_utf8_lossy(&answer.bytes).into_owned();
        assert_eq!(answer.status, case.status, "{name}: {text}");
        let answer = answer.problem(case.status, case.code);
        assert_eq!(answer.field().as_deref(), case.field, "{name}: {text}");
        assert_eq!(app.runs_stored().await, 0, "{name} left a run behind");
    }
    let keys: i64 =
        sqlx::query_scalar("SELECT count(*) FROM idempotency").fetch_one(app.pool()).await.expect("a count");
    assert_eq!(keys, 0, "an idempotency key was used up");
}

#[tokio::test]
async fn what_is_no_request_is_refused() {
    let app = TestApp::start().await;
    let start = |body: &str| Call::post(ANYTHING).body(body);
    let cases = vec![
        case(
            Call::post("/api/v1/workflows/nope/runs").json(&json!({ "input": 1 })),
            404,
            "workflow_not_found",
            Some("name"),
        ),
        case(Call::get("/api/v1/workflows/nope"), 404, "workflow_not_found", Some("name")),
        case(start("not json"), 400, "invalid_json", None),
        case(start(""), 400, "invalid_json", None),
        case(start("{\"input\":1"), 400, "invalid_json", None),
        case(start("{\"input\":1} {}"), 400, "invalid_json", None),
        case(start("{\"input\":\"\\ud800\"}"), 400, "invalid_json", None),
        case(Call::post(ANYTHING).body(b"{\"input\":\"\xff\"}".as_slice()), 400, "invalid_json", None),
        case(start("[]"), 422, "invalid_body", None),
        case(start("{}"), 422, "invalid_body", Some("/input")),
        case(start("{\"input\":1,\"extra\":2}"), 422, "invalid_body", Some("/extra")),
        case(start("{\"input\":1,\"subject\":7}"), 422, "invalid_body", Some("/subject")),
        case(
            start("{\"input\":1}").header("content-type", "text/plain"),
            415,
            "unsupported_media_type",
            Some("Content-Type"),
        ),
        case(
            start("input=1").header("content-type", "application/x-www-form-urlencoded"),
            415,
            "unsupported_media_type",
            Some("Content-Type"),
        ),
        case(start(&nested(JSON_DEPTH_MAX + 1)), 400, "too_deep", None),
        case(start(&nested(200_000)), 400, "too_deep", None),
        case(start(&sized(REQUEST_BYTES_MAX + 1)), 413, "too_large", None),
        case(start(&sized(REQUEST_BYTES_MAX * 3)), 413, "too_large", None),
        case(start("{\"input\":\"a\\u0000b\"}"), 400, "nul_in_text", None),
        case(start("{\"input\":{\"a\\u0000b\":1}}"), 400, "nul_in_text", None),
        case(start("{\"input\":\"a\0b\"}"), 400, "nul_in_text", None),
        case(start("{\"input\":\"\\\\\\u0000\"}"), 400, "nul_in_text", None),
        case(Call::new(Method::DELETE, "/api/v1/runs"), 405, "method_not_allowed", None),
        case(Call::new(Method::PUT, ANYTHING).body("{}"), 405, "method_not_allowed", None),
        case(Call::get("/api/v1/nowhere"), 404, "route_not_found", None),
        case(Call::get("/nowhere"), 404, "route_not_found", None),
        case(Call::get("/api/v1/workflows/%ff"), 400, "bad_request", None),
    ];
    check(&app, cases).await;
}

#[tokio::test]
async fn input_that_does_not_fit_is_refused_at_its_place() {
    let app = TestApp::start().await;
    let cases = vec![
        case(lacking("", "job_url"), 422, "invalid_input", Some("/input/job_url")),
        case(lacking("", "subject"), 422, "invalid_input", Some("/input/subject")),
        case(lacking("", "profile"), 422, "invalid_input", Some("/input/profile")),
        case(lacking("/profile", "first_name"), 422, "invalid_input", Some("/input/profile/first_name")),
        case(lacking("/profile", "email"), 422, "invalid_input", Some("/input/profile/email")),
        case(with("/profile", "email", json!("nobody")), 422, "invalid_input", Some("/input/profile/email")),
        case(with("/profile", "email", json!(null)), 422, "invalid_input", Some("/input/profile/email")),
        case(with("/profile", "last_name", json!("")), 422, "invalid_input", Some("/input/profile/last_name")),
        case(
            with("/profile", "first_name", json!("x".repeat(256))),
            422,
            "invalid_input",
            Some("/input/profile/first_name"),
        ),
        case(with("", "surprise", json!(1)), 422, "invalid_input", Some("/input/surprise")),
        case(with("/profile", "ssn", json!("078-05-1120")), 422, "invalid_input", Some("/input/profile/ssn")),
        case(
            with("/profile/address", "planet", json!("Mars")),
            422,
            "invalid_input",
            Some("/input/profile/address/planet"),
        ),
        case(with("", "mode", json!("yolo")), 422, "invalid_input", Some("/input/mode")),
        case(with("", "human_deadline_s", json!(1)), 422, "invalid_input", Some("/input/human_deadline_s")),
        case(with("", "human_deadline_s", json!("60")), 422, "invalid_input", Some("/input/human_deadline_s")),
        case(with("", "max_cost", json!(-1)), 422, "invalid_input", Some("/input/max_cost")),
        case(with("", "subject", json!("")), 422, "invalid_input", Some("/input/subject")),
        case(
            with("", "documents", json!([{ "kind": "resume", "file": "/etc/passwd" }])),
            422,
            "invalid_input",
            Some("/input/documents/0/file"),
        ),
        case(with("", "allowed_domains", json!(["a b"])), 422, "invalid_input", Some("/input/allowed_domains/0")),
        case(Call::post(APPLY).json(&json!({ "input": null })), 422, "invalid_input", Some("/input")),
        case(Call::post(APPLY).json(&json!({ "input": [] })), 422, "invalid_input", Some("/input")),
        case(
            Call::post("/api/v1/workflows/bench/runs").json(&json!({ "input": { "steps": 0 } })),
            422,
            "invalid_input",
            Some("/input/steps"),
        ),
        // A schema takes 2.0 for an integer; the workflow's own type does not.
        case(
            Call::post("/api/v1/workflows/bench/runs").body("{\"input\":{\"steps\":2.0}}"),
            422,
            "invalid_input",
            Some("/input"),
        ),
    ];
    check(&app, cases).await;
}

#[tokio::test]
async fn names_and_attributes_of_a_run_are_bounded() {
    let app = TestApp::start().await;
    let start = |body: Value| Call::post(ANYTHING).json(&body);
    let many: serde_json::Map<String, Value> = (0..33).map(|n| (format!("a{n}"), json!(n))).collect();
    let long = "x".repeat(129);
    let cases = vec![
        case(start(json!({ "input": 1, "subject": "" })), 422, "invalid_input", Some("/subject")),
        case(start(json!({ "input": 1, "subject": long })), 422, "invalid_input", Some("/subject")),
        case(start(json!({ "input": { "subject": long } })), 422, "invalid_input", Some("/input/subject")),
        case(start(json!({ "input": { "subject": "" } })), 422, "invalid_input", Some("/input/subject")),
        case(start(json!({ "input": 1, "plan": long })), 422, "invalid_input", Some("/plan")),
        case(start(json!({ "input": 1, "attributes": many })), 422, "invalid_input", Some("/attributes")),
        case(start(json!({ "input": 1, "attributes": { "a": [1] } })), 422, "invalid_input", Some("/attributes/a")),
        case(start(json!({ "input": 1, "attributes": { "a": null } })), 422, "invalid_input", Some("/attributes/a")),
        case(
            start(json!({ "input": 1, "attributes": { "a/b~": {} } })),
            422,
            "invalid_input",
            Some("/attributes/a~1b~0"),
        ),
        case(
            start(json!({ "input": 1, "attributes": { "a": "x".repeat(1025) } })),
            422,
            "invalid_input",
            Some("/attributes/a"),
        ),
        case(start(json!({ "input": 1, "attributes": 3 })), 422, "invalid_body", Some("/attributes")),
        case(start(json!({ "input": 1 })).key(""), 400, "invalid_idempotency_key", Some("Idempotency-Key")),
        case(
            start(json!({ "input": 1 })).key(&"k".repeat(256)),
            400,
            "invalid_idempotency_key",
            Some("Idempotency-Key"),
        ),
        case(
            start(json!({ "input": 1 })).header("idempotency-key", "schlüssel"),
            400,
            "invalid_idempotency_key",
            Some("Idempotency-Key"),
        ),
    ];
    check(&app, cases).await;
}

#[tokio::test]
async fn what_is_not_there_is_named() {
    let app = TestApp::start().await;
    let of_run = |verb: &str| Call::post(format!("/api/v1/runs/{NO_RUN}/{verb}"));
    let answer = json!({ "answer": {} });
    let no_task = "task_00000000000080008000000000000000";
    let cases = vec![
        case(Call::get(format!("/api/v1/runs/{NO_RUN}")), 404, "run_not_found", Some("id")),
        case(Call::get("/api/v1/runs/run_1"), 400, "invalid_id", Some("id")),
        case(Call::get(format!("/api/v1/runs/{NO_RUN}/events")), 404, "run_not_found", Some("id")),
        case(Call::get(format!("/api/v1/runs/{NO_RUN}/artifacts")), 404, "run_not_found", Some("id")),
        case(of_run("pause"), 404, "run_not_found", Some("id")),
        case(of_run("resume"), 404, "run_not_found", Some("id")),
        case(of_run("cancel"), 404, "run_not_found", Some("id")),
        case(of_run("retry"), 404, "run_not_found", Some("id")),
        case(of_run("signals/go").json(&json!({})), 404, "run_not_found", Some("id")),
        case(of_run("explode"), 404, "route_not_found", None),
        case(of_run(&format!("signals/{}", "x".repeat(129))).json(&json!({})), 400, "invalid_name", Some("name")),
        case(of_run("signals/event%20%231%20order").json(&json!({})), 400, "invalid_name", Some("name")),
        case(of_run("cancel").body("{\"reason\":1}"), 422, "invalid_body", Some("/reason")),
        case(of_run("cancel").body("{\"why\":\"x\"}"), 422, "invalid_body", Some("/why")),
        case(of_run("cancel").body("nonsense"), 400, "invalid_json", None),
        case(Call::get(format!("/api/v1/human-tasks/{no_task}")), 404, "task_not_found", Some("id")),
        case(Call::get("/api/v1/human-tasks/1"), 400, "invalid_id", Some("id")),
        case(Call::get("/api/v1/human-tasks/run_1"), 400, "invalid_id", Some("id")),
        case(Call::post(format!("/api/v1/human-tasks/{no_task}/claim")), 404, "task_not_found", Some("id")),
        case(
            Call::post(format!("/api/v1/human-tasks/{no_task}/answer")).json(&answer),
            404,
            "task_not_found",
            Some("id"),
        ),
        case(Call::post(format!("/api/v1/human-tasks/{no_task}/reject")), 404, "task_not_found", Some("id")),
        case(
            Call::post(format!("/api/v1/human-tasks/{no_task}/answer")).json(&json!({})),
            422,
            "invalid_body",
            Some("/answer"),
        ),
        case(Call::get("/api/v1/files/file_00000000000080008000000000000000"), 404, "file_not_found", Some("id")),
        case(Call::get("/api/v1/files/nope"), 400, "invalid_id", Some("id")),
    ];
    check(&app, cases).await;
}

#[tokio::test]
async fn queries_are_checked_too() {
    let app = TestApp::start().await;
    let cases = vec![
        case(Call::get("/api/v1/runs?limit=0"), 400, "invalid_limit", Some("limit")),
        case(Call::get("/api/v1/runs?limit=201"), 400, "invalid_limit", Some("limit")),
        case(Call::get("/api/v1/runs?limit=many"), 400, "invalid_query", Some("limit")),
        case(Call::get("/api/v1/runs?limit=99999999999"), 400, "invalid_query", Some("limit")),
        case(Call::get("/api/v1/runs?statuss=failed"), 400, "invalid_query", Some("statuss")),
        case(Call::get("/api/v1/runs?status=asleep"), 400, "invalid_filter", Some("status")),
        case(Call::get("/api/v1/runs?status="), 400, "invalid_filter", Some("status")),
        case(Call::get("/api/v1/runs?cursor=xyz"), 400, "invalid_cursor", Some("cursor")),
        case(Call::get("/api/v1/runs?cursor=MTox"), 400, "invalid_cursor", Some("cursor")),
        case(Call::get("/api/v1/runs?subject=a%00b"), 400, "nul_in_text", Some("subject")),
        case(Call::get("/api/v1/runs?workflow=%00"), 400, "nul_in_text", Some("workflow")),
        case(Call::get("/api/v1/human-tasks?limit=0"), 400, "invalid_limit", Some("limit")),
        case(Call::get("/api/v1/human-tasks?state=open"), 400, "invalid_query", Some("state")),
        case(Call::get("/api/v1/human-tasks?run=7"), 400, "invalid_id", Some("run")),
        case(Call::get(format!("/api/v1/human-tasks?run={NO_RUN}")), 404, "run_not_found", Some("run")),
        case(
            Call::get(format!("/api/v1/runs/{NO_RUN}/events")).header("last-event-id", "x"),
            404,
            "run_not_found",
            Some("id"),
        ),
    ];
    check(&app, cases).await;
}

#[tokio::test]
async fn who_may_not_is_told_so_before_anything_is_read() {
    let app = TestApp::start().await;
    let start = || Call::post(ANYTHING).json(&json!({ "input": 1 }));
    let session = || Call::post("/worker/v1/sessions").json(&json!({}));
    let bad = |value: &str| start().header("authorization", value);
    let cases = vec![
        case(start().without(header::AUTHORIZATION), 401, "unauthorized", Some("Authorization")),
        case(start().token("wrong"), 401, "unauthorized", Some("Authorization")),
        case(start().token(""), 401, "unauthorized", Some("Authorization")),
        case(bad("a-persons-token"), 401, "unauthorized", Some("Authorization")),
        case(bad("Basic a-persons-token"), 401, "unauthorized", Some("Authorization")),
        case(start().token(WORKER), 403, "wrong_scope", None),
        case(session(), 403, "wrong_scope", None),
        case(session().without(header::AUTHORIZATION), 401, "unauthorized", Some("Authorization")),
        case(Call::get("/api/v1/nowhere").without(header::AUTHORIZATION), 401, "unauthorized", Some("Authorization")),
        case(Call::post(ANYTHING).body("not json").token("wrong"), 401, "unauthorized", Some("Authorization")),
    ];
    check(&app, cases).await;
    let refused = app.send(start().without(header::AUTHORIZATION)).await;
    assert_eq!(refused.header("www-authenticate"), Some("Bearer"));
}

#[tokio::test]
async fn what_just_fits_is_taken() {
    let app = TestApp::start().await;
    let start = |body: String| Call::post(ANYTHING).body(body);
    app.send(start(sized(REQUEST_BYTES_MAX))).await.expect(201);
    app.send(start(nested(JSON_DEPTH_MAX))).await.expect(201);
    app.send(start("{\"input\":\"\\\\u0000\"}".to_owned())).await.expect(201);
    app.send(start("{\"input\":1}".to_owned()).without(header::CONTENT_TYPE)).await.expect(201);
    app.send(start("{\"input\":1}".to_owned()).header("content-type", "application/json; charset=utf-8"))
        .await
        .expect(201);
    let named =
        json!({ "input": 1, "subject": "x".repeat(128), "plan": "p", "attributes": { "a": 1, "b": "2", "c": true } });
    app.send(Call::post(ANYTHING).json(&named).key(&"k".repeat(255))).await.expect(201);
    app.send(Call::post(APPLY).json(&application(|_| {}))).await.expect(201);
    assert_eq!(app.runs_stored().await, 7);
}

#[tokio::test]
async fn what_was_taken_at_its_bounds_is_read_back_whole() {
    let app = TestApp::start().await;
    let whole = "x".repeat(REQUEST_BYTES_MAX - "{\"input\":\"\"}".len());
    let run = app.start_run("anything", &json!(whole)).await;
    let run = app.until_status(&run, "succeeded").await;
    assert_eq!(run["input"], json!(whole));
    let answer = app.send(Call::post(ANYTHING).body(nested(JSON_DEPTH_MAX))).await.expect(201).json();
    let run = app.until_status(answer["id"].as_str().expect("an id"), "succeeded").await;
    assert_eq!(run["input"].to_string(), format!("{}{}", "[".repeat(63), "]".repeat(63)));
}

/// The sentence says what is wrong and never repeats what was sent.
#[tokio::test]
async fn an_error_repeats_no_value() {
    let app = TestApp::start().await;
    let secret = "geheimnis";
    let calls = [
        with("/profile", "email", json!(secret)),
        with("/profile", "work_authorization", json!(secret)),
        with("", "mode", json!(secret)),
        with("", "human_deadline_s", json!(secret)),
        with("", "documents", json!([{ "kind": secret, "file": secret }])),
        Call::post(ANYTHING).json(&json!({ "input": 1, "attributes": secret })),
        Call::post(ANYTHING).json(&json!({ "input": 1, "subject": [secret] })),
        Call::post(ANYTHING).body(format!("{{\"input\": {secret}}}")),
        Call::get(format!("/api/v1/runs?limit={secret}")),
    ];
    for call in calls {
        let answer = app.send(call).await;
        assert!((400..500).contains(&answer.status), "{answer:?}");
        let text = String::from_utf8_lossy(&answer.bytes).into_owned();
        assert!(!text.contains(secret), "{text}");
    }
}

#[tokio::test]
async fn every_fault_of_an_input_is_listed_up_to_a_bound() {
    let app = TestApp::start().await;
    let body = application(|input| {
        input["mode"] = json!(1);
        input["max_cost"] = json!("x");
        input["profile"]["email"] = json!("nobody");
    });
    let answer = app.send(Call::post(APPLY).json(&body)).await.problem(422, "invalid_input");
    let listed: Vec<String> = answer.json()["errors"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|error| error["field"].as_str().expect("a field").to_owned())
        .collect();
    for field in ["/input/mode", "/input/max_cost", "/input/profile/email"] {
        assert!(listed.iter().any(|f| f == field), "{field} in {listed:?}");
    }
    let body = application(|input| input["answers"] = (0..150).map(|n| json!({ "n": n })).collect());
    let answer = app.send(Call::post(APPLY).json(&body)).await.problem(422, "invalid_input");
    assert!(answer.json()["errors"].as_array().is_some_and(|errors| errors.len() <= 20));
}

#[tokio::test]
async fn another_tenants_run_is_not_there() {
    let app = TestApp::start().await;
    let run = app.start_run("ask", &json!({})).await;
    let task = app.run(&run).await["tasks"][0]["id"].as_str().expect("a task").to_owned();
    let calls = [
        Call::get(format!("/api/v1/runs/{run}")),
        Call::get(format!("/api/v1/runs/{run}/events")),
        Call::post(format!("/api/v1/runs/{run}/cancel")),
        Call::post(format!("/api/v1/runs/{run}/pause")),
        Call::post(format!("/api/v1/runs/{run}/signals/go")).json(&json!({})),
        Call::get(format!("/api/v1/human-tasks/{task}")),
        Call::post(format!("/api/v1/human-tasks/{task}/claim")),
        Call::post(format!("/api/v1/human-tasks/{task}/answer")).json(&json!({ "answer": { "age": 1 } })),
    ];
    for call in calls {
        let name = call.path.clone();
        assert_eq!(app.send(call.token(OTHER_TENANT)).await.status, 404, "{name}");
    }
    let list = app.send(Call::get("/api/v1/runs").token(OTHER_TENANT)).await.expect(200).json();
    assert_eq!(list["runs"], json!([]));
    assert_eq!(app.run(&run).await["status"], "waiting");
}
