//! A person who never answers: the run ends with the task, and its browser with the run.

use std::time::Duration;

use serde_json::json;
use valet_board::FormKind;
use valet_tests::bounds::START_MAX;
use valet_tests::wait::until;

use super::house::House;

/// The shortest that an application may give a person.
const DEADLINE: Duration = Duration::from_secs(10);

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_nobody_answers_ends_the_run_and_cleans_up() {
    let house = House::start(1).await;
    let change = |input: &mut serde_json::Value| input["human_deadline_s"] = json!(DEADLINE.as_secs());
    let run = house.applicant().start_input(FormKind::Login, 7, change).await;
    let ended = until("the run to end", START_MAX + DEADLINE, async || {
        let detail = house.client.run(&run).await.map_err(|error| error.to_string())?;
        if detail.run.ended_at.is_some() { Ok(detail) } else { Err(detail.run.status) }
    })
    .await;
    assert_eq!(ended.run.status, "timed_out");
    assert_eq!(ended.error.expect("an error").code, "human_timed_out");
    let states: Vec<(&str, &str)> =
        ended.tasks.iter().map(|task| (task.reason.as_str(), task.state.as_str())).collect();
    assert_eq!(states, [("login", "timed_out")]);
    assert!(house.browsers_left().is_empty(), "{:?}", house.browsers_left());
    assert!(house.received(FormKind::Login, 7).is_empty());
    let late = house.client.answer(&ended.tasks[0].id, json!({ "q1": "ada", "q2": "late" }), "late").await;
    let refused = late.expect_err("it is over").to_string();
    assert!(refused.contains("ended"), "{refused}");
}
