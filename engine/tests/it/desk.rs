//! Steps for workers that pull no tickets: waited for, granted once, fenced as every claim is.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures::future::join_all;
use serde_json::{Value, json};
use valet_queue::{QueueName, TicketPush as _};

use super::app::TestApp;
use super::calls::{Answer, Call};
use super::database;
use super::worker::{Hold, Worker};

async fn ask(worker: &Worker<'_>, wait: &str, more: Value) -> Answer {
    let mut body = json!({ "session": worker.session_uuid() });
    let Value::Object(more) = more else { panic!("no object: {more}") };
    for (name, value) in more {
        body[name] = value;
    }
    worker.post(&format!("claim?wait={wait}"), &body).await
}

fn holds(answer: Answer) -> Vec<Hold> {
    let granted = answer.expect(200).json()["granted"].clone();
    let text = |grant: &Value, name: &str| grant[name].as_str().expect("a text").to_owned();
    let hold = |grant: &Value| Hold {
        run: text(grant, "run"),
        seq: grant["seq"].as_u64().expect("a number") as u32,
        attempt: grant["attempt"].as_u64().expect("a number") as u32,
        lease: text(grant, "lease"),
    };
    granted.as_array().expect("grants").iter().map(hold).collect()
}

async fn somebody_waits(app: &TestApp) {
    database::until("somebody waits", async || (app.app.streams_open() == 1).then_some(())).await;
}

fn done(output: &str) -> Value {
    json!({ "done": { "output": output } })
}

async fn echo(app: &TestApp, text: &str) -> String {
    app.start_run("echo", &json!({ "text": text })).await
}

#[tokio::test]
async fn a_step_that_waits_is_granted_with_its_input_and_finished_as_any_other() {
    let app = TestApp::start().await;
    let worker = Worker::open(&app).await;
    let run = echo(&app, "x").await;
    let answer = ask(&worker, "20s", json!({})).await;
    let grant = answer.json()["granted"][0].clone();
    assert_eq!((&grant["input"], &grant["name"]), (&json!({ "text": "x" }), &json!("say")));
    assert_eq!((&grant["workflow"], &grant["queue"]), (&json!("echo"), &json!("default")));
    let hold = holds(answer).remove(0);
    assert_eq!(worker.beat(&[&hold]).await["stop"], json!([]), "its lease hangs on the session");
    assert!(worker.finish(&hold, &done("out")).await.get("accepted").is_some());
    assert_eq!(app.until_status(&run, "succeeded").await["output"], "out");
}

#[tokio::test]
async fn who_waits_gets_a_step_that_becomes_ready_later() {
    let app = TestApp::start().await;
    let worker = Worker::open(&app).await;
    let starting = async {
        somebody_waits(&app).await;
        echo(&app, "later").await;
        Instant::now()
    };
    let asking = async { (ask(&worker, "20s", json!({})).await, Instant::now()) };
    let (started, (answer, answered)) = tokio::join!(starting, asking);
    assert_eq!(holds(answer).len(), 1);
    assert!(answered.duration_since(started) < Duration::from_secs(5), "woken, not found at the end of the wait");
}

#[tokio::test]
async fn nothing_ready_is_204_when_the_time_is_over() {
    let app = TestApp::start().await;
    let worker = Worker::open(&app).await;
    echo(&app, "of another queue").await;
    let began = Instant::now();
    let answer = ask(&worker, "400ms", json!({ "queues": ["browser"] })).await.expect(204);
    assert!(answer.bytes.is_empty());
    assert!((400..5_000).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
}

#[tokio::test]
async fn many_who_wait_at_two_engines_get_each_step_once() {
    let one = TestApp::start().await;
    let two = TestApp::on(&one.url).await;
    let mut workers = Vec::new();
    for n in 0..12 {
        workers.push(Worker::open(if n % 2 == 0 { &one } else { &two }).await);
    }
    let waiting = join_all(workers.iter().map(|worker| ask(worker, "2s", json!({ "max": 4 }))));
    let starting = async { join_all((0..30).map(|n| echo(if n % 3 == 0 { &two } else { &one }, "x"))).await };
    let (mut answers, runs) = tokio::join!(waiting, starting);
    let mut held: Vec<(usize, Hold)> = Vec::new();
    for (n, answer) in answers.drain(..).enumerate() {
        let got = if answer.status == 204 { Vec::new() } else { holds(answer) };
        assert!(got.len() <= 4, "no more than asked for");
        held.extend(got.into_iter().map(|hold| (n, hold)));
    }
    // What is left, one by one.
    while held.len() < runs.len() {
        held.extend(holds(ask(&workers[0], "2s", json!({ "max": 4 })).await).into_iter().map(|hold| (0, hold)));
    }
    let steps: BTreeSet<&String> = held.iter().map(|(_, hold)| &hold.run).collect();
    assert_eq!((steps.len(), held.len()), (30, 30), "each step once");
    for (n, hold) in &held {
        assert!(workers[*n].finish(hold, &done("out")).await.get("accepted").is_some());
    }
    for run in &runs {
        one.until_status(run, "succeeded").await;
    }
}

#[tokio::test]
async fn a_paused_runs_step_is_granted_only_after_resume() {
    let app = TestApp::start().await;
    let worker = Worker::open(&app).await;
    let run = echo(&app, "x").await;
    app.send(Call::post(format!("/api/v1/runs/{run}/pause"))).await.expect(200);
    ask(&worker, "300ms", json!({})).await.expect(204);
    let (answer, ()) = tokio::join!(ask(&worker, "20s", json!({})), async {
        app.send(Call::post(format!("/api/v1/runs/{run}/resume"))).await.expect(200);
    });
    assert_eq!(holds(answer).len(), 1);
}

#[tokio::test]
async fn a_session_that_ended_gets_nothing_whether_before_or_while_it_waits() {
    let app = TestApp::start().await;
    let worker = Worker::open(&app).await;
    let close = || {
        let call = Call::new(axum::http::Method::DELETE, format!("/worker/v1/sessions/{}", worker.session));
        app.send(call.token(super::calls::WORKER))
    };
    let closing = async {
        somebody_waits(&app).await;
        close().await.expect(204);
        echo(&app, "x").await
    };
    let (answer, run) = tokio::join!(ask(&worker, "20s", json!({})), closing);
    answer.problem(409, "session_ended").at("session");
    ask(&worker, "20s", json!({})).await.problem(409, "session_ended").at("session");
    assert_eq!(app.run(&run).await["steps"][0]["state"], "ready");
}

#[tokio::test]
async fn questions_that_cannot_be_are_refused_at_their_place() {
    let app = TestApp::start().await;
    let worker = Worker::open(&app).await;
    ask(&worker, "0s", json!({})).await.problem(400, "invalid_wait").at("wait");
    ask(&worker, "61s", json!({})).await.problem(400, "invalid_wait").at("wait");
    for queues in [json!([]), json!(["no spaces"]), json!(vec!["q"; 65])] {
        ask(&worker, "1s", json!({ "queues": queues })).await.problem(400, "invalid_queue").at("queues");
    }
    for max in [0, 129] {
        ask(&worker, "1s", json!({ "max": max })).await.problem(400, "invalid_max").at("max");
    }
    app.send(Call::post("/worker/v1/claim").json(&json!({}))).await.problem(403, "wrong_scope");
}

/// The worker's connection broke while it waited: what it was granted goes to the next one.
#[tokio::test]
async fn a_worker_that_goes_away_while_it_waits_holds_nothing_up() {
    let app = TestApp::start().await;
    let (gone, next) = (Worker::open(&app).await, Worker::open(&app).await);
    for _ in 0..5 {
        let mut waiting = Box::pin(ask(&gone, "20s", json!({})));
        let seen = somebody_waits(&app);
        tokio::select! {
            answer = &mut waiting => panic!("{answer:?}"),
            () = seen => {}
        }
        let run = echo(&app, "x").await;
        drop(waiting);
        let hold = holds(ask(&next, "20s", json!({})).await).remove(0);
        next.finish(&hold, &done("by the next")).await;
        assert_eq!(app.until_status(&run, "succeeded").await["output"], "by the next");
    }
}

/// Tickets that nobody pulls stay within the window, and steps without one are found.
#[tokio::test]
async fn a_queue_that_nobody_pulls_is_worked_off_without_flooding_redis() {
    let app = TestApp::start().await;
    let worker = Worker::open(&app).await;
    let runs = join_all((0..120).map(|n| {
        let app = &app;
        async move { echo(app, &n.to_string()).await }
    }))
    .await;
    let mut worked = 0;
    while worked < runs.len() {
        let held = holds(ask(&worker, "20s", json!({ "max": 16 })).await);
        worked += held.len();
        for hold in &held {
            worker.finish(hold, &done("out")).await;
        }
    }
    for run in &runs {
        app.until_status(run, "succeeded").await;
    }
    let queue = QueueName::new("default").expect("a name");
    let waiting = app.queue.depths(&[queue]).await.expect("depths")[0].waiting;
    assert!(waiting <= 200, "{waiting} stale tickets");
}
