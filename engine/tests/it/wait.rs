//! A start that waits for its run: by this engine's news or another's, bounded, and told honestly when it takes longer.

use std::time::{Duration, Instant};

use futures::future::join_all;
use serde_json::{Value, json};
use valet_engine::bounds::EVENT_STREAMS_MAX;

use super::app::TestApp;
use super::calls::{Answer, Call};
use super::database;
use super::worker::Worker;

fn start(workflow: &str, input: &Value, wait: &str) -> Call {
    Call::post(format!("/api/v1/workflows/{workflow}/runs?wait={wait}")).json(&json!({ "input": input }))
}

/// The only run there is, once it is there.
async fn the_run(app: &TestApp) -> String {
    database::until("the run is stored", async || {
        let page = app.send(Call::get("/api/v1/runs")).await.expect(200).json();
        page["runs"][0]["id"].as_str().map(ToOwned::to_owned)
    })
    .await
}

fn location(answer: &Answer) -> String {
    answer.header("location").expect("a Location").to_owned()
}

#[tokio::test]
async fn a_start_that_waits_answers_the_runs_output() {
    let app = TestApp::start().await;
    let worker = Worker::open(&app).await;
    let waiting = app.send(start("echo", &json!({ "text": "x" }), "30s"));
    let working = async {
        let run = the_run(&app).await;
        worker.carry_out(&run, 1, json!("done by hand")).await;
        run
    };
    let began = Instant::now();
    let (answer, run) = tokio::join!(waiting, working);
    assert!(began.elapsed() < Duration::from_secs(20), "it does not wait for longer than the run");
    let answer = answer.expect(201);
    assert_eq!(location(&answer), format!("/api/v1/runs/{run}"));
    let told = json!({ "id": run, "created": true, "status": "succeeded", "output": "done by hand" });
    assert_eq!(answer.json(), told);
}

#[tokio::test]
async fn a_run_that_ends_badly_is_told_with_its_error() {
    let app = TestApp::start().await;
    let waiting = app.send(start("ask", &json!({}), "30s"));
    let cancelling = async {
        let run = the_run(&app).await;
        app.send(Call::post(format!("/api/v1/runs/{run}/cancel"))).await.expect(200);
    };
    let (answer, ()) = tokio::join!(waiting, cancelling);
    let told = answer.expect(201).json();
    assert_eq!((&told["status"], &told["error"]["code"]), (&json!("cancelled"), &json!("cancelled")), "{told}");
    assert_eq!(told.get("output"), None);
}

#[tokio::test]
async fn a_run_that_takes_longer_is_answered_as_it_stands() {
    let app = TestApp::start().await;
    let began = Instant::now();
    let answer = app.send(start("ask", &json!({}), "300ms")).await.expect(202);
    assert!(began.elapsed() >= Duration::from_millis(300), "{:?}", began.elapsed());
    let told = answer.json();
    assert_eq!((&told["status"], &told["created"]), (&json!("waiting"), &json!(true)), "{told}");
    assert!(told.get("output").is_none() && told.get("error").is_none() && told["reason"].is_object(), "{told}");
    let run = app.send(Call::get(location(&answer))).await.expect(200).json();
    assert_eq!((&run["id"], &run["status"]), (&told["id"], &json!("waiting")));
}

#[tokio::test]
async fn a_run_that_another_engine_ends_is_noticed() {
    let one = TestApp::start().await;
    let two = TestApp::on(&one.url).await;
    let waiting = one.send(start("listen", &json!({ "count": 1 }), "30s"));
    let elsewhere = async {
        let run = the_run(&two).await;
        let call = Call::post(format!("/api/v1/runs/{run}/signals/go")).json(&json!({ "payload": "heard" }));
        two.send(call).await.expect(204);
    };
    let (answer, ()) = tokio::join!(waiting, elsewhere);
    assert_eq!(answer.expect(201).json()["output"], json!(["heard"]));
}

#[tokio::test]
async fn the_same_key_waits_for_the_first_run() {
    let app = TestApp::start().await;
    let call = || start("listen", &json!({ "count": 1 }), "30s").key("once");
    let signalling = async {
        let run = the_run(&app).await;
        let call = Call::post(format!("/api/v1/runs/{run}/signals/go")).json(&json!({ "payload": 1 }));
        app.send(call).await.expect(204);
    };
    let (mut answers, ()) = tokio::join!(join_all([app.send(call()), app.send(call())]), signalling);
    // After its end too.
    answers.push(app.send(call()).await);
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 201]);
    let ids: Vec<Value> = answers.iter().map(|answer| answer.json()["id"].clone()).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert!(answers.iter().all(|answer| answer.json()["output"] == json!([1])));
    assert_eq!(app.runs_stored().await, 1);
}

#[tokio::test]
async fn a_wait_that_cannot_be_is_refused_and_nothing_is_started() {
    let app = TestApp::start().await;
    for wait in ["0s", "61s", "1h", "soon", "-1", ""] {
        app.send(start("anything", &json!(1), wait)).await.problem(400, "invalid_wait").at("wait");
    }
    let call = Call::post("/api/v1/workflows/anything/runs?wiat=3s").json(&json!({ "input": 1 }));
    app.send(call).await.problem(400, "invalid_query").at("wiat");
    assert_eq!(app.runs_stored().await, 0);
}

#[tokio::test]
async fn waits_share_the_streams_bound_and_who_goes_away_makes_room() {
    let app = TestApp::start().await;
    let run = app.start_run("ask", &json!({})).await;
    let mut open = Vec::new();
    for _ in 1..EVENT_STREAMS_MAX {
        let response = app.open(Call::get(format!("/api/v1/runs/{run}/events")).into_request()).await;
        assert_eq!(response.status(), 200);
        open.push(response);
    }
    let before = app.runs_stored().await;
    let mut waiting = Box::pin(app.send(start("ask", &json!({}), "60s")));
    let stored = async {
        database::until("the waiter's run is stored", async || (app.runs_stored().await == before + 1).then_some(()))
            .await;
    };
    tokio::select! {
        answer = &mut waiting => panic!("{answer:?}"),
        () = stored => {}
    }
    app.send(start("ask", &json!({}), "60s")).await.problem(429, "too_many_streams");
    assert_eq!(app.runs_stored().await, before + 1, "who cannot wait starts nothing");
    drop(waiting);
    app.send(start("anything", &json!(1), "30s")).await.expect(201);
}

/// As it is in life: the client's connection closes while it waits.
#[tokio::test]
async fn a_client_that_hangs_up_makes_room() {
    use tokio::io::AsyncWriteExt as _;

    let app = TestApp::start().await;
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let serving = tokio::spawn(axum::serve(listener, valet_engine::http::router(app.app.clone())).into_future());
    let body = json!({ "input": {} }).to_string();
    let request = format!(
        "POST /api/v1/workflows/ask/runs?wait=60s HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        super::calls::PEOPLE,
        body.len()
    );
    let mut client = tokio::net::TcpStream::connect(address).await.expect("a connection");
    client.write_all(request.as_bytes()).await.expect("a request");
    the_run(&app).await;
    database::until("the client waits", async || (app.app.streams_open() == 1).then_some(())).await;
    drop(client);
    database::until("its place is free", async || (app.app.streams_open() == 0).then_some(())).await;
    serving.abort();
}
