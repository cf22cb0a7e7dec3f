//! The API's document and the router tell the same, and the example that ships fits its schema.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::Method;
use serde_json::Value;

use super::app::TestApp;
use super::calls::{Call, WORKER};

/// The example of `job-application` that ships.
pub const EXAMPLE: &str = include_str!("../../../workflows/examples/job-application.json");

/// Routes that the document does not list: the worker protocol has golden messages instead.
const UNLISTED: [&str; 16] = [
    "/api/v1/openapi.json",
    "/metrics",
    "/worker/v1/blobs",
    "/worker/v1/blobs/{id}",
    "/worker/v1/claim",
    "/worker/v1/claims",
    "/worker/v1/effects",
    "/worker/v1/finishes",
    "/worker/v1/heartbeats",
    "/worker/v1/items",
    "/worker/v1/items/keep",
    "/worker/v1/items/names",
    "/worker/v1/resources",
    "/worker/v1/sessions",
    "/worker/v1/sessions/{id}",
    "/worker/v1/tiers",
];

async fn document(app: &TestApp) -> Value {
    app.send(Call::get("/api/v1/openapi.json")).await.expect(200).json()
}

/// The router's own list of paths.
pub fn routed(printed: &str) -> BTreeSet<String> {
    let lists = printed.split("paths: {").skip(1).filter_map(|rest| rest.split('}').next().map(|_| rest));
    let quoted = lists.flat_map(|rest| rest.split('"').skip(1).step_by(2).take_while(|text| text.starts_with('/')));
    // The fallback lies at the root.
    quoted.filter(|path| *path != "/" && !path.contains("__private__axum")).map(ToOwned::to_owned).collect()
}

fn documented(document: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let verbs = |item: &Value| item.as_object().expect("an item").keys().cloned().collect();
    document["paths"].as_object().expect("paths").iter().map(|(path, item)| (path.clone(), verbs(item))).collect()
}

#[tokio::test]
async fn every_route_is_documented_and_every_documented_path_is_routed() {
    let app = TestApp::start().await;
    let routed = routed(&app.routes());
    assert!(routed.len() > UNLISTED.len(), "the router's list was read: {routed:?}");
    let mut told: BTreeSet<String> = documented(&document(&app).await).into_keys().collect();
    assert!(told.iter().all(|path| !UNLISTED.contains(&path.as_str())));
    told.extend(UNLISTED.map(ToOwned::to_owned));
    assert_eq!(routed, told);
}

/// A route that nobody documented would be found in the router's own list.
#[test]
fn an_undocumented_route_is_noticed() {
    let router: axum::Router = axum::Router::new()
        .route("/api/v1/secret/{id}", axum::routing::get(|| async {}))
        .merge(axum::Router::new().route("/worker/v1/other", axum::routing::post(|| async {})))
        .fallback(|| async {});
    let expected = ["/api/v1/secret/{id}", "/worker/v1/other"].map(ToOwned::to_owned);
    assert_eq!(routed(&format!("{router:?}")), expected.into_iter().collect());
}

#[tokio::test]
async fn each_path_takes_its_documented_methods_and_no_other() {
    let app = TestApp::start().await;
    for (path, verbs) in documented(&document(&app).await) {
        let place = path.replace("{id}", "run_00000000000080008000000000000000").replace("{name}", "x");
        for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            let answer = app.send(Call::new(method.clone(), place.clone())).await;
            let is_documented = verbs.contains(&method.as_str().to_lowercase());
            assert_eq!(answer.status != 405, is_documented, "{method} {path}: {}", answer.status);
            if !is_documented {
                let answer = answer.problem(405, "method_not_allowed");
                let allowed = answer.header("allow").unwrap_or_default().to_lowercase();
                assert!(verbs.iter().all(|verb| allowed.contains(verb)), "{path} allows {allowed}");
            }
        }
    }
    for path in UNLISTED.iter().filter(|path| path.starts_with("/worker/")) {
        let answer = app.send(Call::new(Method::PATCH, path.replace("{id}", "x")).token(WORKER)).await;
        answer.problem(405, "method_not_allowed");
    }
}

#[tokio::test]
async fn the_document_is_openapi_3_1_and_complete_in_itself() {
    let app = TestApp::start().await;
    let document = document(&app).await;
    assert!(document["openapi"].as_str().is_some_and(|v| v.starts_with("3.1.")), "{}", document["openapi"]);
    assert!(document["info"]["version"].as_str().is_some_and(|v| !v.is_empty()));
    assert_eq!(document["components"]["securitySchemes"]["token"]["scheme"], "bearer");
    let text = document.to_string();
    let refs: BTreeSet<&str> = text.split("\"$ref\":\"#").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(refs.len() > 10, "{refs:?}");
    for reference in refs {
        assert!(document.pointer(reference).is_some(), "{reference} leads nowhere");
    }
}

/// Clients are generated from the document: each operation needs a name of its own.
#[tokio::test]
async fn every_operation_has_its_own_id_its_parameters_and_its_errors() {
    let app = TestApp::start().await;
    let document = document(&app).await;
    let mut ids = BTreeSet::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (verb, operation) in item.as_object().expect("an item") {
            let id = operation["operationId"].as_str().unwrap_or_else(|| panic!("{verb} {path} has no id"));
            assert!(ids.insert(id.to_owned()), "{id} names two operations");
            assert!(operation["summary"].as_str().is_some_and(|s| !s.is_empty()), "{id} has no summary");
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            for name in path.split('{').skip(1).filter_map(|rest| rest.split('}').next()) {
                let told = parameters.iter().any(|p| p["name"] == name && p["in"] == "path" && p["required"] == true);
                assert!(told, "{id} does not describe {name}");
            }
            for (status, response) in operation["responses"].as_object().expect("responses") {
                if status.starts_with('4') {
                    let content = &response["content"]["application/problem+json"];
                    let schema = content["schema"]["$ref"].as_str();
                    assert_eq!(schema, Some("#/components/schemas/Problem"), "{id} {status}");
                }
            }
        }
    }
}

#[tokio::test]
async fn the_example_that_ships_fits_its_schema_and_is_taken() {
    let app = TestApp::start().await;
    let view = app.send(Call::get("/api/v1/workflows/job-application")).await.expect(200).json();
    let schema = &view["input_schema"];
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let validator = jsonschema::validator_for(schema).expect("a schema");
    let example: Value = serde_json::from_str(EXAMPLE).expect("the example is JSON");
    let faults: Vec<String> = validator.iter_errors(&example).map(|error| error.to_string()).collect();
    assert!(faults.is_empty(), "{faults:?}");
    let run = app.start_run("job-application", &example).await;
    assert_eq!(app.run(&run).await["subject"], example["subject"]);
    // Every field that the schema knows is shown by the example.
    let known: BTreeSet<&String> = schema["properties"].as_object().expect("properties").keys().collect();
    let shown: BTreeSet<&String> = example.as_object().expect("an object").keys().collect();
    assert_eq!(known, shown);
}

/// What the API answers has the shape that the document says.
#[tokio::test]
async fn answers_fit_the_documented_schemas() {
    let app = TestApp::start().await;
    let document = document(&app).await;
    let run = app.start_run("ask", &serde_json::json!({})).await;
    let task = app.run(&run).await["tasks"][0]["id"].as_str().expect("a task").to_owned();
    let declared = serde_json::json!({ "tasks": { "a": { "step": "s" } } });
    let runs = serde_json::json!({ "runs": [{ "input": {} }, { "input": 7 }] });
    let schedule = serde_json::json!({ "workflow": "ask", "cron": "@yearly", "run": { "input": {} } });
    let trigger = serde_json::json!({ "key": "*", "workflow": "ask" });
    let webhook =
        serde_json::json!({ "proof": { "kind": "api_key", "secrets": ["s"] }, "start": { "workflow": "ask" } });
    let bulk = serde_json::json!({ "action": "cancel", "filter": { "workflow": "nothing" } });
    let mut preview = bulk.clone();
    preview["preview"] = Value::Bool(true);
    let told = serde_json::json!({ "url": "https://hooks.example/x", "kinds": ["*"] });
    let delivery = || Call::post("/api/v1/hooks/acme/all").json(&serde_json::json!({}));
    let answers = [
        ("RunsStarted", Call::post("/api/v1/workflows/ask/runs/bulk").json(&runs)),
        ("BulkOperationView", Call::post("/api/v1/bulk-operations").json(&bulk)),
        ("BulkAnswer", Call::post("/api/v1/bulk-operations").json(&preview)),
        ("BulkOperationList", Call::get("/api/v1/bulk-operations")),
        ("ScheduleView", Call::new(Method::PUT, "/api/v1/schedules/yearly").json(&schedule)),
        ("FireView", Call::post("/api/v1/schedules/yearly/trigger")),
        ("FireList", Call::get("/api/v1/schedules/yearly/fires")),
        ("ScheduleList", Call::get("/api/v1/schedules")),
        ("EventTriggerView", Call::new(Method::PUT, "/api/v1/event-triggers/all").json(&trigger)),
        ("EventView", Call::post("/api/v1/events").json(&serde_json::json!({ "key": "k", "payload": {} }))),
        ("EventList", Call::get("/api/v1/events")),
        ("EventTriggerList", Call::get("/api/v1/event-triggers")),
        ("IncomingWebhookView", Call::new(Method::PUT, "/api/v1/webhooks/incoming/all").json(&webhook)),
        ("IncomingWebhookList", Call::get("/api/v1/webhooks/incoming")),
        ("DeliveryTaken", delivery().header("x-api-key", "s")),
        ("Problem", delivery()),
        ("IncomingFailureList", Call::get("/api/v1/webhooks/incoming/all/failures")),
        ("OutgoingWebhookView", Call::new(Method::PUT, "/api/v1/webhooks/outgoing/all").json(&told)),
        ("OutgoingWebhookList", Call::get("/api/v1/webhooks/outgoing")),
        ("RunStarted", Call::post("/api/v1/workflows/ask/runs").json(&serde_json::json!({ "input": {} }))),
        ("OutgoingDeliveryList", Call::get("/api/v1/webhooks/outgoing/all/deliveries")),
        ("RunDetail", Call::get(format!("/api/v1/runs/{run}"))),
        ("RunPage", Call::get("/api/v1/runs")),
        ("TaskView", Call::get(format!("/api/v1/human-tasks/{task}"))),
        ("TaskPage", Call::get("/api/v1/human-tasks")),
        ("WorkflowList", Call::get("/api/v1/workflows")),
        ("WorkflowView", Call::get("/api/v1/workflows/ask")),
        ("WorkflowRegistered", Call::new(Method::PUT, "/api/v1/workflows/declared").json(&declared)),
        ("WorkflowView", Call::get("/api/v1/workflows/declared/versions/1")),
        ("QueueList", Call::get("/api/v1/queues")),
        ("WorkerList", Call::get("/api/v1/workers")),
        ("PauseView", Call::post("/api/v1/queues/mail/pause")),
        ("PauseList", Call::get("/api/v1/pauses")),
        ("ArtifactList", Call::get(format!("/api/v1/runs/{run}/artifacts"))),
        ("Readiness", Call::get("/readyz")),
        ("RunSummary", Call::post(format!("/api/v1/runs/{run}/pause"))),
        ("Problem", Call::get("/api/v1/runs/nope")),
    ];
    for (name, call) in answers {
        let answer = app.send(call).await.json();
        let mut schema = document.clone();
        schema["$ref"] = Value::String(format!("#/components/schemas/{name}"));
        let validator = jsonschema::validator_for(&schema).expect("a schema");
        let faults: Vec<String> = validator.iter_errors(&answer).map(|error| error.to_string()).collect();
        assert!(faults.is_empty(), "{name}: {faults:?} in {answer}");
    }
}
