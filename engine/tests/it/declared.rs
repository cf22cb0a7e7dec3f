//! Declared workflows over HTTP: registered, checked, versioned, pinned, and carried out by any worker.

use axum::http::Method;
use serde_json::{Value, json};

use super::app::TestApp;
use super::calls::{Answer, Call, OTHER_TENANT, PEOPLE, WORKER};
use super::worker::Worker;
use super::{access, database};

fn put(name: &str, definition: &Value) -> Call {
    Call::new(Method::PUT, format!("/api/v1/workflows/{name}")).json(definition)
}

pub async fn register(app: &TestApp, name: &str, definition: &Value) -> Answer {
    app.send(put(name, definition)).await
}

fn start(name: &str, input: &Value) -> Call {
    Call::post(format!("/api/v1/workflows/{name}/runs")).json(&json!({ "input": input }))
}

fn places(answer: &Answer) -> Vec<String> {
    let errors = answer.json()["errors"].as_array().cloned().unwrap_or_default();
    errors.iter().filter_map(|error| error["field"].as_str().map(ToOwned::to_owned)).collect()
}

fn greeting(word: &str) -> Value {
    json!({
        "tasks": { "greet": { "step": "greet", "input": { "text": { "$cel": format!("'{word} ' + input.name") } } } },
        "input_schema": { "type": "object", "required": ["name"], "properties": { "name": { "type": "string" } } },
        "output": "tasks.greet.output",
    })
}

async fn stored(app: &TestApp) -> i64 {
    let count = "SELECT count(*) FROM declared_workflows";
    sqlx::query_scalar(count).fetch_one(app.pool()).await.expect("a count")
}

/// A worker that knows the protocol and nothing else: it takes what comes, by the name of the step.
pub async fn work_off(
    app: &TestApp,
    worker: &Worker<'_>,
    steps: usize,
    answer: impl Fn(&str, &Value) -> Value,
) -> Vec<String> {
    let mut done = Vec::new();
    for _ in 0..steps {
        let next = json!({ "session": worker.session_uuid() });
        let call = Call::post("/worker/v1/claim?wait=20s").token(WORKER).json(&next);
        let granted = app.send(call).await.expect(200).json()["granted"][0].clone();
        let name = granted["name"].as_str().expect("a step's name").to_owned();
        let finish = json!({
            "run": granted["run"], "seq": granted["seq"], "attempt": granted["attempt"], "lease": granted["lease"],
            "outcome": answer(&name, &granted["input"]),
        });
        let finishes = json!({ "session": worker.session_uuid(), "finishes": [finish] });
        let told = worker.post("finishes", &finishes).await.expect(200).json();
        assert!(told["answers"][0].get("accepted").is_some(), "{told}");
        done.push(name);
    }
    done
}

#[tokio::test]
async fn any_worker_that_speaks_http_carries_a_declared_workflow_out() {
    let app = TestApp::start().await;
    let definition = json!({
        "tasks": {
            "fetch": { "step": "fetch", "input": { "page": { "$cel": "input.page" } } },
            "count": { "step": "count", "parents": ["fetch"] },
            "mail": { "step": "mail", "parents": ["count"], "skip_if": "parents.count.output < 3" },
            "store": { "step": "store", "parents": ["fetch", "mail"], "input": { "$cel": "parents.fetch.output" } },
        },
        "output": "{'count': tasks.count.output, 'mailed': !tasks.mail.skipped, 'stored': tasks.store.output}",
    });
    let registered = register(&app, "pages", &definition).await.expect(201).json();
    assert_eq!(registered, json!({ "name": "pages", "version": 1, "created": true }));
    let run = app.start_run("pages", &json!({ "page": 7 })).await;
    let worker = Worker::open(&app).await;
    let done = work_off(&app, &worker, 3, |name, input| match name {
        "fetch" => {
            assert_eq!(*input, json!({ "page": 7 }));
            json!({ "done": { "output": ["a", "b"] } })
        }
        "count" => {
            assert_eq!(*input, json!({ "input": { "page": 7 }, "parents": { "fetch": ["a", "b"] } }));
            json!({ "done": { "output": 2 } })
        }
        "store" => json!({ "done": { "output": input.as_array().map(Vec::len) } }),
        other => panic!("{other} was to be skipped"),
    });
    assert_eq!(done.await, ["fetch", "count", "store"]);
    let ended = app.until_status(&run, "succeeded").await;
    assert_eq!(ended["output"], json!({ "count": 2, "mailed": false, "stored": 2 }));
    assert_eq!(ended["workflow"], "pages");
}

#[tokio::test]
async fn a_failed_task_is_told_and_fails_the_run() {
    let app = TestApp::start().await;
    let definition = json!({
        "tasks": { "bad": { "step": "bad", "max_attempts": 2, "backoff": { "initial_ms": 1 } }, "never": { "step": "never", "parents": ["bad"] } },
        "on_failure": { "step": "tell" },
    });
    register(&app, "failing", &definition).await.expect(201);
    let run = app.start_run("failing", &json!({ "n": 1 })).await;
    let worker = Worker::open(&app).await;
    let done = work_off(&app, &worker, 3, |name, input| {
        if name == "bad" {
            return json!({ "retry": { "error": { "code": "flaky", "message": "no luck" } } });
        }
        assert_eq!(input["error"], json!({ "code": "flaky", "message": "no luck", "task": "bad" }));
        assert_eq!(input["input"], json!({ "n": 1 }));
        json!({ "done": { "output": null } })
    });
    assert_eq!(done.await, ["bad", "bad", "tell"]);
    let ended = app.until_status(&run, "failed").await;
    assert_eq!(ended["error"]["code"], "flaky");
}

#[tokio::test]
async fn versions_grow_only_with_another_definition() {
    let app = TestApp::start().await;
    let told = async |definition: &Value, status: u16| {
        let told = register(&app, "greeting", definition).await.expect(status).json();
        (told["version"].as_i64().expect("a version"), told["created"].as_bool().expect("a word"))
    };
    assert_eq!(told(&greeting("Hello"), 201).await, (1, true));
    assert_eq!(told(&greeting("Hello"), 200).await, (1, false));
    let mut named = greeting("Hello");
    named["name"] = json!("greeting");
    assert_eq!(told(&named, 200).await, (1, false), "the same with its name");
    assert_eq!(told(&greeting("Good day"), 201).await, (2, true));
    assert_eq!(told(&greeting("Hello"), 201).await, (3, true), "going back is a new version too");
    assert_eq!(stored(&app).await, 3);
    let shown = |path: &str| app.send(Call::get(format!("/api/v1/workflows/greeting{path}")));
    let newest = shown("").await.expect(200).json();
    assert_eq!(
        (&newest["kind"], &newest["version"], &newest["created_by"]),
        (&json!("declared"), &json!(3), &json!("ada"))
    );
    assert_eq!(newest["input_schema"]["required"], json!(["name"]));
    let second = shown("/versions/2").await.expect(200).json();
    assert!(second["definition"].to_string().contains("Good day"), "{second}");
    for missing in ["4", "0", "-1", "x", "99999999999"] {
        shown(&format!("/versions/{missing}")).await.problem(404, "workflow_not_found").at("version");
    }
    let list = app.send(Call::get("/api/v1/workflows")).await.expect(200).json();
    let listed: Vec<&Value> =
        list["workflows"].as_array().expect("a list").iter().filter(|w| w["kind"] == "declared").collect();
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert_eq!((&listed[0]["name"], &listed[0]["version"]), (&json!("greeting"), &json!(3)));
    assert!(listed[0].get("definition").is_none());
}

#[tokio::test]
async fn equal_puts_at_once_make_one_version() {
    let app = TestApp::start().await;
    let puts = (0..16).map(|_| app.send(put("greeting", &greeting("Hello"))));
    let answers = futures::future::join_all(puts).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1, "{answers:?}");
    assert!(answers.iter().all(|answer| answer.json()["version"] == 1), "{answers:?}");
    assert_eq!(stored(&app).await, 1);
}

/// Also with an engine that never saw the first version, and with no row left of it.
#[tokio::test]
async fn a_run_goes_on_with_the_definition_that_it_began_with() {
    let app = TestApp::start().await;
    let two_steps = |last: &str| json!({ "tasks": { "a": { "step": "a" }, "b": { "step": last, "parents": ["a"] } } });
    register(&app, "twofold", &two_steps("first")).await.expect(201);
    let old = app.start_run("twofold", &json!({})).await;
    register(&app, "twofold", &two_steps("second")).await.expect(201);
    let new = app.start_run("twofold", &json!({})).await;
    sqlx::query("DELETE FROM declared_workflows").execute(app.pool()).await.expect("a delete");
    app.engine.stop().await;
    let other = TestApp::on(&app.url).await;
    let worker = Worker::open(&other).await;
    for (run, last) in [(&old, "first"), (&new, "second")] {
        worker.carry_out(run, 1, json!(1)).await;
        let steps = database::until("the second step is there", async || {
            let steps = other.run(run).await["steps"].clone();
            (steps.as_array().map(Vec::len) == Some(2)).then_some(steps)
        });
        assert_eq!(steps.await[1]["name"], last);
        worker.carry_out(run, 2, json!(2)).await;
        assert_eq!(other.until_status(run, "succeeded").await["output"], json!({ "b": 2 }));
    }
}

#[tokio::test]
async fn faults_are_told_all_at_once_with_their_places() {
    let app = TestApp::start().await;
    let bad = json!({
        "name": "another",
        "tasks": {
            "a": { "step": "s", "parents": ["c"], "skip_if": "1 +" },
            "b": { "step": "s", "parents": ["nobody", "b"], "execution_timeout": "soon", "labels": { "GPU": "yes" },
                   "prefer_labels": [{ "labels": {}, "weight": 5 }, { "labels": { "zone": "eu" }, "weight": 101 }],
                   "sticky": { "to": "c", "mode": "hard" } },
            "c": { "step": "s", "parents": ["a"], "input": { "x": { "$cel": "parents.b.output" } } },
        },
        "input_schema": { "type": "nonsense" },
    });
    for path in ["faulty", "faulty?dry_run=true"] {
        let refused = register(&app, path, &bad).await.problem(422, "invalid_definition").at("/tasks/a/skip_if");
        let expected = [
            "/tasks/a/skip_if",
            "/tasks/b/parents/0",
            "/tasks/b/parents/1",
            "/tasks/b/sticky/to",
            "/tasks/b/labels/GPU",
            "/tasks/b/prefer_labels/0/labels",
            "/tasks/b/prefer_labels/1/weight",
            "/tasks/b/execution_timeout",
            "/tasks/a/parents",
            "/tasks/c/input",
            "/name",
            "/input_schema",
        ];
        assert_eq!(places(&refused), expected, "{}", refused.json());
        let text = refused.json().to_string();
        assert!(text.contains("a → c → a") && text.contains("this is no CEL: line 1"), "{text}");
    }
    let ok = json!({ "tasks": { "a": { "step": "s" } } });
    let unknown = json!({ "tasks": { "a": { "step": "s", "retrys": 3 } } });
    register(&app, "faulty", &unknown).await.problem(422, "invalid_body").at("/tasks/a/retrys");
    let neither = json!({ "tasks": { "a": { "step": "s", "sticky": { "to": "b", "mode": "firm" } } } });
    register(&app, "faulty", &neither).await.problem(422, "invalid_body").at("/tasks/a/sticky/mode");
    let nothing = json!({ "tasks": { "a": {} } });
    register(&app, "faulty", &nothing).await.problem(422, "invalid_definition").at("/tasks/a/step");
    register(&app, "faulty", &json!({ "tasks": {} })).await.problem(422, "invalid_definition").at("/tasks");
    register(&app, "-x", &ok).await.problem(422, "invalid_definition").at("name");
    register(&app, "ask", &ok).await.problem(409, "workflow_in_code").at("name");
    register(&app, "x?dry=true", &ok).await.problem(400, "invalid_query").at("dry");
    let far =
        json!({ "tasks": { "a": { "step": "s" } }, "input_schema": { "$ref": "https://example.com/schema.json" } });
    register(&app, "faulty", &far).await.problem(422, "invalid_definition").at("/input_schema");
    let endless = json!({ "tasks": { "a": { "step": "s" } }, "input_schema": { "$ref": "#" } });
    register(&app, "faulty", &endless).await.problem(422, "invalid_definition").at("/input_schema");
    let wide = json!({ "tasks": { "a": { "step": "s" } }, "input_schema": { "description": "x".repeat(40_000) } });
    register(&app, "faulty", &wide).await.problem(422, "invalid_definition").at("/input_schema");
    assert_eq!(stored(&app).await, 0);
    let checked = register(&app, "faulty?dry_run=true", &ok).await.expect(200).json();
    assert_eq!(checked, json!({ "name": "faulty", "created": false }));
    assert_eq!(stored(&app).await, 0);
}

#[tokio::test]
async fn the_input_must_fit_the_declared_schema() {
    let app = TestApp::start().await;
    register(&app, "greeting", &greeting("Hello")).await.expect(201);
    app.send(start("greeting", &json!({}))).await.problem(422, "invalid_input").at("/input/name");
    app.send(start("greeting", &json!({ "name": 4 }))).await.problem(422, "invalid_input").at("/input/name");
    assert_eq!(app.runs_stored().await, 0);
    let run = app.start_run("greeting", &json!({ "name": "Ada" })).await;
    assert_eq!(app.run(&run).await["steps"][0]["input"], json!({ "text": "Hello Ada" }));
    app.send(start("nobody-knows", &json!({}))).await.problem(404, "workflow_not_found");
}

/// The key names the first run, whatever was registered since.
#[tokio::test]
async fn a_repeated_start_finds_its_run_after_a_new_version() {
    let app = TestApp::start().await;
    register(&app, "greeting", &greeting("Hello")).await.expect(201);
    let call = || start("greeting", &json!({ "name": "Ada" })).key("k");
    let first = app.send(call()).await.expect(201).json();
    register(&app, "greeting", &greeting("Good day")).await.expect(201);
    assert_eq!(app.send(call()).await.expect(200).json()["id"], first["id"]);
}

#[tokio::test]
async fn another_tenant_neither_sees_nor_starts_it() {
    let app = TestApp::start().await;
    register(&app, "greeting", &greeting("Hello")).await.expect(201);
    for call in [
        Call::get("/api/v1/workflows/greeting"),
        Call::get("/api/v1/workflows/greeting/versions/1"),
        start("greeting", &json!({ "name": "Eve" })),
    ] {
        app.send(call.token(OTHER_TENANT)).await.problem(404, "workflow_not_found");
    }
    let list = app.send(Call::get("/api/v1/workflows").token(OTHER_TENANT)).await.expect(200).json();
    assert!(!list.to_string().contains("greeting"));
    let own = app.send(put("greeting", &greeting("Hi")).token(OTHER_TENANT)).await.expect(201).json();
    assert_eq!(own["version"], 1, "names are each tenant's own");
    assert_eq!(app.send(Call::get("/api/v1/workflows/greeting")).await.expect(200).json()["version"], 1);
}

#[tokio::test]
async fn a_token_registers_and_sees_only_what_it_reaches() {
    let app = TestApp::start().await;
    for name in ["mine", "theirs"] {
        register(&app, name, &greeting("Hello")).await.expect(201);
    }
    let limited = json!({ "name": "limited", "role": "admin", "workflows": ["mine"] });
    let token = access::secret(&app, &limited).await;
    let as_limited = |call: Call| app.send(call.token(&token));
    as_limited(put("mine", &greeting("Hi"))).await.expect(201);
    as_limited(put("theirs", &greeting("Hi"))).await.problem(403, "out_of_reach");
    as_limited(Call::get("/api/v1/workflows/theirs")).await.problem(404, "workflow_not_found");
    as_limited(Call::get("/api/v1/workflows/theirs/versions/1")).await.problem(404, "workflow_not_found");
    let list = as_limited(Call::get("/api/v1/workflows")).await.expect(200).json();
    assert_eq!(list["workflows"].as_array().map(Vec::len), Some(1), "{list}");
    assert_eq!(app.send(Call::get("/api/v1/workflows/theirs").token(PEOPLE)).await.expect(200).json()["version"], 1);
}

#[tokio::test]
async fn a_tenant_has_a_bounded_number_of_them() {
    let app = TestApp::start().await;
    let fill = "INSERT INTO declared_workflows (tenant, name, version, definition, created_by) \
                SELECT 'acme', 'w' || n, 1, '{\"tasks\": {\"a\": {\"step\": \"s\"}}}', 'ada' FROM generate_series(1, 500) n";
    sqlx::query(fill).execute(app.pool()).await.expect("rows");
    register(&app, "one-more", &greeting("Hello")).await.problem(409, "too_many_workflows").at("name");
    register(&app, "w7", &greeting("Hello")).await.expect(201);
}
