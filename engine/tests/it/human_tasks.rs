//! Tasks for people: claimed by one, answered once, checked against their form.

use futures::future::join_all;
use serde_json::{Value, json};

use super::access::secret;
use super::app::TestApp;
use super::calls::{Answer, Call, SECOND_PERSON};
use super::database;

async fn asked(app: &TestApp, input: &Value) -> (String, String) {
    let run = app.start_run("ask", input).await;
    let task = app.run(&run).await["tasks"][0]["id"].as_str().expect("a task").to_owned();
    (run, task)
}

fn answer(task: &str, body: &Value) -> Call {
    Call::post(format!("/api/v1/human-tasks/{task}/answer")).json(&json!({ "answer": body }))
}

fn reject(task: &str) -> Call {
    Call::post(format!("/api/v1/human-tasks/{task}/reject"))
}

async fn state(app: &TestApp, task: &str) -> String {
    let task = app.send(Call::get(format!("/api/v1/human-tasks/{task}"))).await.expect(200).json();
    task["state"].as_str().expect("a state").to_owned()
}

#[tokio::test]
async fn an_answer_that_does_not_fit_the_form_is_refused_at_its_place() {
    let app = TestApp::start().await;
    let (run, task) = asked(&app, &json!({})).await;
    let misfits = [
        (json!({}), "/answer/age"),
        (json!({ "age": "ten" }), "/answer/age"),
        (json!({ "age": 1, "name": "x" }), "/answer/name"),
        (json!([]), "/answer"),
        (Value::Null, "/answer"),
    ];
    for (misfit, field) in misfits {
        app.send(answer(&task, &misfit)).await.problem(422, "invalid_input").at(field);
    }
    assert_eq!(state(&app, &task).await, "open");
    assert_eq!(app.run(&run).await["status"], "waiting");
    let done = app.send(answer(&task, &json!({ "age": 41 }))).await.expect(200).json();
    assert_eq!((&done["state"], &done["ended_by"]), (&json!("answered"), &json!("ada")));
    assert_eq!(app.until_status(&run, "succeeded").await["output"], json!({ "age": 41 }));
}

/// Whatever the form says: a task that has ended has ended.
#[tokio::test]
async fn an_ended_task_says_so_even_if_the_answer_misfits() {
    let app = TestApp::start().await;
    let fitting = json!({ "age": 1 });
    let (_, answered) = asked(&app, &json!({})).await;
    app.send(answer(&answered, &fitting)).await.expect(200);
    let (_, rejected) = asked(&app, &json!({})).await;
    app.send(reject(&rejected)).await.expect(200);
    let (run, cancelled) = asked(&app, &json!({})).await;
    app.send(Call::post(format!("/api/v1/runs/{run}/cancel"))).await.expect(200);
    let (run, timed_out) = asked(&app, &json!({ "deadline_ms": 1 })).await;
    app.until_status(&run, "succeeded").await;
    for (task, ended) in
        [(answered, "answered"), (rejected, "rejected"), (cancelled, "cancelled"), (timed_out, "timed_out")]
    {
        assert_eq!(state(&app, &task).await, ended);
        for call in [answer(&task, &fitting), answer(&task, &json!({ "age": "ten" })), reject(&task)] {
            let refused = app.send(call.token(SECOND_PERSON)).await.problem(409, "task_ended");
            let detail = refused.json()["detail"].as_str().expect("a sentence").to_owned();
            assert!(detail.contains(ended), "{detail}");
        }
        app.send(Call::post(format!("/api/v1/human-tasks/{task}/claim"))).await.problem(409, "task_ended");
    }
}

#[tokio::test]
async fn the_same_key_gets_the_first_answer_again_even_after_the_run_ended() {
    let app = TestApp::start().await;
    let (run, task) = asked(&app, &json!({})).await;
    let call = answer(&task, &json!({ "age": 41 })).key("once");
    app.send(call.clone()).await.expect(200);
    app.until_status(&run, "succeeded").await;
    let again = app.send(call).await.expect(200).json();
    assert_eq!(again["state"], "answered");
    app.send(answer(&task, &json!({ "age": 41 })).key("twice")).await.problem(409, "task_ended");
}

#[tokio::test]
async fn of_many_answers_at_once_one_wins_and_the_others_are_told_who() {
    let app = TestApp::start().await;
    let (run, task) = asked(&app, &json!({})).await;
    let calls = (0..16).map(|age| app.send(answer(&task, &json!({ "age": age }))));
    let answers: Vec<Answer> = join_all(calls).await;
    let won: Vec<usize> = (0..16).filter(|n| answers[*n].status == 200).collect();
    assert_eq!(won.len(), 1, "{won:?}");
    for lost in answers.into_iter().filter(|answer| answer.status != 200) {
        lost.problem(409, "task_ended");
    }
    assert_eq!(app.until_status(&run, "succeeded").await["output"], json!({ "age": won[0] }));
}

#[tokio::test]
async fn an_answer_and_a_rejection_at_once_give_one_end() {
    let app = TestApp::start().await;
    for _ in 0..8 {
        let (run, task) = asked(&app, &json!({})).await;
        let (answered, rejected) = tokio::join!(app.send(answer(&task, &json!({ "age": 1 }))), app.send(reject(&task)));
        let mut statuses = [answered.status, rejected.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 409]);
        let output = app.until_status(&run, "succeeded").await["output"].clone();
        assert_eq!(output == json!({ "age": 1 }), answered.status == 200, "{output}");
    }
}

#[tokio::test]
async fn a_task_is_claimed_by_one_person_who_may_claim_it_again() {
    let app = TestApp::start().await;
    let (_, task) = asked(&app, &json!({})).await;
    let claim = Call::post(format!("/api/v1/human-tasks/{task}/claim"));
    let mine = app.send(claim.clone()).await.expect(200).json();
    assert_eq!((&mine["state"], &mine["claimed_by"]), (&json!("claimed"), &json!("ada")));
    app.send(claim.clone()).await.expect(200);
    let refused = app.send(claim.token(SECOND_PERSON)).await.problem(409, "task_taken");
    assert!(refused.json()["detail"].as_str().is_some_and(|d| d.contains("ada")), "{refused:?}");
    app.send(answer(&task, &json!({ "age": 3 }))).await.expect(200);
}

#[tokio::test]
async fn a_task_is_handed_back_by_who_has_it_or_by_an_operator() {
    let app = TestApp::start().await;
    let reviewer = secret(&app, &json!({ "name": "reviewer", "role": "reviewer" })).await;
    let (_, task) = asked(&app, &json!({})).await;
    let of = |verb: &str| Call::post(format!("/api/v1/human-tasks/{task}/{verb}"));
    app.send(of("claim")).await.expect(200);
    app.send(of("release").token(&reviewer)).await.problem(409, "task_taken");
    for _ in 0..2 {
        let open = app.send(of("release")).await.expect(200).json();
        assert_eq!(
            (&open["state"], &open["claimed_by"], &open["claimed_at"]),
            (&json!("open"), &Value::Null, &Value::Null)
        );
    }
    app.send(of("claim").token(&reviewer)).await.expect(200);
    // Who may operate runs takes it from somebody who went home.
    app.send(of("release")).await.expect(200);
    app.send(of("claim")).await.expect(200);
    app.send(answer(&task, &json!({ "age": 3 }))).await.expect(200);
    app.send(of("release")).await.problem(409, "task_ended");
}

#[tokio::test]
async fn open_tasks_are_listed_by_deadline_and_leave_the_list_when_they_end() {
    let app = TestApp::start().await;
    let (_, late) = asked(&app, &json!({ "deadline_ms": 9_000_000 })).await;
    let (soon_run, soon) = asked(&app, &json!({ "deadline_ms": 5_000_000 })).await;
    let ids = async |query: &str| {
        let page = app.send(Call::get(format!("/api/v1/human-tasks{query}"))).await.expect(200).json();
        let ids = page["tasks"].as_array().expect("tasks").iter();
        (ids.map(|task| task["id"].as_str().expect("id").to_owned()).collect::<Vec<_>>(), page["next_cursor"].clone())
    };
    assert_eq!(ids("").await.0, [soon.clone(), late.clone()]);
    let (first, next) = ids("?limit=1").await;
    let next = next.as_str().expect("a second page").to_owned();
    assert_eq!((first, ids(&format!("?limit=1&cursor={next}")).await.0), (vec![soon.clone()], vec![late.clone()]));
    app.send(reject(&soon)).await.expect(200);
    assert_eq!(ids("").await.0, [late]);
    assert_eq!(ids(&format!("?run={soon_run}")).await.0, [soon], "a run's tasks are listed after their end");
}

#[tokio::test]
async fn an_answer_to_a_paused_run_is_kept_and_delivered_on_resume() {
    let app = TestApp::start().await;
    let (run, task) = asked(&app, &json!({})).await;
    app.send(Call::post(format!("/api/v1/runs/{run}/pause"))).await.expect(200);
    app.send(answer(&task, &json!({ "age": 5 }))).await.expect(200);
    assert_eq!(state(&app, &task).await, "answered");
    assert_eq!(app.run(&run).await["status"], "waiting");
    app.send(Call::post(format!("/api/v1/runs/{run}/resume"))).await.expect(200);
    assert_eq!(app.until_status(&run, "succeeded").await["output"], json!({ "age": 5 }));
}

#[tokio::test]
async fn a_deadline_ends_a_task_by_itself() {
    let app = TestApp::start().await;
    let (run, task) = asked(&app, &json!({ "deadline_ms": 300 })).await;
    database::until("the task times out", async || (state(&app, &task).await == "timed_out").then_some(())).await;
    assert_eq!(app.until_status(&run, "succeeded").await["output"], "timed out");
}
