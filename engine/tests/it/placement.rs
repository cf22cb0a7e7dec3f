//! Steps that not every worker may have: by their labels, by the worker of an earlier step. And attempts of which nobody hears.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use uuid::Uuid;
use valet_queue::{QueueName, TicketPush as _};

use super::app::TestApp;
use super::calls::{Answer, Call, WORKER};
use super::database;
use super::declared::register;
use super::worker::{Hold, Worker, bare};

const GPU: &str = "default.with.gpu.yes";

fn done() -> Value {
    json!({ "done": { "output": null } })
}

fn hold(run: &str, seq: u32) -> Hold {
    Hold { run: bare(run), seq, attempt: 1, lease: Uuid::now_v7().to_string() }
}

async fn with_gpu(app: &TestApp) -> Worker<'_> {
    Worker::labelled(app, &["default"], &json!({ "gpu": "yes", "zone": "eu" })).await
}

async fn without(app: &TestApp) -> Worker<'_> {
    Worker::labelled(app, &["default"], &json!({ "gpu": "no" })).await
}

/// The name of the queue that it was granted from; `None`: nothing came.
async fn next(worker: &Worker<'_>, wait: &str) -> Option<(Hold, String)> {
    let answer = worker.post(&format!("claim?wait={wait}"), &json!({ "session": worker.session_uuid() })).await;
    if answer.status == 204 {
        return None;
    }
    let grant = answer.expect(200).json()["granted"][0].clone();
    let text = |name: &str| grant[name].as_str().expect("a text").to_owned();
    let number = |name: &str| grant[name].as_u64().expect("a number") as u32;
    let hold = Hold { run: text("run"), seq: number("seq"), attempt: number("attempt"), lease: text("lease") };
    Some((hold, text("queue")))
}

async fn is_refused(worker: &Worker<'_>, run: &str, seq: u32) -> bool {
    worker.claim(&hold(run, seq)).await == json!({ "refused": { "why": "stale" } })
}

#[tokio::test]
async fn a_step_is_given_to_a_worker_with_its_labels_and_to_no_other() {
    let app = TestApp::start().await;
    let (fit, unfit) = (with_gpu(&app).await, without(&app).await);
    let run = app.start_run("placed", &json!(["labelled"])).await;
    assert!(is_refused(&unfit, &run, 1).await, "by a claim out of the blue");
    assert!(next(&unfit, "400ms").await.is_none(), "by waiting for it");
    let unlabelled = Worker::open(&app).await;
    assert!(is_refused(&unlabelled, &run, 1).await);
    let depths = [GPU, "default"].map(|name| QueueName::new(name).expect("a name"));
    let depths = app.queue.depths(&depths).await.expect("depths");
    assert_eq!((depths[0].waiting, depths[1].waiting), (1, 0), "its ticket lies where only fitting workers pull");
    let (held, queue) = next(&fit, "20s").await.expect("its step");
    assert_eq!(queue, GPU);
    assert!(fit.finish(&held, &done()).await.get("accepted").is_some());
    assert_eq!(app.until_status(&run, "succeeded").await["output"], json!(["done"]));
}

#[tokio::test]
async fn a_run_says_that_no_worker_has_its_labels_until_one_has() {
    let app = TestApp::start().await;
    let _unfit = without(&app).await;
    let run = app.start_run("placed", &json!(["labelled"])).await;
    let told = json!({ "kind": "no_worker", "name": "placed-labelled", "seq": 1, "labels": { "gpu": "yes" } });
    database::until("it says so", async || (app.run(&run).await["reason"] == told).then_some(())).await;
    let fit = with_gpu(&app).await;
    let found = async || (app.run(&run).await["reason"]["kind"] == "step").then_some(());
    database::until("it does not any more", found).await;
    fit.carry_out(&run, 1, Value::Null).await;
    app.until_status(&run, "succeeded").await;
}

/// Offers to take along what it must not have, whatever queue it names.
#[tokio::test]
async fn a_step_is_not_handed_over_to_a_worker_without_its_labels() {
    let app = TestApp::start().await;
    let offering = async |worker: &Worker<'_>, run: &str| {
        let held = worker.take(run, 1, 1).await;
        let finish = json!({
            "run": held.run, "seq": 1, "attempt": 1, "lease": held.lease, "outcome": done(),
            "hand_over": { "lease": Uuid::now_v7(), "queue": GPU },
        });
        let body = json!({ "session": worker.session_uuid(), "finishes": [finish] });
        worker.post("finishes", &body).await.expect(200).json()["answers"][0]["accepted"]["next"].clone()
    };
    let (fit, unfit) = (with_gpu(&app).await, without(&app).await);
    let script = json!(["plain", "labelled"]);
    let run = app.start_run("placed", &script).await;
    assert_eq!(offering(&unfit, &run).await, Value::Null, "its finish is taken all the same");
    assert_eq!(app.run(&run).await["steps"][1]["state"], "ready");
    fit.carry_out(&run, 2, Value::Null).await;
    app.until_status(&run, "succeeded").await;
    let run = app.start_run("placed", &script).await;
    assert_eq!(offering(&fit, &run).await["seq"], 2);
}

async fn tickets(app: &TestApp) -> (u64, u64) {
    let depths = [GPU, "default"].map(|name| QueueName::new(name).expect("a name"));
    let depths = app.queue.depths(&depths).await.expect("depths");
    (depths[0].waiting, depths[1].waiting)
}

/// Nobody takes tickets here: what a preferred worker leaves, as one that is killed does, is all others' a moment later.
#[tokio::test]
async fn a_ticket_goes_to_preferred_workers_with_a_place_and_what_they_leave_to_all() {
    let app = TestApp::start().await;
    let (_fit, unfit) = (with_gpu(&app).await, without(&app).await);
    let began = Instant::now();
    let run = app.start_run("placed", &json!(["preferring"])).await;
    database::until("its ticket lies where they listen", async || (tickets(&app).await.0 == 1).then_some(())).await;
    database::until("and then where all do", async || (tickets(&app).await == (1, 1)).then_some(())).await;
    assert!(began.elapsed() < Duration::from_secs(2), "sooner than a lost ticket is found: {:?}", began.elapsed());
    unfit.carry_out(&run, 1, Value::Null).await;
    app.until_status(&run, "succeeded").await;
}

#[tokio::test]
async fn preferred_workers_without_a_place_are_passed_over_at_once() {
    let app = TestApp::start().await;
    let (fit, unfit) = (with_gpu(&app).await, without(&app).await);
    for _ in 0..4 {
        let run = app.start_run("placed", &json!(["plain"])).await;
        fit.take(&run, 1, 1).await;
    }
    let before = tickets(&app).await.1;
    let run = app.start_run("placed", &json!(["preferring"])).await;
    database::until("it has a ticket", async || (tickets(&app).await.1 > before).then_some(())).await;
    assert_eq!(tickets(&app).await.0, 0, "none of its four places is free");
    unfit.carry_out(&run, 1, Value::Null).await;
    app.until_status(&run, "succeeded").await;
}

/// A finish earns its worker no step that might suit another better.
#[tokio::test]
async fn a_step_that_prefers_workers_is_not_handed_over() {
    let app = TestApp::start().await;
    let unfit = without(&app).await;
    let run = app.start_run("placed", &json!(["plain", "preferring"])).await;
    let held = unfit.take(&run, 1, 1).await;
    let finish = json!({
        "run": held.run, "seq": 1, "attempt": 1, "lease": held.lease, "outcome": done(),
        "hand_over": { "lease": Uuid::now_v7(), "queue": "default" },
    });
    let body = json!({ "session": unfit.session_uuid(), "finishes": [finish] });
    let answer = unfit.post("finishes", &body).await.expect(200).json();
    assert_eq!(answer["answers"][0]["accepted"]["next"], Value::Null);
    unfit.carry_out(&run, 2, Value::Null).await;
    app.until_status(&run, "succeeded").await;
}

#[tokio::test]
async fn of_those_who_stand_in_line_the_preferred_one_is_given_the_step() {
    let app = TestApp::start().await;
    let (fit, unfit) = (with_gpu(&app).await, without(&app).await);
    let begin = async {
        // Both stand in line by then.
        tokio::time::sleep(Duration::from_millis(600)).await;
        app.start_run("placed", &json!(["preferring"])).await
    };
    let (first, second, run) = tokio::join!(next(&unfit, "3s"), next(&fit, "3s"), begin);
    assert!(first.is_none(), "who came first and suits it less");
    let (held, queue) = second.expect("its step");
    assert_eq!((held.run.as_str(), queue.as_str()), (bare(&run).as_str(), "default"));
    fit.finish(&held, &done()).await;
    app.until_status(&run, "succeeded").await;
}

#[tokio::test]
async fn a_sticky_step_goes_to_the_worker_of_the_earlier_one() {
    let app = TestApp::start().await;
    for hard in [true, false] {
        let (mine, other) = (Worker::open(&app).await, Worker::open(&app).await);
        let run = app.start_run("placed", &json!(["remembered", { "sticky": { "hard": hard } }])).await;
        mine.carry_out(&run, 1, Value::Null).await;
        assert!(is_refused(&other, &run, 2).await);
        assert!(next(&other, "300ms").await.is_none());
        let (held, queue) = next(&mine, "20s").await.expect("its step");
        assert_eq!((held.run.as_str(), held.seq), (bare(&run).as_str(), 2));
        assert_eq!(queue, format!("default.of.sess_{}", mine.session.replace('-', "")));
        mine.finish(&held, &done()).await;
        assert_eq!(app.until_status(&run, "succeeded").await["output"], json!(["done", "done"]));
    }
}

#[tokio::test]
async fn once_its_worker_is_gone_a_step_fails_or_goes_to_another_as_it_was_asked() {
    let app = TestApp::start().await;
    let begin = async |hard: bool| {
        let gone = Worker::open(&app).await;
        let run = app.start_run("placed", &json!(["remembered", { "sticky": { "hard": hard } }])).await;
        gone.carry_out(&run, 1, Value::Null).await;
        gone.good_bye().await;
        run
    };
    let other = Worker::open(&app).await;
    let (demands, prefers) = (begin(true).await, begin(false).await);
    assert_eq!(app.until_status(&demands, "succeeded").await["output"], json!(["done", "worker_gone"]));
    let (held, queue) = next(&other, "20s").await.expect("what its worker left");
    assert_eq!((held.run.as_str(), queue.as_str()), (bare(&prefers).as_str(), "default"));
    other.finish(&held, &done()).await;
    app.until_status(&prefers, "succeeded").await;
}

/// However busy it is.
#[tokio::test]
async fn a_worker_that_lives_is_waited_for_by_what_demands_it() {
    let app = TestApp::start().await;
    let mine = Worker::open(&app).await;
    let run = app.start_run("placed", &json!(["remembered", { "sticky": { "hard": true } }])).await;
    mine.carry_out(&run, 1, Value::Null).await;
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(mine.beat(&[]).await["standing"], "yours");
    }
    assert_eq!(app.run(&run).await["steps"][1]["state"], "ready");
    mine.carry_out(&run, 2, Value::Null).await;
    app.until_status(&run, "succeeded").await;
}

/// Neither takes the other's force.
#[tokio::test]
async fn a_step_that_sticks_keeps_its_labels() {
    let app = TestApp::start().await;
    let sticky = |hard: bool| json!(["remembered", { "sticky": { "hard": hard, "labelled": true } }]);
    let (unfit, fit) = (without(&app).await, with_gpu(&app).await);
    let demands = app.start_run("placed", &sticky(true)).await;
    unfit.carry_out(&demands, 1, Value::Null).await;
    assert!(is_refused(&unfit, &demands, 2).await, "it has not the label");
    assert!(is_refused(&fit, &demands, 2).await, "it is not the worker");
    assert_eq!(app.until_status(&demands, "succeeded").await["output"], json!(["done", "worker_gone"]));

    let prefers = app.start_run("placed", &sticky(false)).await;
    unfit.carry_out(&prefers, 1, Value::Null).await;
    assert!(is_refused(&unfit, &prefers, 2).await);
    let (held, queue) = next(&fit, "20s").await.expect("any worker with the label");
    assert_eq!((held.run.as_str(), queue.as_str()), (bare(&prefers).as_str(), GPU));
    assert!(next(&unfit, "300ms").await.is_none());
    fit.finish(&held, &done()).await;
    app.until_status(&prefers, "succeeded").await;

    let both = app.start_run("placed", &sticky(true)).await;
    fit.carry_out(&both, 1, Value::Null).await;
    fit.carry_out(&both, 2, Value::Null).await;
    assert_eq!(app.until_status(&both, "succeeded").await["output"], json!(["done", "done"]));
}

/// Two workers, one of them with the label: both have the same queue.
#[tokio::test]
async fn declared_tasks_go_to_the_workers_that_they_name() {
    let app = TestApp::start().await;
    let (fit, unfit) = (with_gpu(&app).await, without(&app).await);
    for mode in ["hard", "soft"] {
        let definition = json!({ "tasks": {
            "train": { "step": "train", "labels": { "gpu": "yes" } },
            "check": { "step": "check", "parents": ["train"] },
            "report": { "step": "report", "parents": ["check"], "sticky": { "to": "train", "mode": mode } },
        } });
        register(&app, "models", &definition).await.expect(201);
        let run = app.start_run("models", &json!({})).await;
        assert!(is_refused(&unfit, &run, 1).await, "it has not the label");
        let (held, queue) = next(&fit, "20s").await.expect("its step");
        assert_eq!((held.seq, queue.as_str()), (1, GPU));
        fit.finish(&held, &done()).await;
        unfit.carry_out(&run, 2, Value::Null).await;
        assert!(is_refused(&unfit, &run, 3).await, "it sticks to the other");
        assert!(next(&unfit, "300ms").await.is_none());
        let (held, queue) = next(&fit, "20s").await.expect("what sticks to it");
        assert_eq!((held.seq, queue), (3, format!("default.of.sess_{}", fit.session.replace('-', ""))));
        fit.finish(&held, &json!({ "done": { "output": mode } })).await;
        assert_eq!(app.until_status(&run, "succeeded").await["output"], json!({ "report": mode }));
    }
}

#[tokio::test]
async fn a_declared_task_that_demands_a_worker_that_is_gone_fails_its_run() {
    let app = TestApp::start().await;
    let definition = json!({ "tasks": {
        "first": { "step": "first" },
        "then": { "step": "then", "parents": ["first"], "sticky": { "to": "first", "mode": "hard" } },
    } });
    register(&app, "tied", &definition).await.expect(201);
    let (gone, _other) = (Worker::open(&app).await, Worker::open(&app).await);
    let run = app.start_run("tied", &json!({})).await;
    gone.carry_out(&run, 1, Value::Null).await;
    gone.good_bye().await;
    assert_eq!(app.until_status(&run, "failed").await["error"]["code"], "worker_gone");
}

/// Its process lives and lists the lease with every heartbeat; nothing is heard of the step itself.
#[tokio::test]
async fn an_attempt_of_which_nothing_is_heard_is_ended_by_the_engine() {
    let app = TestApp::start().await;
    let worker = Worker::open(&app).await;
    let (silent, spoken) =
        (app.start_run("placed", &json!(["spoken"])).await, app.start_run("placed", &json!(["spoken"])).await);
    let plain = app.start_run("placed", &json!(["plain"])).await;
    let held = [worker.take(&silent, 1, 1).await, worker.take(&spoken, 1, 1).await, worker.take(&plain, 1, 1).await];
    let began = Instant::now();
    let mut stopped = Value::Null;
    while began.elapsed() < Duration::from_secs(12) && stopped == Value::Null {
        let answer = worker.beat_of(&held, &[&held[1].lease]).await;
        assert_eq!(answer["standing"], "yours");
        if answer["stop"] != json!([]) {
            stopped = answer["stop"].clone();
        }
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
    assert_eq!(stopped, json!([held[0].lease]), "only what was silent, and not what may be");
    assert!(began.elapsed() > Duration::from_secs(6), "a second, and the five that its worker has");
    let again = worker.take(&silent, 1, 2).await;
    assert!(worker.finish(&held[0], &done()).await.get("refused").is_some(), "its word comes too late");
    assert!(worker.finish(&again, &done()).await.get("accepted").is_some());
    assert!(worker.finish(&held[1], &done()).await.get("accepted").is_some());
}

#[tokio::test]
async fn sessions_that_cannot_be_are_refused_at_their_place() {
    let app = TestApp::start().await;
    let open = async |queues: Value, labels: Value| -> Answer {
        let open = json!({ "protocol": 1, "name": "w", "queues": queues, "slots": 1, "labels": labels });
        app.send(Call::post("/worker/v1/sessions").token(WORKER).json(&open)).await
    };
    let many: serde_json::Map<String, Value> = (0..7).map(|n| (format!("l{n}"), json!("x"))).collect();
    open(json!(["default"]), json!(many)).await.problem(400, "too_many_queues").at("labels");
    open(json!([GPU]), json!({ "gpu": "no" })).await.problem(400, "invalid_queue").at("queues");
    open(json!([GPU]), json!({ "gpu": "yes" })).await.expect(200);
    let other = format!("default.of.sess_{}", "0".repeat(32));
    open(json!([other]), json!({})).await.problem(400, "invalid_queue").at("queues");
    open(json!(["default"]), json!({ "Owner": "Ann Lee" })).await.expect(200);
}
