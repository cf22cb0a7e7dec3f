//! What a viewer sees: ids, states, codes, and what schemas leave open; nothing that a person or a worker wrote.

use serde_json::{Value, json};

use super::app::TestApp;
use super::calls::{Call, PEOPLE};
use super::worker::Worker;

const WORD: &str = "zwetschgendatschi";

async fn token(app: &TestApp, body: &Value) -> String {
    let made = app.send(Call::post("/api/v1/tokens").json(body)).await.expect(201).json();
    made["secret"].as_str().expect("a secret").to_owned()
}

/// Everything that there is to see with this token, of what was made.
async fn seen(app: &TestApp, token: &str, runs: &[String], task: &str) -> String {
    let mut paths: Vec<String> =
        ["/api/v1/runs", "/api/v1/human-tasks", "/api/v1/subjects/ada", "/api/v1/subjects/ada/items"]
            .map(str::to_owned)
            .to_vec();
    paths.extend(["/api/v1/subjects/ada/files", "/api/v1/subjects/ada/uses"].map(str::to_owned));
    paths.push(format!("/api/v1/human-tasks/{task}"));
    for run in runs {
        paths.extend(["", "/artifacts"].map(|rest| format!("/api/v1/runs/{run}{rest}")));
    }
    let mut all = String::new();
    for path in paths {
        let answer = app.send(Call::get(&path).token(token)).await.expect(200);
        all.push_str(&String::from_utf8_lossy(&answer.bytes));
    }
    all
}

#[tokio::test]
async fn a_viewer_sees_what_happened_and_nothing_that_was_written() {
    let app = TestApp::start().await;
    let worker = Worker::open(&app).await;
    let start = async |workflow: &str, input: Value| {
        let call = Call::post(format!("/api/v1/workflows/{workflow}/runs"));
        let call = call.json(&json!({ "input": input, "subject": "ada" }));
        app.send(call).await.expect(201).json()["id"].as_str().expect("an id").to_owned()
    };
    let (ended, failed) = (start("echo", json!({ "text": WORD })).await, start("echo", json!({ "text": WORD })).await);
    worker.carry_out(&ended, 1, json!(WORD)).await;
    let hold = worker.take(&failed, 1, 1).await;
    let failure = json!({ "fail": { "error": { "code": "no_luck", "message": WORD, "details": { "a": WORD } } } });
    worker.finish(&hold, &failure).await;
    let asked = start("ask", json!({})).await;
    let task = app.run(&asked).await["tasks"][0]["id"].as_str().expect("a task").to_owned();
    let form = [("file", Some("zwetschgendatschi.txt"), WORD.as_bytes()), ("subject", None, b"ada".as_slice())];
    let file = app.send(super::files::form(&form)).await.expect(201).json()["id"].as_str().expect("an id").to_owned();

    let runs = [ended, failed, asked];
    let all = seen(&app, PEOPLE, &runs, &task).await;
    assert!(all.matches(WORD).count() > 5 && all.contains("vl_"), "whoever acts with it sees it");
    let viewer = token(&app, &json!({ "name": "viewer", "role": "viewer" })).await;
    let shown = seen(&app, &viewer, &runs, &task).await;
    assert!(!shown.contains(WORD), "{shown}");
    assert!(!shown.contains("vl_"), "a link would let them answer");
    for visible in ["no_luck", "succeeded", "•••", runs[0].as_str(), task.as_str(), file.as_str()] {
        assert!(shown.contains(visible), "{visible}: {shown}");
    }
    let closed = [format!("/api/v1/files/{file}"), format!("/api/v1/runs/{}/events", runs[0])];
    for path in closed {
        app.send(Call::get(path).token(&viewer)).await.problem(403, "wrong_scope");
    }
    let reviewer = token(&app, &json!({ "name": "reviewer", "role": "reviewer" })).await;
    assert!(seen(&app, &reviewer, &runs, &task).await.contains(WORD));
}

/// The leading workflow's own marks: where somebody applies is to be seen, who they are is not.
#[tokio::test]
async fn of_an_application_a_viewer_sees_where_and_not_who() {
    let app = TestApp::start().await;
    let mut input: Value = serde_json::from_str(super::openapi::EXAMPLE).expect("the example is JSON");
    input["profile"]["first_name"] = json!(WORD);
    let started = Call::post("/api/v1/workflows/job-application/runs").json(&json!({ "input": input }));
    let run = app.send(started).await.expect(201).json()["id"].as_str().expect("an id").to_owned();
    assert_eq!(app.run(&run).await["input"]["profile"]["first_name"], WORD);
    let viewer = token(&app, &json!({ "name": "viewer", "role": "viewer" })).await;
    let shown = app.send(Call::get(format!("/api/v1/runs/{run}")).token(&viewer)).await.expect(200).json();
    assert_eq!(shown["input"]["job_url"], input["job_url"]);
    assert_eq!((&shown["input"]["profile"], &shown["input"]["documents"]), (&json!("•••"), &json!("•••")));
    assert!(!shown.to_string().contains(WORD), "{shown}");
}
