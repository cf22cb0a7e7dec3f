//! Who may do what: every route, every role, one's own tenant and another's; tokens that reach some workflows or subjects only.

use axum::http::Method;
use futures::future::join_all;
use serde_json::{Value, json};

use super::app::TestApp;
use super::calls::{Answer, Call, OTHER_TENANT, PEOPLE, WORKER};

const NOBODY: &[&str] = &[];
const VIEWERS: &[&str] = &["viewer", "reviewer", "operator", "admin"];
const REVIEWERS: &[&str] = &["reviewer", "operator", "admin"];
const OPERATORS: &[&str] = &["operator", "admin"];
const ADMINS: &[&str] = &["admin"];
/// Everybody with a token of people.
const PEOPLES: &[&str] = VIEWERS;

/// What somebody of another tenant is told.
#[derive(Clone, Copy, PartialEq)]
enum Foreign {
    /// It is not there.
    Missing,
    /// A list of their own.
    Own,
    /// Nothing of a tenant is in it.
    Common,
}
use Foreign::{Common, Missing, Own};

struct Row {
    method: Method,
    route: &'static str,
    body: Option<Value>,
    roles: &'static [&'static str],
    foreign: Foreign,
}

fn row(method: Method, route: &'static str, roles: &'static [&'static str], foreign: Foreign) -> Row {
    let body = (method == Method::POST).then(|| json!({}));
    Row { method, route, body, roles, foreign }
}

/// Every route that wants a token.
fn rows() -> Vec<Row> {
    let get = |route, roles, foreign| row(Method::GET, route, roles, foreign);
    let post = |route, roles, foreign| row(Method::POST, route, roles, foreign);
    let with = |row: Row, body: Value| Row { body: Some(body), ..row };
    vec![
        get("/api/v1/workflows", VIEWERS, Common),
        get("/api/v1/workflows/{name}", VIEWERS, Common),
        with(row(Method::PUT, "/api/v1/workflows/{name}", ADMINS, Common), json!({ "tasks": {} })),
        get("/api/v1/workflows/{name}/versions/{version}", VIEWERS, Missing),
        with(post("/api/v1/workflows/{name}/runs", OPERATORS, Common), json!({ "input": {} })),
        with(post("/api/v1/workflows/{name}/runs/bulk", OPERATORS, Common), json!({ "runs": [{ "input": {} }] })),
        get("/api/v1/runs", VIEWERS, Own),
        get("/api/v1/runs/counts", VIEWERS, Own),
        get("/api/v1/runs/{id}", VIEWERS, Missing),
        get("/api/v1/bulk-operations", VIEWERS, Own),
        post("/api/v1/bulk-operations", OPERATORS, Common),
        get("/api/v1/bulk-operations/{id}", VIEWERS, Missing),
        post("/api/v1/bulk-operations/{id}/pause", OPERATORS, Missing),
        post("/api/v1/bulk-operations/{id}/resume", OPERATORS, Missing),
        with(row(Method::PUT, "/api/v1/bulk-operations/{id}/rate", OPERATORS, Missing), json!({ "rate": 5 })),
        post("/api/v1/bulk-operations/{id}/cancel", OPERATORS, Missing),
        post("/api/v1/bulk-operations/{id}/undo", OPERATORS, Missing),
        post("/api/v1/runs/{id}/pause", OPERATORS, Missing),
        post("/api/v1/runs/{id}/resume", OPERATORS, Missing),
        post("/api/v1/runs/{id}/cancel", OPERATORS, Missing),
        post("/api/v1/runs/{id}/retry", OPERATORS, Missing),
        post("/api/v1/runs/{id}/kill", OPERATORS, Missing),
        post("/api/v1/runs/{id}/steps/{seq}/skip", OPERATORS, Missing),
        with(row(Method::PUT, "/api/v1/runs/{id}/steps/{seq}/input", OPERATORS, Missing), json!({ "input": {} })),
        with(post("/api/v1/runs/{id}/fork", OPERATORS, Missing), json!({ "entry": 0 })),
        with(row(Method::PUT, "/api/v1/runs/{id}/budget", OPERATORS, Missing), json!({ "budget_usd_micros": null })),
        with(post("/api/v1/runs/{id}/signals/{name}", OPERATORS, Missing), json!({ "payload": 1 })),
        get("/api/v1/runs/{id}/artifacts", VIEWERS, Missing),
        get("/api/v1/runs/{id}/events", REVIEWERS, Missing),
        get("/api/v1/human-tasks", VIEWERS, Own),
        get("/api/v1/human-tasks/{id}", VIEWERS, Missing),
        post("/api/v1/human-tasks/{id}/claim", REVIEWERS, Missing),
        post("/api/v1/human-tasks/{id}/release", REVIEWERS, Missing),
        with(post("/api/v1/human-tasks/{id}/answer", REVIEWERS, Missing), json!({ "answer": {} })),
        post("/api/v1/human-tasks/{id}/reject", REVIEWERS, Missing),
        post("/api/v1/files", REVIEWERS, Common),
        get("/api/v1/files/{id}", REVIEWERS, Missing),
        get("/api/v1/queues", VIEWERS, Common),
        get("/api/v1/workers", VIEWERS, Common),
        get("/api/v1/pauses", VIEWERS, Common),
        post("/api/v1/workflows/{name}/pause", OPERATORS, Common),
        post("/api/v1/workflows/{name}/resume", OPERATORS, Common),
        post("/api/v1/queues/{name}/pause", OPERATORS, Common),
        post("/api/v1/queues/{name}/resume", OPERATORS, Common),
        post("/api/v1/workers/{id}/pause", OPERATORS, Common),
        post("/api/v1/workers/{id}/resume", OPERATORS, Common),
        post("/api/v1/tenants/{name}/pause", ADMINS, Common),
        post("/api/v1/tenants/{name}/resume", ADMINS, Common),
        post("/api/v1/engine/pause", ADMINS, Common),
        post("/api/v1/engine/resume", ADMINS, Common),
        get("/api/v1/events", VIEWERS, Own),
        with(post("/api/v1/events", OPERATORS, Common), json!({ "key": "nothing:fits" })),
        get("/api/v1/events/{id}", VIEWERS, Missing),
        post("/api/v1/events/{id}/replay", OPERATORS, Missing),
        get("/api/v1/event-triggers", VIEWERS, Own),
        get("/api/v1/event-triggers/{name}", VIEWERS, Missing),
        // A trigger of that name is another one in each tenant.
        with(row(Method::PUT, "/api/v1/event-triggers/{name}", ADMINS, Common), json!({ "key": "", "workflow": "" })),
        row(Method::DELETE, "/api/v1/event-triggers/{name}", ADMINS, Missing),
        get("/api/v1/webhooks/incoming", VIEWERS, Own),
        get("/api/v1/webhooks/incoming/{name}", VIEWERS, Missing),
        get("/api/v1/webhooks/incoming/{name}/failures", VIEWERS, Missing),
        // A webhook of that name is another one in each tenant.
        with(row(Method::PUT, "/api/v1/webhooks/incoming/{name}", ADMINS, Common), json!({ "proof": { "kind": "" } })),
        row(Method::DELETE, "/api/v1/webhooks/incoming/{name}", ADMINS, Missing),
        get("/api/v1/webhooks/outgoing", VIEWERS, Own),
        get("/api/v1/webhooks/outgoing/{name}", VIEWERS, Missing),
        get("/api/v1/webhooks/outgoing/{name}/deliveries", VIEWERS, Missing),
        post("/api/v1/webhooks/outgoing/{name}/deliveries/{id}/redeliver", OPERATORS, Missing),
        with(row(Method::PUT, "/api/v1/webhooks/outgoing/{name}", ADMINS, Common), json!({ "url": "", "kinds": [] })),
        row(Method::DELETE, "/api/v1/webhooks/outgoing/{name}", ADMINS, Missing),
        get("/api/v1/schedules", VIEWERS, Own),
        get("/api/v1/schedules/{name}", VIEWERS, Missing),
        // A schedule of that name is another one in each tenant.
        with(
            row(Method::PUT, "/api/v1/schedules/{name}", OPERATORS, Common),
            json!({ "workflow": "", "run": { "input": 0 } }),
        ),
        post("/api/v1/schedules/{name}/pause", OPERATORS, Missing),
        post("/api/v1/schedules/{name}/resume", OPERATORS, Missing),
        post("/api/v1/schedules/{name}/trigger", OPERATORS, Missing),
        with(
            post("/api/v1/schedules/{name}/backfill", OPERATORS, Missing),
            json!({ "from": "2026-11-21T00:00:00Z", "until": "2026-11-21T00:00:01Z" }),
        ),
        get("/api/v1/schedules/{name}/fires", VIEWERS, Missing),
        row(Method::DELETE, "/api/v1/schedules/{name}", OPERATORS, Missing),
        get("/api/v1/tokens", ADMINS, Own),
        with(post("/api/v1/tokens", ADMINS, Common), json!({ "name": "" })),
        row(Method::DELETE, "/api/v1/tokens/{id}", ADMINS, Missing),
        get("/api/v1/whoami", PEOPLES, Common),
        get("/api/v1/audit", ADMINS, Own),
        get("/api/v1/limits", VIEWERS, Own),
        get("/api/v1/limits/{name}", VIEWERS, Missing),
        get("/api/v1/limits/{name}/keys", VIEWERS, Missing),
        // A limit of that name is another one in each tenant.
        with(row(Method::PUT, "/api/v1/limits/{name}", ADMINS, Common), json!({ "workflow": "", "most": 1 })),
        row(Method::DELETE, "/api/v1/limits/{name}", ADMINS, Missing),
        post("/api/v1/limits/{name}/cool-down", OPERATORS, Missing),
        get("/api/v1/rules", VIEWERS, Own),
        with(row(Method::PUT, "/api/v1/rules/{kind}/{name}", ADMINS, Common), json!({ "percent": 50 })),
        row(Method::DELETE, "/api/v1/rules/{kind}/{name}", ADMINS, Common),
        get("/api/v1/admin/tier-metrics", VIEWERS, Own),
        get("/api/v1/sandboxes", VIEWERS, Own),
        post("/api/v1/sandboxes/{id}/kill", OPERATORS, Missing),
        get("/api/v1/subjects/{subject}", VIEWERS, Missing),
        get("/api/v1/subjects/{subject}/items", VIEWERS, Own),
        get("/api/v1/subjects/{subject}/item", REVIEWERS, Missing),
        row(Method::DELETE, "/api/v1/subjects/{subject}/item", OPERATORS, Missing),
        post("/api/v1/subjects/{subject}/item/restore", OPERATORS, Missing),
        get("/api/v1/subjects/{subject}/uses", VIEWERS, Own),
        get("/api/v1/subjects/{subject}/files", VIEWERS, Own),
        post("/api/v1/subjects/{subject}/erase", ADMINS, Missing),
        with(
            row(Method::PUT, "/api/v1/subjects/{subject}/items", OPERATORS, Common),
            json!({ "kind": "answer", "name": "q", "value": "42" }),
        ),
        get("/api/v1/session", PEOPLES, Missing),
        row(Method::DELETE, "/api/v1/session", PEOPLES, Missing),
        post("/worker/v1/sessions", NOBODY, Common),
        row(Method::DELETE, "/worker/v1/sessions/{id}", NOBODY, Common),
        post("/worker/v1/heartbeats", NOBODY, Common),
        post("/worker/v1/claims", NOBODY, Common),
        post("/worker/v1/claim", NOBODY, Common),
        post("/worker/v1/finishes", NOBODY, Common),
        post("/worker/v1/effects", NOBODY, Common),
        post("/worker/v1/items", NOBODY, Common),
        post("/worker/v1/tiers", NOBODY, Common),
        post("/worker/v1/resources", NOBODY, Common),
        post("/worker/v1/items/names", NOBODY, Common),
        post("/worker/v1/items/keep", NOBODY, Common),
        post("/worker/v1/blobs", NOBODY, Common),
        get("/worker/v1/blobs/{id}", NOBODY, Common),
    ]
}

/// Routes that want no token.
const OPEN: [&str; 7] = [
    "/api/v1/completions/{token}",
    "/api/v1/hooks/{tenant}/{name}",
    "/api/v1/openapi.json",
    "/api/v1/webhooks/sandbox",
    "/healthz",
    "/metrics",
    "/readyz",
];

/// Of a path of [`rows`], the method that wants no token.
const SIGN_IN: (&str, &str) = ("post", "/api/v1/session");

/// One of each thing that a path may name.
pub struct Things {
    pub bulk: String,
    pub event: String,
    pub run: String,
    pub task: String,
    pub file: String,
    pub token: String,
}

impl Things {
    /// One of each, in the tenant `acme`.
    pub async fn make(app: &TestApp) -> Self {
        let run = app.start_run("ask", &json!({})).await;
        let task = app.run(&run).await["tasks"][0]["id"].as_str().expect("a task").to_owned();
        let file = super::files::upload(app, PEOPLE, "ada").await;
        let item = json!({ "kind": "answer", "name": "q", "value": "41" });
        app.send(Call::new(Method::PUT, "/api/v1/subjects/ada/items").json(&item)).await.expect(201);
        let schedule = json!({ "workflow": "ask", "cron": "@yearly", "run": { "input": {} } });
        app.send(Call::new(Method::PUT, "/api/v1/schedules/ask").json(&schedule)).await.expect(201);
        let made = create(app, PEOPLE, &json!({ "name": "a bystander", "role": "viewer" })).await.expect(201).json();
        let trigger = json!({ "key": "quiet", "workflow": "ask" });
        app.send(Call::new(Method::PUT, "/api/v1/event-triggers/ask").json(&trigger)).await.expect(201);
        let webhook = json!({ "proof": { "kind": "api_key", "secrets": ["s"] }, "start": { "workflow": "ask" } });
        app.send(Call::new(Method::PUT, "/api/v1/webhooks/incoming/ask").json(&webhook)).await.expect(201);
        let webhook = json!({ "url": "https://hooks.example/x", "kinds": ["run.*"], "workflow": "ask" });
        app.send(Call::new(Method::PUT, "/api/v1/webhooks/outgoing/ask").json(&webhook)).await.expect(201);
        let limit = json!({ "workflow": "ask", "most": 1_000 });
        app.send(Call::new(Method::PUT, "/api/v1/limits/ask").json(&limit)).await.expect(201);
        let pushed = app.send(Call::post("/api/v1/events").json(&json!({ "key": "k" }))).await.expect(201).json();
        let event = pushed["id"].as_str().expect("an id").to_owned();
        let bulk = json!({ "action": "pause", "filter": { "subject": "nobody" } });
        let bulk = app.send(Call::post("/api/v1/bulk-operations").json(&bulk)).await.expect(201).json();
        let bulk = bulk["id"].as_str().expect("an id").to_owned();
        Self { bulk, event, run, task, file, token: made["id"].as_str().expect("an id").to_owned() }
    }

    /// The path of a route, with their names in it.
    pub fn place(&self, route: &str) -> String {
        let id = match route {
            route if route.starts_with("/api/v1/human-tasks") => &self.task,
            route if route.contains("/files/") || route.contains("/blobs/") => &self.file,
            route if route.contains("/tokens/") => &self.token,
            route if route.contains("/bulk-operations/") => &self.bulk,
            route if route.contains("/events/{id}") => &self.event,
            _ => &self.run,
        };
        let place =
            route.replace("{id}", id).replace("{seq}", "1").replace("{name}", "ask").replace("{subject}", "ada");
        let place = place.replace("{kind}", "tier");
        match place {
            place if place.ends_with("/item") => format!("{place}?kind=answer&name=q"),
            place if place.ends_with("/restore") => format!("{place}?kind=answer&name=q&version=1"),
            place => place,
        }
    }
}

async fn create(app: &TestApp, token: &str, body: &Value) -> Answer {
    app.send(Call::post("/api/v1/tokens").token(token).json(body)).await
}

/// The secret of a new token.
pub async fn secret(app: &TestApp, body: &Value) -> String {
    create(app, PEOPLE, body).await.expect(201).json()["secret"].as_str().expect("a secret").to_owned()
}

/// What a request is told before its handler has a say.
async fn asked(app: &TestApp, row: &Row, things: &Things, token: &str) -> (u16, Value) {
    let mut call = Call::new(row.method.clone(), things.place(row.route)).token(token);
    if let Some(body) = &row.body {
        call = call.json(body);
    }
    let response = app.open(call.into_request()).await;
    let status = response.status().as_u16();
    let is_stream =
        response.headers().get("content-type").is_some_and(|v| v.as_bytes().starts_with(b"text/event-stream"));
    if is_stream {
        return (status, Value::Null);
    }
    let bytes = axum::body::to_bytes(response.into_body(), 64 << 20).await.expect("a body");
    (status, serde_json::from_slice(&bytes).unwrap_or_default())
}

#[tokio::test]
async fn every_route_opens_to_its_roles_and_to_nobody_else() {
    let app = TestApp::start().await;
    let things = Things::make(&app).await;
    let mut tokens = vec![("worker", WORKER.to_owned())];
    for role in VIEWERS {
        tokens.push((*role, secret(&app, &json!({ "name": role, "role": role })).await));
    }
    for row in rows() {
        let name = format!("{} {}", row.method, row.route);
        let nobody = asked(&app, &row, &things, "vt_guessed").await;
        assert_eq!((nobody.0, &nobody.1["code"]), (401, &json!("unauthorized")), "{name} with a guessed token");
        for (role, token) in &tokens {
            let (status, body) = asked(&app, &row, &things, token).await;
            let is_closed = status == 403 && body["code"] == "wrong_scope";
            let may = row.roles.contains(role)
                || *role == "worker" && (row.route.starts_with("/worker/") || row.route == "/api/v1/whoami");
            assert_eq!(!is_closed, may, "{name} as {role}: {status} {body}");
            assert_ne!(status, 401, "{name} as {role}");
        }
    }
}

#[tokio::test]
async fn nothing_of_a_tenant_is_there_for_another() {
    let app = TestApp::start().await;
    let things = Things::make(&app).await;
    for row in rows() {
        let name = format!("{} {}", row.method, row.route);
        let (status, body) = asked(&app, &row, &things, OTHER_TENANT).await;
        match row.foreign {
            Missing => assert_eq!(status, 404, "{name}: {body}"),
            Own => {
                let told = body.to_string();
                let theirs = [&things.run, &things.task, &things.file, &things.token, &things.event, &things.bulk];
                assert!(status == 200 && theirs.iter().all(|id| !told.contains(id.as_str())), "{name}: {told}");
            }
            Common => {}
        }
    }
    let still = app.run(&things.run).await;
    assert_eq!((&still["status"], &still["paused"]), (&json!("waiting"), &json!(false)), "{still}");
    assert_eq!(still["tasks"][0]["state"], "open");
}

/// A route that is added without its row here, or without its scopes, is noticed.
#[tokio::test]
async fn every_route_has_its_row() {
    let app = TestApp::start().await;
    let mut known: Vec<String> = rows().iter().map(|row| row.route.to_owned()).chain(OPEN.map(str::to_owned)).collect();
    known.sort();
    known.dedup();
    let routed: Vec<String> = super::openapi::routed(&app.routes()).into_iter().collect();
    assert_eq!(known, routed);
    // Each method of each path.
    let document = app.send(Call::get("/api/v1/openapi.json")).await.expect(200).json();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for verb in item.as_object().expect("an item").keys() {
            let is_known = rows().iter().any(|row| row.route == path && row.method.as_str().eq_ignore_ascii_case(verb));
            let is_open = OPEN.contains(&path.as_str()) || SIGN_IN == (verb, path);
            assert!(is_known || is_open, "{verb} {path} has no row");
        }
    }
}

/// A tenant begins with a token that is made for it; the workers that an engine knows by its file do its steps.
#[tokio::test]
async fn a_tenant_is_opened_with_the_engines_own_token_and_its_steps_are_done() {
    let app = TestApp::start().await;
    let admin = secret(&app, &json!({ "name": "boss", "role": "admin", "tenant": "newcomer" })).await;
    let who = app.send(Call::get("/api/v1/whoami").token(&admin)).await.expect(200).json();
    assert_eq!(who["tenant"], "newcomer");
    let start = Call::post("/api/v1/workflows/echo/runs").token(&admin);
    let started = app.send(start.json(&json!({ "input": { "text": "x" } }))).await.expect(201).json();
    let run = started["id"].as_str().expect("an id").to_owned();
    let file = super::files::upload(&app, &admin, "ada").await;

    let worker = super::worker::Worker::open(&app).await;
    let hold = worker.take(&run, 1, 1).await;
    app.send(Call::get(format!("/worker/v1/blobs/{file}")).token(WORKER)).await.expect(200);
    let picture = Call::post(format!("/worker/v1/blobs?run={}&seq=1&name=page.png", hold.run)).token(WORKER);
    app.send(picture.body(b"a picture".to_vec())).await.expect(201);
    worker.finish(&hold, &json!({ "done": { "output": "x" } })).await;

    let artifacts = app.send(Call::get(format!("/api/v1/runs/{run}/artifacts")).token(&admin)).await.expect(200).json();
    assert_eq!(artifacts["artifacts"][0]["filename"], "page.png");
    app.send(Call::get(format!("/api/v1/runs/{run}"))).await.problem(404, "run_not_found");
    let theirs = app.send(Call::get("/api/v1/tokens")).await.expect(200).json();
    assert_eq!(theirs["tokens"], json!([]), "it is the newcomer's");

    let further = json!({ "name": "x", "role": "viewer", "tenant": "acme" });
    create(&app, &admin, &further).await.problem(403, "out_of_reach").at("/tenant");
    create(&app, PEOPLE, &json!({ "name": "x", "role": "viewer", "tenant": "" }))
        .await
        .problem(422, "invalid_input")
        .at("/tenant");
}

#[tokio::test]
async fn a_limited_token_finds_only_what_it_reaches() {
    let app = TestApp::start().await;
    let start = async |workflow: &str, subject: &str| {
        let call = Call::post(format!("/api/v1/workflows/{workflow}/runs"));
        let call = call.json(&json!({ "input": {}, "subject": subject }));
        app.send(call).await.expect(201).json()["id"].as_str().expect("an id").to_owned()
    };
    let (own, others, elsewhere) =
        (start("ask", "ada").await, start("ask", "eve").await, start("anything", "ada").await);
    let limits = json!({ "name": "ada's", "role": "operator", "workflows": ["ask"], "subjects": ["ada"] });
    let token = secret(&app, &limits).await;
    let get = async |path: String| app.send(Call::get(path).token(&token)).await;

    let list = get("/api/v1/runs".to_owned()).await.expect(200).json();
    let ids: Vec<&str> = list["runs"].as_array().expect("runs").iter().filter_map(|run| run["id"].as_str()).collect();
    assert_eq!(ids, [own.as_str()]);
    get(format!("/api/v1/runs/{own}")).await.expect(200);
    for hidden in [&others, &elsewhere] {
        for path in ["", "/artifacts", "/events"] {
            get(format!("/api/v1/runs/{hidden}{path}")).await.problem(404, "run_not_found");
        }
        let cancel = Call::post(format!("/api/v1/runs/{hidden}/cancel")).token(&token);
        app.send(cancel).await.problem(404, "run_not_found");
        let before = app.run(hidden).await["revision"].clone();
        assert!(before.is_u64());
        let signal = Call::post(format!("/api/v1/runs/{hidden}/signals/go")).json(&json!({ "payload": 1 }));
        app.send(signal.token(&token)).await.problem(404, "run_not_found").at("id");
        assert_eq!(app.run(hidden).await["revision"], before, "nothing was written down");
    }
    let tasks = get("/api/v1/human-tasks".to_owned()).await.expect(200).json();
    assert_eq!(tasks["tasks"].as_array().map(Vec::len), Some(1), "{tasks}");
    let hidden = app.run(&others).await["tasks"][0]["id"].as_str().expect("a task").to_owned();
    get(format!("/api/v1/human-tasks/{hidden}")).await.problem(404, "task_not_found");

    let start = |workflow: &str, subject: &str| {
        let call = Call::post(format!("/api/v1/workflows/{workflow}/runs")).token(&token);
        app.send(call.json(&json!({ "input": {}, "subject": subject })))
    };
    start("ask", "ada").await.expect(201);
    start("ask", "eve").await.problem(403, "out_of_reach").at("/subject");
    start("anything", "ada").await.problem(404, "workflow_not_found");
    let workflows = get("/api/v1/workflows".to_owned()).await.expect(200).json();
    assert_eq!(workflows["workflows"].as_array().map(Vec::len), Some(1));

    let (mine, not_mine) =
        (super::files::upload(&app, PEOPLE, "ada").await, super::files::upload(&app, PEOPLE, "eve").await);
    get(format!("/api/v1/files/{mine}")).await.expect(200);
    get(format!("/api/v1/files/{not_mine}")).await.problem(404, "file_not_found");
}

#[tokio::test]
async fn a_token_is_shown_once_used_revoked_and_over() {
    let app = TestApp::start().await;
    let made = create(&app, PEOPLE, &json!({ "name": "ci", "scopes": ["trigger", "read"] })).await.expect(201).json();
    let (id, secret) = (made["id"].as_str().expect("an id"), made["secret"].as_str().expect("a secret"));
    assert!(secret.starts_with("vt_") && secret.len() == 67, "{} characters", secret.len());
    let text: Vec<String> =
        sqlx::query_scalar("SELECT t::text FROM tokens t").fetch_all(app.pool()).await.expect("rows");
    assert!(!text.concat().contains(&secret[3..]), "only its hash is stored");

    let who = app.send(Call::get("/api/v1/whoami").token(secret)).await.expect(200).json();
    assert_eq!((&who["name"], &who["tenant"]), (&json!("ci"), &json!("acme")));
    let listed = app.send(Call::get("/api/v1/tokens")).await.expect(200);
    assert!(!String::from_utf8_lossy(&listed.bytes).contains("secret"));
    assert!(listed.json()["tokens"][0]["last_used_at"].is_string(), "{}", listed.json());
    create(&app, PEOPLE, &json!({ "name": "ci", "role": "viewer" })).await.problem(409, "name_taken").at("/name");

    let revoke = || app.send(Call::new(Method::DELETE, format!("/api/v1/tokens/{id}")));
    revoke().await.expect(204);
    app.send(Call::get("/api/v1/whoami").token(secret)).await.problem(401, "unauthorized");
    revoke().await.expect(204);
    create(&app, PEOPLE, &json!({ "name": "ci", "role": "viewer" })).await.expect(201);

    let brief =
        create(&app, PEOPLE, &json!({ "name": "brief", "role": "viewer", "expires_in_s": 60 })).await.expect(201);
    let brief = brief.json();
    sqlx::query("UPDATE tokens SET expires_at = now() - interval '1 second' WHERE name = 'brief'")
        .execute(app.pool())
        .await
        .expect("a later time");
    let late = Call::get("/api/v1/whoami").token(brief["secret"].as_str().expect("a secret"));
    app.send(late).await.problem(401, "unauthorized");
}

/// An engine that did not revoke it learns it soon.
#[tokio::test]
async fn a_token_that_was_revoked_elsewhere_opens_nothing_after_a_moment() {
    let app = TestApp::start().await;
    let other = TestApp::on(&app.url).await;
    let token = secret(&app, &json!({ "name": "shared", "role": "viewer" })).await;
    other.send(Call::get("/api/v1/runs").token(&token)).await.expect(200);
    let id = app.send(Call::get("/api/v1/tokens")).await.json()["tokens"][0]["id"].as_str().expect("an id").to_owned();
    app.send(Call::new(Method::DELETE, format!("/api/v1/tokens/{id}"))).await.expect(204);
    super::database::until("the other engine to refuse it", async || {
        let answer = other.send(Call::get("/api/v1/runs").token(&token)).await;
        (answer.status == 401).then_some(())
    })
    .await;
}

/// Of an admin who reaches one subject, the tokens of others are hidden, and those without a limit too.
#[tokio::test]
async fn a_limited_admin_sees_and_revokes_only_tokens_within_their_own_reach() {
    let app = TestApp::start().await;
    let make = async |name: &str, limits: Value| {
        let mut body = json!({ "name": name, "role": "admin" });
        body.as_object_mut().expect("an object").extend(limits.as_object().expect("an object").clone());
        let made = create(&app, PEOPLE, &body).await.expect(201).json();
        (made["id"].as_str().expect("an id").to_owned(), made["secret"].as_str().expect("a secret").to_owned())
    };
    let (own, limited) = make("limited", json!({ "workflows": ["ask", "other"], "subjects": ["ada"] })).await;
    let (within, within_secret) = make("within", json!({ "workflows": ["ask"], "subjects": ["ada"] })).await;
    let beyond = [
        make("all", json!({})).await,
        make("all subjects", json!({ "workflows": ["ask"] })).await,
        make("all workflows", json!({ "subjects": ["ada"] })).await,
        make("one subject more", json!({ "workflows": ["ask"], "subjects": ["ada", "eve"] })).await,
        make("another workflow", json!({ "workflows": ["third"], "subjects": ["ada"] })).await,
    ];
    let listed = app.send(Call::get("/api/v1/tokens").token(&limited)).await.expect(200).json();
    let ids: Vec<&str> = listed["tokens"].as_array().expect("tokens").iter().filter_map(|t| t["id"].as_str()).collect();
    assert_eq!(ids, [within.as_str(), own.as_str()], "{listed}");
    let revoke =
        async |id: &str| app.send(Call::new(Method::DELETE, format!("/api/v1/tokens/{id}")).token(&limited)).await;
    for (id, secret) in &beyond {
        revoke(id).await.problem(404, "token_not_found");
        app.send(Call::get("/api/v1/whoami").token(secret)).await.expect(200);
    }
    revoke(&within).await.expect(204);
    app.send(Call::get("/api/v1/whoami").token(&within_secret)).await.problem(401, "unauthorized");
    // Whoever reaches all sees all.
    let all = app.send(Call::get("/api/v1/tokens")).await.expect(200).json();
    assert_eq!(all["tokens"].as_array().map(Vec::len), Some(7));
}

#[tokio::test]
async fn what_is_no_token_is_refused_at_its_place() {
    let app = TestApp::start().await;
    let cases = [
        (json!({ "name": "", "role": "viewer" }), "/name"),
        (json!({ "name": "x".repeat(129), "role": "viewer" }), "/name"),
        (json!({ "name": "a\nb", "role": "viewer" }), "/name"),
        (json!({ "name": "x" }), "/role"),
        (json!({ "name": "x", "role": "viewer", "scopes": ["read"] }), "/role"),
        (json!({ "name": "x", "role": "worker", "subjects": ["ada"] }), "/scopes"),
        (json!({ "name": "x", "scopes": [] }), "/role"),
        (json!({ "name": "x", "scopes": ["everything"] }), "/scopes"),
        (json!({ "name": "x", "scopes": ["work", "read"] }), "/scopes"),
        (json!({ "name": "x", "role": "viewer", "workflows": [] }), "/workflows"),
        (json!({ "name": "x", "role": "viewer", "subjects": [""] }), "/subjects"),
        (json!({ "name": "x", "role": "viewer", "expires_in_s": 1 }), "/expires_in_s"),
    ];
    for (body, field) in cases {
        create(&app, PEOPLE, &body).await.problem(422, "invalid_input").at(field);
    }
    let limited = json!({ "name": "limited", "role": "admin", "subjects": ["ada"] });
    let limited = secret(&app, &limited).await;
    let wider = json!({ "name": "wider", "role": "viewer" });
    create(&app, &limited, &wider).await.problem(403, "out_of_reach").at("/subjects");
    let within = json!({ "name": "within", "role": "viewer", "subjects": ["ada"] });
    create(&app, &limited, &within).await.expect(201);
}

/// Two at once with one name: one token.
#[tokio::test]
async fn of_equal_names_at_once_one_becomes_a_token() {
    let app = TestApp::start().await;
    let body = json!({ "name": "one", "role": "viewer" });
    let answers = join_all((0..8).map(|_| create(&app, PEOPLE, &body))).await;
    let made = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!((made, answers.iter().filter(|answer| answer.status == 409).count()), (1, 7));
}
