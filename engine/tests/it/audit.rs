//! The audit: every change leaves one row with who, what, from where, before and after, and no row is ever changed.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Method, Request, header};
use serde_json::{Value, json};

use super::app::TestApp;
use super::calls::{Call, OTHER_TENANT, PEOPLE, SECOND_PERSON};
use super::database;
use super::worker::Worker;

const FROM: &str = "203.0.113.7";

/// Sends it as from somewhere, and answers what was said.
async fn send(app: &TestApp, call: Call) -> (u16, Value) {
    let mut request: Request<Body> = call.header("x-request-id", "req-1").into_request();
    request.extensions_mut().insert(ConnectInfo(SocketAddr::new(FROM.parse().expect("an address"), 4711)));
    let response = app.open(request).await;
    let status = response.status().as_u16();
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.expect("a body");
    (status, serde_json::from_slice(&bytes).unwrap_or_default())
}

/// All rows, oldest first, once `count` of them can be read.
async fn entries(app: &TestApp, count: usize) -> Vec<Value> {
    database::until(&format!("{count} rows of the audit"), async || {
        let page = app.send(Call::get("/api/v1/audit?limit=200")).await.expect(200).json();
        let entries = page["entries"].as_array().expect("entries").clone();
        assert!(entries.len() <= count, "{} rows instead of {count}: {entries:#?}", entries.len());
        (entries.len() == count).then_some(entries)
    })
    .await
}

/// A change: its route and call, and what the row says.
struct Change {
    route: &'static str,
    call: Call,
    action: &'static str,
    before: Value,
    after: Value,
}

fn change(route: &'static str, call: Call, action: &'static str, before: Value, after: Value) -> Change {
    Change { route, call, action, before, after }
}

/// Of something beside a run: paused after it, or not.
fn paused(route: &'static str, place: &str, action: &'static str) -> Change {
    let is_pause = place.ends_with("/pause");
    let call = if is_pause { Call::post(place).json(&json!({ "reason": "personal" })) } else { Call::post(place) };
    change(route, call, action, json!({ "paused": !is_pause }), json!({ "paused": is_pause }))
}

fn run_is(status: &str, paused: bool) -> Value {
    json!({ "status": status, "paused": paused })
}

#[expect(clippy::too_many_lines, reason = "one row for each route")]
async fn changes(app: &TestApp) -> Vec<Change> {
    let worker = Worker::open(app).await;
    let asking = app.start_run("ask", &json!({})).await;
    let rejected = app.start_run("ask", &json!({})).await;
    let listening = app.start_run("listen", &json!({ "count": 9 })).await;
    let doomed = app.start_run("listen", &json!({ "count": 9 })).await;
    let called = app.start_run("callback", &json!({})).await;
    let completion = app.run(&called).await["memo"]["token"].as_str().expect("a token").to_owned();
    let parked = app.start_run("echo", &json!({ "text": "x" })).await;
    let hold = worker.take(&parked, 1, 1).await;
    worker.finish(&hold, &json!({ "retry": { "error": { "code": "flaky", "message": "no luck" } } })).await;
    let task = async |run: &str| app.run(run).await["tasks"][0]["id"].as_str().expect("a task").to_owned();
    let (answered, rejected) = (task(&asking).await, task(&rejected).await);
    let made = Call::post("/api/v1/tokens").json(&json!({ "name": "to be revoked", "role": "viewer" }));
    let token = app.send(made).await.expect(201).json()["id"].as_str().expect("an id").to_owned();
    let pushed = app.send(Call::post("/api/v1/events").json(&json!({ "key": "k" }))).await.expect(201).json();
    let event = pushed["id"].as_str().expect("an id").to_owned();
    let webhook = json!({ "url": "https://hooks.example/x", "kinds": ["run.started"], "workflow": "anything" });
    app.send(Call::new(Method::PUT, "/api/v1/webhooks/outgoing/told").json(&webhook)).await.expect(201);
    app.start_run("anything", &json!({})).await;
    let told = app.send(Call::get("/api/v1/webhooks/outgoing/told/deliveries")).await.expect(200).json();
    let told = told["deliveries"][0]["id"].as_str().expect("a message").to_owned();
    let held = "INSERT INTO resources (tenant, kind, key, class, state, lease_until, labels) \
                VALUES ('acme', 'sandbox', 's-1', 'local', 'in_use', now() + interval '1 hour', '{}')";
    sqlx::query(held).execute(app.pool()).await.expect("a sandbox");
    let speaking = app.start_run("hearing", &json!({})).await;
    let of_it = "INSERT INTO resources (tenant, kind, key, class, state, run_id, lease_until, labels) \
                 VALUES ('acme', 'sandbox', 's-2', 'local', 'in_use', $1::uuid, now() + interval '1 hour', '{}')";
    sqlx::query(of_it).bind(super::worker::bare(&speaking)).execute(app.pool()).await.expect("another");
    let bulk = json!({ "action": "pause", "filter": { "subject": "nobody" } });
    let made = app.send(Call::post("/api/v1/bulk-operations").json(&bulk)).await.expect(201).json();
    let bulk_made = format!("/api/v1/bulk-operations/{}", made["id"].as_str().expect("an id"));
    let of_run = |run: &str, verb: &str| Call::post(format!("/api/v1/runs/{run}/{verb}"));
    let of_task = |task: &str, verb: &str| Call::post(format!("/api/v1/human-tasks/{task}/{verb}"));
    vec![
        change(
            "/api/v1/workflows/{name}/runs",
            Call::post("/api/v1/workflows/ask/runs").json(&json!({ "input": {} })),
            "run.start",
            Value::Null,
            run_is("waiting", false),
        ),
        change(
            "/api/v1/workflows/{name}/runs/bulk",
            Call::post("/api/v1/workflows/ask/runs/bulk").json(&json!({ "runs": [{ "input": {} }] })),
            "run.start",
            Value::Null,
            run_is("waiting", false),
        ),
        change(
            "/api/v1/bulk-operations",
            Call::post("/api/v1/bulk-operations").json(&bulk),
            "bulk.create",
            Value::Null,
            json!({ "action": "pause", "filter": { "subject": "nobody" }, "rate": 100 }),
        ),
        change(
            "/api/v1/bulk-operations/{id}/pause",
            Call::post(format!("{bulk_made}/pause")),
            "bulk.pause",
            json!({ "state": "running" }),
            json!({ "state": "paused" }),
        ),
        change(
            "/api/v1/bulk-operations/{id}/rate",
            Call::new(Method::PUT, format!("{bulk_made}/rate")).json(&json!({ "rate": 7 })),
            "bulk.rate",
            json!({ "rate": 100 }),
            json!({ "rate": 7 }),
        ),
        change(
            "/api/v1/bulk-operations/{id}/resume",
            Call::post(format!("{bulk_made}/resume")),
            "bulk.resume",
            json!({ "state": "paused" }),
            json!({ "state": "running" }),
        ),
        change(
            "/api/v1/bulk-operations/{id}/cancel",
            Call::post(format!("{bulk_made}/cancel")),
            "bulk.cancel",
            json!({ "state": "running" }),
            json!({ "state": "cancelled" }),
        ),
        change(
            "/api/v1/bulk-operations/{id}/undo",
            Call::post(format!("{bulk_made}/undo")),
            "bulk.undo",
            Value::Null,
            json!({ "action": "resume" }),
        ),
        change(
            "/api/v1/workflows/{name}",
            Call::new(Method::PUT, "/api/v1/workflows/declared")
                .json(&json!({ "tasks": { "a": { "step": "personal" } } })),
            "workflow.register",
            Value::Null,
            json!({ "version": 1 }),
        ),
        change(
            "/api/v1/runs/{id}/pause",
            of_run(&listening, "pause"),
            "run.pause",
            run_is("waiting", false),
            run_is("waiting", true),
        ),
        change(
            "/api/v1/runs/{id}/resume",
            of_run(&listening, "resume"),
            "run.resume",
            run_is("waiting", true),
            run_is("waiting", false),
        ),
        change(
            "/api/v1/runs/{id}/signals/{name}",
            of_run(&listening, "signals/go").json(&json!({ "payload": "personal" })),
            "run.signal",
            run_is("waiting", false),
            run_is("waiting", false),
        ),
        change(
            "/api/v1/runs/{id}/budget",
            Call::new(Method::PUT, format!("/api/v1/runs/{listening}/budget")).json(&json!({ "budget_usd_micros": 1 })),
            "run.budget",
            run_is("waiting", false),
            run_is("waiting", false),
        ),
        change(
            "/api/v1/runs/{id}/fork",
            of_run(&listening, "fork").json(&json!({ "entry": 0, "input": { "count": 8 } })),
            "run.fork",
            Value::Null,
            run_is("waiting", false),
        ),
        change(
            "/api/v1/completions/{token}",
            Call::post(format!("/api/v1/completions/{completion}")).json(&json!({ "output": "personal" })),
            "run.complete",
            run_is("waiting", false),
            run_is("succeeded", false),
        ),
        change(
            "/api/v1/runs/{id}/retry",
            of_run(&parked, "retry"),
            "run.retry",
            run_is("waiting", false),
            run_is("running", false),
        ),
        change(
            "/api/v1/runs/{id}/steps/{seq}/input",
            Call::new(Method::PUT, format!("/api/v1/runs/{parked}/steps/1/input"))
                .json(&json!({ "input": { "text": "personal" } })),
            "run.edit",
            run_is("running", false),
            run_is("running", false),
        ),
        change(
            "/api/v1/runs/{id}/steps/{seq}/skip",
            of_run(&parked, "steps/1/skip").json(&json!({ "output": "personal" })),
            "run.skip",
            run_is("running", false),
            run_is("succeeded", false),
        ),
        change(
            "/api/v1/runs/{id}/kill",
            of_run(&doomed, "kill").json(&json!({ "reason": "personal" })),
            "run.kill",
            run_is("waiting", false),
            run_is("cancelled", false),
        ),
        change(
            "/api/v1/runs/{id}/cancel",
            of_run(&listening, "cancel").json(&json!({ "reason": "personal" })),
            "run.cancel",
            run_is("waiting", false),
            run_is("cancelled", false),
        ),
        change(
            "/api/v1/human-tasks/{id}/claim",
            of_task(&answered, "claim"),
            "task.claim",
            json!({ "state": "open" }),
            json!({ "state": "claimed" }),
        ),
        change(
            "/api/v1/human-tasks/{id}/release",
            of_task(&answered, "release"),
            "task.release",
            json!({ "state": "claimed", "claimed_by": "ada" }),
            json!({ "state": "open" }),
        ),
        change(
            "/api/v1/human-tasks/{id}/answer",
            of_task(&answered, "answer").json(&json!({ "answer": { "age": 7_654_321 } })),
            "task.answer",
            json!({ "state": "open" }),
            json!({ "state": "answered" }),
        ),
        change(
            "/api/v1/human-tasks/{id}/reject",
            of_task(&rejected, "reject").json(&json!({ "reason": "personal" })),
            "task.reject",
            json!({ "state": "open" }),
            json!({ "state": "rejected" }),
        ),
        change(
            "/api/v1/files",
            super::files::form(&[("file", Some("personal.txt"), b"personal")]),
            "file.store",
            Value::Null,
            json!({ "size_bytes": 8 }),
        ),
        paused("/api/v1/workflows/{name}/pause", "/api/v1/workflows/ask/pause", "workflow.pause"),
        paused("/api/v1/workflows/{name}/resume", "/api/v1/workflows/ask/resume", "workflow.resume"),
        paused("/api/v1/queues/{name}/pause", "/api/v1/queues/mail/pause", "queue.pause"),
        paused("/api/v1/queues/{name}/resume", "/api/v1/queues/mail/resume", "queue.resume"),
        paused("/api/v1/workers/{id}/pause", &format!("/api/v1/workers/{}/pause", worker.session), "worker.pause"),
        paused("/api/v1/workers/{id}/resume", &format!("/api/v1/workers/{}/resume", worker.session), "worker.resume"),
        paused("/api/v1/tenants/{name}/pause", "/api/v1/tenants/acme/pause", "tenant.pause"),
        paused("/api/v1/tenants/{name}/resume", "/api/v1/tenants/acme/resume", "tenant.resume"),
        paused("/api/v1/engine/pause", "/api/v1/engine/pause", "engine.pause"),
        paused("/api/v1/engine/resume", "/api/v1/engine/resume", "engine.resume"),
        change(
            "/api/v1/event-triggers/{name}",
            Call::new(Method::PUT, "/api/v1/event-triggers/signed-up").json(
                &json!({ "key": "user:*", "workflow": "ask", "filter": "payload == 'personal'", "paused": true }),
            ),
            "trigger.put",
            Value::Null,
            json!({ "key": "user:*", "workflow": "ask", "paused": true }),
        ),
        change(
            "/api/v1/events",
            Call::post("/api/v1/events").json(&json!({ "key": "user:new", "payload": "personal" })),
            "event.push",
            Value::Null,
            json!({ "key": "user:new", "runs": 0 }),
        ),
        change(
            "/api/v1/events/{id}/replay",
            Call::post(format!("/api/v1/events/{event}/replay")),
            "event.replay",
            Value::Null,
            json!({ "key": "k", "runs": 0 }),
        ),
        change(
            "/api/v1/event-triggers/{name}",
            Call::new(Method::DELETE, "/api/v1/event-triggers/signed-up"),
            "trigger.remove",
            json!({ "key": "user:*", "workflow": "ask" }),
            Value::Null,
        ),
        change(
            "/api/v1/webhooks/incoming/{name}",
            Call::new(Method::PUT, "/api/v1/webhooks/incoming/orders").json(&json!({
                "proof": { "kind": "api_key", "secrets": ["personal"] }, "filter": "payload == 'personal'",
                "start": { "workflow": "ask" },
            })),
            "incoming.put",
            Value::Null,
            json!({ "proof": "api_key", "workflow": "ask", "paused": false, "new_secrets": true }),
        ),
        change(
            "/api/v1/webhooks/incoming/{name}",
            Call::new(Method::DELETE, "/api/v1/webhooks/incoming/orders"),
            "incoming.remove",
            json!({ "proof": "api_key", "workflow": "ask" }),
            Value::Null,
        ),
        change(
            "/api/v1/webhooks/outgoing/{name}",
            Call::new(Method::PUT, "/api/v1/webhooks/outgoing/status").json(&json!({
                "url": "https://hooks.example/personal", "kinds": ["run.*"], "filter": "subject == 'personal'",
            })),
            "outgoing.put",
            Value::Null,
            json!({ "origin": "https://hooks.example", "kinds": ["run.*"], "paused": false, "new_secrets": true }),
        ),
        change(
            "/api/v1/webhooks/outgoing/{name}",
            Call::new(Method::DELETE, "/api/v1/webhooks/outgoing/status"),
            "outgoing.remove",
            json!({ "origin": "https://hooks.example", "kinds": ["run.*"] }),
            Value::Null,
        ),
        change(
            "/api/v1/webhooks/outgoing/{name}/deliveries/{id}/redeliver",
            Call::post(format!("/api/v1/webhooks/outgoing/told/deliveries/{told}/redeliver")),
            "outgoing.redeliver",
            Value::Null,
            json!({ "kind": "run.started" }),
        ),
        change(
            "/api/v1/schedules/{name}",
            Call::new(Method::PUT, "/api/v1/schedules/nightly").json(&json!({
                "workflow": "ask", "cron": "@yearly", "run": { "input": {}, "attributes": { "note": "personal" } },
            })),
            "schedule.put",
            Value::Null,
            json!({ "workflow": "ask", "cron": "@yearly", "overlap": "skip" }),
        ),
        paused("/api/v1/schedules/{name}/pause", "/api/v1/schedules/nightly/pause", "schedule.pause"),
        paused("/api/v1/schedules/{name}/resume", "/api/v1/schedules/nightly/resume", "schedule.resume"),
        change(
            "/api/v1/schedules/{name}/backfill",
            Call::post("/api/v1/schedules/nightly/backfill")
                .json(&json!({ "from": "2024-01-01T00:00:00Z", "until": "2026-01-01T00:00:00Z" })),
            "schedule.backfill",
            Value::Null,
            json!({ "fires": 2 }),
        ),
        change(
            "/api/v1/schedules/{name}",
            Call::new(Method::DELETE, "/api/v1/schedules/nightly"),
            "schedule.remove",
            json!({ "workflow": "ask", "cron": "@yearly" }),
            Value::Null,
        ),
        change(
            "/api/v1/tokens",
            Call::post("/api/v1/tokens").json(&json!({ "name": "made", "scopes": ["read"] })),
            "token.create",
            Value::Null,
            json!({ "name": "made", "scopes": ["read"] }),
        ),
        change(
            "/api/v1/tokens/{id}",
            Call::new(Method::DELETE, format!("/api/v1/tokens/{token}")),
            "token.revoke",
            json!({ "revoked": false }),
            json!({ "revoked": true }),
        ),
        change(
            "/api/v1/subjects/{subject}/items",
            Call::new(Method::PUT, "/api/v1/subjects/ada/items")
                .json(&json!({ "kind": "secret", "name": "jobs.example.com/password", "value": "personal" })),
            "subject.put",
            Value::Null,
            json!({ "version": 1 }),
        ),
        change(
            "/api/v1/subjects/{subject}/item/restore",
            Call::post("/api/v1/subjects/ada/item/restore?kind=secret&name=jobs.example.com%2Fpassword&version=1"),
            "subject.restore",
            Value::Null,
            json!({ "version": 2 }),
        ),
        change(
            "/api/v1/subjects/{subject}/item",
            Call::new(Method::DELETE, "/api/v1/subjects/ada/item?kind=secret&name=jobs.example.com%2Fpassword"),
            "subject.remove",
            json!({ "version": 2 }),
            Value::Null,
        ),
        change(
            "/api/v1/limits/{name}",
            Call::new(Method::PUT, "/api/v1/limits/asks").json(&json!({ "workflow": "ask", "most": 2 })),
            "limit.put",
            Value::Null,
            json!({ "workflow": "ask", "most": 2 }),
        ),
        change(
            "/api/v1/limits/{name}/cool-down",
            Call::post("/api/v1/limits/asks/cool-down").json(&json!({ "until": "2026-01-01T00:00:00Z" })),
            "limit.cool",
            Value::Null,
            json!({ "cooled_until": "2026-01-01T00:00:00+00:00" }),
        ),
        change(
            "/api/v1/limits/{name}",
            Call::new(Method::DELETE, "/api/v1/limits/asks"),
            "limit.remove",
            json!({ "workflow": "ask", "most": 2 }),
            Value::Null,
        ),
        change(
            "/api/v1/rules/{kind}/{name}",
            Call::new(Method::PUT, "/api/v1/rules/tier/local").json(&json!({ "enabled": false, "note": "personal" })),
            "rule.put",
            Value::Null,
            json!({ "enabled": false }),
        ),
        change(
            "/api/v1/rules/{kind}/{name}",
            Call::new(Method::DELETE, "/api/v1/rules/tier/local"),
            "rule.remove",
            json!({ "enabled": false }),
            Value::Null,
        ),
        change(
            "/api/v1/webhooks/sandbox",
            Call::post("/api/v1/webhooks/sandbox?tenant=acme&sandbox=s-2")
                .token(&app.store.resource_token("acme", "sandbox", "s-2"))
                .json(&json!({ "id": "1", "event": "error", "message": "personal" })),
            "sandbox.event",
            run_is("waiting", false),
            run_is("waiting", false),
        ),
        change(
            "/api/v1/sandboxes/{id}/kill",
            Call::post("/api/v1/sandboxes/s-1/kill").json(&json!({ "reason": "personal" })),
            "sandbox.kill",
            json!({ "state": "in_use" }),
            json!({ "state": "stopping" }),
        ),
        change(
            "/api/v1/subjects/{subject}/erase",
            Call::post("/api/v1/subjects/ada/erase"),
            "subject.erase",
            Value::Null,
            Value::Null,
        ),
    ]
}

/// What is expected is among what is there.
fn holds(there: &Value, expected: &Value) -> bool {
    match (there, expected) {
        (Value::Object(there), Value::Object(expected)) => {
            expected.iter().all(|(key, value)| there.get(key) == Some(value))
        }
        _ => there == expected,
    }
}

/// Signs in and out, and answers the last row after each.
async fn session(app: &TestApp, rows_before: usize) -> [Value; 2] {
    let open = Call::post("/api/v1/session").without(header::AUTHORIZATION).json(&json!({ "token": PEOPLE }));
    let opened = app.send(open).await.expect(201);
    let after_opening = entries(app, rows_before + 1).await;
    let cookie = opened.header("set-cookie").expect("a cookie").split(';').next().expect("its value").to_owned();
    let csrf = opened.json()["csrf"].as_str().expect("a word").to_owned();
    let close = Call::new(Method::DELETE, "/api/v1/session").without(header::AUTHORIZATION);
    app.send(close.header("cookie", cookie).header("x-valet-csrf", csrf)).await.expect(204);
    let after_closing = entries(app, rows_before + 2).await;
    [after_opening, after_closing].map(|rows| rows.last().expect("a row").clone())
}

/// How targets begin.
const TARGETS: [&str; 20] = [
    "bulk_",
    "s-1",
    "declared",
    "run_",
    "task_",
    "file_",
    "tok_",
    "ada",
    "workflow/ask",
    "queue/mail",
    "schedule/nightly",
    "trigger/signed-up",
    "incoming/orders",
    "outgoing/",
    "limit/asks",
    "event_",
    "worker/sess_",
    "tenant/acme",
    "tier/local",
    "engine",
];

#[tokio::test]
async fn every_route_that_changes_something_leaves_one_row() {
    let app = TestApp::start().await;
    let changes = changes(&app).await;
    let began: i64 = sqlx::query_scalar("SELECT count(*) FROM audit").fetch_one(app.pool()).await.expect("a count");
    let mut count = usize::try_from(began).expect("few");
    let mut made = BTreeSet::new();
    for change in changes {
        made.insert((change.call.method.as_str().to_ascii_lowercase(), change.route.to_owned()));
        let (status, body) = send(&app, change.call).await;
        assert!((200..300).contains(&status), "{}: {status} {body}", change.action);
        count += 1;
        let entries = entries(&app, count).await;
        let last = entries.last().expect("a row");
        assert_eq!(last["action"], change.action);
        let who = match change.action {
            "run.complete" => "completion token",
            "sandbox.event" => "sandbox",
            _ => "ada",
        };
        assert_eq!((&last["who"], &last["via"]), (&json!(who), &json!("token")), "{last}");
        assert_eq!((&last["address"], &last["request"]), (&json!(FROM), &json!("req-1")), "{last}");
        assert!(holds(&last["before"], &change.before), "{}: before: {last}", change.action);
        assert!(holds(&last["after"], &change.after), "{}: after: {last}", change.action);
        let target = last["target"].as_str().expect("a target");
        assert!(TARGETS.iter().any(|prefix| target.starts_with(prefix)), "{last}");
        let told = last.to_string();
        assert!(!told.contains("personal") && !told.contains("7654321"), "nothing that a person said: {last}");
    }
    let told = session(&app, count).await;
    for (row, (verb, action, via)) in
        told.iter().zip([("post", "session.open", "token"), ("delete", "session.close", "session")])
    {
        made.insert((verb.to_owned(), "/api/v1/session".to_owned()));
        assert_eq!((&row["action"], &row["via"]), (&json!(action), &json!(via)), "{row}");
        assert_eq!((&row["who"], &row["target"]), (&json!("ada"), &json!("ada")), "{row}");
    }
    // Whoever triggers a schedule has it start a run: a row each.
    let schedule = json!({ "workflow": "ask", "cron": "@yearly", "run": { "input": {} } });
    app.send(Call::new(Method::PUT, "/api/v1/schedules/nightly").json(&schedule)).await.expect(201);
    app.send(Call::post("/api/v1/schedules/nightly/trigger")).await.expect(201);
    made.insert(("post".to_owned(), "/api/v1/schedules/{name}/trigger".to_owned()));
    let rows = entries(&app, count + 5).await;
    let told: Vec<_> = rows[count + 3..].iter().map(|row| (&row["action"], &row["via"], &row["who"])).collect();
    let expected = [("schedule.trigger", "token", "ada"), ("run.start", "schedule", "nightly")];
    assert_eq!(json!(told), json!(expected));
    // Who delivers to a webhook is known by the webhook.
    let webhook = json!({ "proof": { "kind": "api_key", "secrets": ["s"] }, "start": { "workflow": "ask" } });
    app.send(Call::new(Method::PUT, "/api/v1/webhooks/incoming/orders").json(&webhook)).await.expect(201);
    let delivery = || Call::post("/api/v1/hooks/acme/orders").header("x-api-key", "s").json(&json!({}));
    assert_eq!(send(&app, delivery().header("webhook-id", "1")).await.0, 201);
    made.insert(("post".to_owned(), "/api/v1/hooks/{tenant}/{name}".to_owned()));
    let publishing = json!({ "proof": { "kind": "api_key" }, "publish": { "key": "k" } });
    app.send(Call::new(Method::PUT, "/api/v1/webhooks/incoming/orders").json(&publishing)).await.expect(200);
    assert_eq!(send(&app, delivery().header("webhook-id", "2")).await.0, 201);
    let rows = entries(&app, count + 9).await;
    let started = [&rows[count + 6], &rows[count + 8]];
    for (row, action) in started.iter().zip(["run.start", "event.push"]) {
        assert_eq!((&row["action"], &row["via"]), (&json!(action), &json!("webhook")), "{row}");
        assert_eq!((&row["who"], &row["address"]), (&json!("orders"), &json!(FROM)), "{row}");
    }
    let document = app.send(Call::get("/api/v1/openapi.json")).await.expect(200).json();
    let changing: BTreeSet<(String, String)> = document["paths"]
        .as_object()
        .expect("paths")
        .iter()
        .flat_map(|(path, item)| {
            item.as_object().expect("an item").keys().map(move |verb| (verb.clone(), path.clone()))
        })
        .filter(|(verb, _)| verb != "get")
        .collect();
    assert_eq!(made, changing, "each has its change here");
}

#[tokio::test]
async fn what_changes_nothing_leaves_none() {
    let app = TestApp::start().await;
    let start = || Call::post("/api/v1/workflows/ask/runs").key("once").json(&json!({ "input": {} }));
    let run = app.send(start()).await.expect(201).json()["id"].as_str().expect("an id").to_owned();
    app.send(start()).await.expect(200);
    app.send(Call::post(format!("/api/v1/runs/{run}/retry"))).await.problem(409, "nothing_to_retry");
    app.send(Call::post(format!("/api/v1/runs/{run}/pause")).token(OTHER_TENANT)).await.problem(404, "run_not_found");
    let task = app.run(&run).await["tasks"][0]["id"].as_str().expect("a task").to_owned();
    app.send(Call::post(format!("/api/v1/human-tasks/{task}/claim"))).await.expect(200);
    let taken = Call::post(format!("/api/v1/human-tasks/{task}/claim")).token(SECOND_PERSON);
    app.send(taken).await.problem(409, "task_taken");
    let entries = entries(&app, 2).await;
    let actions: Vec<&Value> = entries.iter().map(|entry| &entry["action"]).collect();
    assert_eq!(actions, ["run.start", "task.claim"]);
}

#[tokio::test]
async fn a_row_is_never_changed_nor_removed() {
    let app = TestApp::start().await;
    app.start_run("ask", &json!({})).await;
    for statement in ["UPDATE audit SET who = 'nobody'", "DELETE FROM audit", "TRUNCATE audit"] {
        let refused = sqlx::query(statement).execute(app.pool()).await.expect_err(statement);
        assert!(refused.to_string().contains("append-only"), "{statement}: {refused}");
    }
    assert_eq!(entries(&app, 1).await[0]["who"], "ada");
}

/// A reader who keeps the cursor reads every row once, while rows are written.
#[tokio::test]
async fn a_reader_with_a_cursor_misses_no_row_and_reads_none_twice() {
    const RUNS: usize = 40;
    let app = TestApp::start().await;
    let writing = async {
        let input = json!({});
        futures::future::join_all((0..RUNS).map(|_| app.start_run("ask", &input))).await
    };
    let reading = async {
        let (mut read, mut cursor) = (Vec::new(), String::new());
        database::until("all rows to be read", async || {
            let page = app.send(Call::get(format!("/api/v1/audit?limit=3{cursor}"))).await.expect(200).json();
            read.extend(page["entries"].as_array().expect("entries").iter().map(|entry| entry["target"].to_string()));
            if let Some(next) = page["next_cursor"].as_str() {
                cursor = format!("&cursor={next}");
            }
            (read.len() >= RUNS).then_some(())
        })
        .await;
        read
    };
    let (started, read) = tokio::join!(writing, reading);
    let started: BTreeSet<String> = started.iter().map(|run| format!("\"{run}\"")).collect();
    assert_eq!(read.len(), RUNS);
    assert_eq!(read.into_iter().collect::<BTreeSet<_>>(), started);

    let one = started.first().expect("a run").trim_matches('"').to_owned();
    let of_one = app.send(Call::get(format!("/api/v1/audit?target={one}"))).await.expect(200).json();
    assert_eq!(of_one["entries"].as_array().map(Vec::len), Some(1), "{of_one}");
    let newest = app.send(Call::get("/api/v1/audit?order=newest&limit=1")).await.expect(200).json();
    let next = newest["next_cursor"].as_str().expect("a cursor").to_owned();
    let before_it =
        app.send(Call::get(format!("/api/v1/audit?order=newest&limit=200&cursor={next}"))).await.expect(200).json();
    assert_eq!(before_it["entries"].as_array().map(Vec::len), Some(RUNS - 1));
    app.send(Call::get("/api/v1/audit?order=up")).await.problem(400, "invalid_order").at("order");
    let foreign = app.send(Call::get("/api/v1/audit").token(OTHER_TENANT)).await.expect(200).json();
    assert_eq!(foreign["entries"], json!([]));
    app.send(Call::get("/api/v1/audit?cursor=x")).await.problem(400, "invalid_cursor").at("cursor");
}

/// Transactions are numbers: 9 comes before 10.
#[tokio::test]
async fn rows_come_in_the_order_of_their_transactions() {
    let app = TestApp::start().await;
    let insert = "INSERT INTO audit (txid, tenant, who, via, action, target) \
                  SELECT n::text::xid8, 'acme', 'ada', 'token', 'run.pause', n::text FROM generate_series(8, 11) AS n";
    sqlx::query(insert).execute(app.pool()).await.expect("rows of old transactions");
    let read = async |query: &str| {
        let page = app.send(Call::get(format!("/api/v1/audit?limit=3{query}"))).await.expect(200).json();
        let targets = page["entries"].as_array().expect("entries").iter().map(|entry| entry["target"].to_string());
        (targets.collect::<Vec<_>>().join(" "), page["next_cursor"].as_str().unwrap_or_default().to_owned())
    };
    for (order, first, second) in [("oldest", r#""8" "9" "10""#, r#""11""#), ("newest", r#""11" "10" "9""#, r#""8""#)] {
        let (targets, cursor) = read(&format!("&order={order}")).await;
        assert_eq!(targets, first, "{order}");
        assert_eq!(read(&format!("&order={order}&cursor={cursor}")).await.0, second, "{order}");
    }
}
