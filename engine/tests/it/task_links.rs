//! A task's link opens that task and nothing else, until the task ends; whoever comes second is told who was first and when.

use futures::future::join_all;
use serde_json::{Value, json};

use super::app::TestApp;
use super::calls::{Answer, Call, PEOPLE, SECOND_PERSON, WORKER};
use super::database;

async fn asked(app: &TestApp, input: &Value) -> (String, String) {
    let run = app.start_run("ask", input).await;
    let task = app.run(&run).await["tasks"][0]["id"].as_str().expect("a task").to_owned();
    (run, task)
}

fn at(task: &str, verb: &str) -> String {
    format!("/api/v1/human-tasks/{task}{verb}")
}

fn answer(task: &str, age: u32) -> Call {
    Call::post(at(task, "/answer")).json(&json!({ "answer": { "age": age } }))
}

async fn link(app: &TestApp, task: &str) -> String {
    let view = app.send(Call::get(at(task, ""))).await.expect(200).json();
    view["link"].as_str().expect("an operator sees the link").to_owned()
}

/// Names who was first and when.
fn assert_names(refused: &Answer, by: Option<&str>, outcome: Option<&str>) {
    let problem = refused.json();
    assert_eq!(problem["by"].as_str(), by, "{problem}");
    assert_eq!(problem["outcome"].as_str(), outcome, "{problem}");
    let at = problem["at"].as_str().expect("when");
    assert!(at.parse::<valet_core::Timestamp>().is_ok(), "{at}");
}

#[tokio::test]
async fn a_link_shows_claims_and_answers_its_task() {
    let app = TestApp::start().await;
    let (run, task) = asked(&app, &json!({})).await;
    let link = link(&app, &task).await;
    let shown = app.send(Call::get(at(&task, "")).token(&link)).await.expect(200).json();
    assert_eq!((&shown["id"], &shown["title"]), (&json!(task), &json!("How old?")));
    assert!(shown.get("link").is_none(), "a link makes no links");
    let claimed = app.send(Call::post(at(&task, "/claim")).token(&link)).await.expect(200).json();
    assert_eq!(claimed["claimed_by"], "link");
    app.send(answer(&task, 41).token(&link).json(&json!({ "answer": {} }))).await.problem(422, "invalid_input");
    app.send(answer(&task, 41).token(&link)).await.expect(200);
    assert_eq!(app.until_status(&run, "succeeded").await["output"], json!({ "age": 41 }));
    let (run, task) = asked(&app, &json!({})).await;
    let link = self::link(&app, &task).await;
    app.send(Call::post(at(&task, "/reject")).json(&json!({ "reason": "no" })).token(&link)).await.expect(200);
    assert_eq!(app.until_status(&run, "succeeded").await["output"], json!({ "rejected": "no" }));
}

#[tokio::test]
async fn a_link_opens_no_other_task_and_no_other_route() {
    let app = TestApp::start().await;
    let (run, task) = asked(&app, &json!({})).await;
    let (_, other) = asked(&app, &json!({})).await;
    let link = link(&app, &task).await;
    let forbidden = [
        Call::get(at(&other, "")),
        Call::post(at(&other, "/claim")),
        answer(&other, 1),
        Call::post(at(&other, "/reject")),
        Call::get("/api/v1/human-tasks"),
        Call::get(format!("/api/v1/human-tasks?run={run}")),
        Call::get("/api/v1/human-tasks/"),
        Call::get(format!("/api/v1/human-tasks/{task}/answer")),
        Call::post(at(&task, "")),
        Call::post(at(&task, "/delete")),
        Call::post(format!("/api/v1/human-tasks/{task}/../{other}/claim")),
        Call::get(format!("/api/v1/runs/{run}")),
        Call::get(format!("/api/v1/runs/{run}/events")),
        Call::post(format!("/api/v1/runs/{run}/cancel")),
        Call::get("/api/v1/runs"),
        Call::get("/api/v1/workflows"),
        Call::post("/api/v1/workflows/anything/runs").json(&json!({ "input": 1 })),
        Call::get("/api/v1/no-such-route"),
        Call::post("/worker/v1/sessions").json(&json!({})),
        Call::post("/worker/v1/claim").json(&json!({})),
    ];
    for call in forbidden {
        let place = format!("{} {}", call.method, call.path);
        let refused = app.send(call.token(&link)).await;
        assert_eq!(refused.status, 403, "{place}: {refused:?}");
        refused.problem(403, "wrong_scope");
    }
    let view = app.send(Call::get(at(&other, ""))).await.expect(200).json();
    assert_eq!(view["state"], "open");
}

#[tokio::test]
async fn a_token_that_nobody_made_is_not_known() {
    let app = TestApp::start().await;
    let (_, task) = asked(&app, &json!({})).await;
    let link = link(&app, &task).await;
    let mut forged = link.clone();
    let last = forged.pop().expect("a digit");
    forged.push(if last == '0' { '1' } else { '0' });
    for token in [forged.as_str(), "vl_", &link[..link.len() - 1], &format!("vl_{}", "0".repeat(96))] {
        app.send(Call::get(at(&task, "")).token(token)).await.problem(401, "unauthorized");
    }
    // Of another engine of the same master key it is.
    let two = TestApp::on(&app.url).await;
    two.send(Call::get(at(&task, "")).token(&link)).await.expect(200);
}

#[tokio::test]
async fn after_the_end_a_link_is_told_the_outcome() {
    let app = TestApp::start().await;
    let (answered_run, answered) = asked(&app, &json!({})).await;
    let (_, rejected) = asked(&app, &json!({})).await;
    let (cancelled_run, cancelled) = asked(&app, &json!({})).await;
    let (timed_out_run, timed_out) = asked(&app, &json!({ "deadline_ms": 1_500 })).await;
    let tasks = [&answered, &rejected, &cancelled, &timed_out];
    let links = join_all(tasks.map(|task| link(&app, task))).await;
    let call = answer(&answered, 1).key("mine").token(&links[0]);
    app.send(call.clone()).await.expect(200);
    app.send(Call::post(at(&rejected, "/reject"))).await.expect(200);
    app.send(Call::post(format!("/api/v1/runs/{cancelled_run}/cancel"))).await.expect(200);
    app.until_status(&timed_out_run, "succeeded").await;
    app.until_status(&answered_run, "succeeded").await;
    let ends = [("answered", Some("link")), ("rejected", Some("ada")), ("cancelled", None), ("timed_out", None)];
    for ((task, link), (outcome, by)) in tasks.into_iter().zip(&links).zip(ends) {
        for call in
            [Call::get(at(task, "")), Call::post(at(task, "/claim")), answer(task, 2), Call::post(at(task, "/reject"))]
        {
            let refused = app.send(call.token(link)).await.problem(409, "task_ended");
            assert_names(&refused, by, Some(outcome));
        }
        // Operators still see it, without a link.
        let view = app.send(Call::get(at(task, ""))).await.expect(200).json();
        assert_eq!((&view["state"], view.get("link")), (&json!(outcome), None));
    }
    // The browser that sent the answer may not have seen that it was taken.
    app.send(call).await.expect(200);
}

#[tokio::test]
async fn a_second_claim_is_told_who_has_the_task_and_since_when() {
    let app = TestApp::start().await;
    let (_, task) = asked(&app, &json!({})).await;
    let claim = |token: &str| app.send(Call::post(at(&task, "/claim")).token(token));
    let (ada, grace) = tokio::join!(claim(PEOPLE), claim(SECOND_PERSON));
    let (won, lost, first) = if ada.status == 200 { (ada, grace, "ada") } else { (grace, ada, "grace") };
    assert_eq!(won.expect(200).json()["claimed_by"], first);
    assert_names(&lost.problem(409, "task_taken"), Some(first), None);
}

#[tokio::test]
async fn of_two_people_who_answer_at_once_the_second_is_told_who_and_when() {
    let app = TestApp::start().await;
    for n in 0..6 {
        let (run, task) = asked(&app, &json!({})).await;
        let send = |token: &str, age| app.send(answer(&task, age).token(token));
        let (ada, grace) = tokio::join!(send(PEOPLE, n), send(SECOND_PERSON, n + 100));
        let (won, lost, first, age) =
            if ada.status == 200 { (ada, grace, "ada", n) } else { (grace, ada, "grace", n + 100) };
        won.expect(200);
        assert_names(&lost.problem(409, "task_ended"), Some(first), Some("answered"));
        assert_eq!(app.until_status(&run, "succeeded").await["output"], json!({ "age": age }));
    }
}

/// The tick may be a second late, and an answer after the deadline is late all the same.
#[tokio::test]
async fn after_the_deadline_nothing_is_taken_even_before_the_tick() {
    let app = TestApp::start().await;
    let (run, task) = asked(&app, &json!({ "deadline_ms": 3_600_000 })).await;
    // As if the hour were over; no tick will find it for an hour.
    let passed = "UPDATE human_tasks SET deadline = now() - interval '1 second'";
    sqlx::query(passed).execute(app.pool()).await.expect("a past deadline");
    // The run's own timer is the truth: an hour from now. Nothing ended, and the answer is in time.
    app.send(answer(&task, 1)).await.expect(200);
    app.until_status(&run, "succeeded").await;

    let (run, task) = asked(&app, &json!({ "deadline_ms": 40 })).await;
    let view = app.send(Call::get(at(&task, ""))).await.expect(200).json();
    let deadline: valet_core::Timestamp = view["deadline"].as_str().expect("a deadline").parse().expect("a time");
    database::until("the deadline passes", async || (app.engine.clock.now() >= deadline).then_some(())).await;
    let refused = app.send(answer(&task, 2)).await.problem(409, "task_ended");
    assert_names(&refused, None, Some("timed_out"));
    assert_eq!(app.until_status(&run, "succeeded").await["output"], "timed out");
    app.send(Call::post(at(&task, "/claim")).token(WORKER)).await.problem(403, "wrong_scope");
}
