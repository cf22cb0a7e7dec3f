//! Where a run may send a browser is decided before anything is stored.

use serde_json::{Value, json};

use super::app::{OPENED, TestApp};
use super::calls::{Answer, Call};

async fn apply(app: &TestApp, url: &str) -> Answer {
    let mut input: Value = serde_json::from_str(super::openapi::EXAMPLE).expect("the example is JSON");
    input["job_url"] = json!(url);
    app.send(Call::post("/api/v1/workflows/job-application/runs").json(&json!({ "input": input }))).await
}

#[tokio::test]
async fn other_schemes_private_places_and_credentials_are_refused() {
    let app = TestApp::start().await;
    let refused = [
        "",
        "jobs.example.com/1",
        "//jobs.example.com/1",
        "ftp://jobs.example.com/1",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "data:text/html,x",
        "http://",
        "http://localhost/",
        "http://LOCALHOST./",
        "http://a.localhost/",
        "http://intranet/",
        "http://db.internal/",
        "http://127.0.0.1/",
        "http://127.0.0.1:4445/",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0177.0.0.1/",
        "http://0/",
        "http://10.1.2.3/",
        "http://172.16.0.1/",
        "http://192.168.1.1/",
        "http://100.64.0.1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://[::]/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[::ffff:7f00:1]/",
        "http://[::ffff:169.254.169.254]/",
        "http://[::127.0.0.1]/",
        "http://[64:ff9b::7f00:1]/",
        "http://[fe80::1]/",
        "http://[fd12:3456::1]/",
        "https://user@jobs.example.com/",
        "https://user:password@jobs.example.com/",
        "https://jobs.example.com@127.0.0.1/",
        "http://127\u{3002}0\u{3002}0\u{3002}1/",
        "http://\u{2460}27.0.0.1/",
    ];
    for url in refused {
        let answer = apply(&app, url).await;
        assert_eq!(answer.status, 422, "{url}");
        answer.problem(422, "invalid_input").at("/input/job_url");
    }
    let long = format!("https://jobs.example.com/{}", "x".repeat(2048));
    apply(&app, &long).await.problem(422, "invalid_input").at("/input/job_url");
    assert_eq!(app.runs_stored().await, 0);
}

#[tokio::test]
async fn public_places_and_the_opened_one_pass() {
    let app = TestApp::start().await;
    let opened = format!("http://{OPENED}/jobs/1");
    let passed = [
        "https://jobs.example.com/1",
        "HTTPS://Jobs.Example.COM/1",
        "http://8.8.8.8/",
        "http://[2606:4700::1]:8080/x",
        &opened,
    ];
    for url in passed {
        let answer = apply(&app, url).await;
        assert_eq!(answer.status, 201, "{url}: {answer:?}");
    }
    assert_eq!(app.runs_stored().await, 5);
}

#[tokio::test]
async fn a_refusal_names_the_setting_that_opens_the_place() {
    let app = TestApp::start().await;
    let answer = apply(&app, "http://10.1.2.3/jobs").await.problem(422, "invalid_input");
    let detail = answer.json()["detail"].as_str().expect("a sentence").to_owned();
    assert!(detail.contains("VALET_ALLOW_HOSTS=10.1.2.3:80"), "{detail}");
}
