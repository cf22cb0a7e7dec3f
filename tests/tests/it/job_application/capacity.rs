//! A machine with room for one browser: the next application waits for it, however long a person takes, and no attempt is used up.

use valet_board::{Expectation, FormKind};
use valet_tests::bounds::SOON;
use valet_tests::wait::until;

use super::applicant::differences;
use super::house::House;

#[tokio::test(flavor = "multi_thread")]
async fn an_application_waits_for_room_without_using_attempts_up() {
    let house = House::start_set(2, vec![("VALET_SANDBOXES", "1".to_owned())]).await;
    let (first, second) = (31, 32);
    let parked = house.applicant().start(FormKind::Login, first).await;
    until("the first to wait for a person", SOON, async || {
        let detail = house.client.run(&parked).await.map_err(|error| error.to_string())?;
        if detail.tasks.iter().any(|task| task.state == "open") { Ok(()) } else { Err(detail.run.status) }
    })
    .await;
    let waiting = house.applicant().start(FormKind::Simple, second).await;
    // It looks more often than a browser may fail to start.
    until("the second to have looked for room four times", SOON * 3, async || {
        let detail = house.client.run(&waiting).await.map_err(|error| error.to_string())?;
        let looks = detail.steps.iter().filter(|step| step.name == "provision" && step.state == "succeeded").count();
        let line = detail.run.status_line.unwrap_or_default();
        if looks >= 3 && line.contains("waiting for room") { Ok(()) } else { Err(format!("{looks} looks, {line}")) }
    })
    .await;
    let filed = house.follow(FormKind::Login, first, &parked).await;
    assert_eq!(filed.run.run.status, "succeeded", "{:?}", filed.run.error);
    let filed = house.follow(FormKind::Simple, second, &waiting).await;
    assert_eq!(filed.run.run.status, "succeeded", "{:?}", filed.run.error);
    assert_eq!(differences(&Expectation::of(FormKind::Simple, second), &filed.received), [""; 0]);
    let attempts = filed.run.steps.iter().filter(|step| step.name == "provision").map(|step| step.attempt).max();
    assert_eq!(attempts, Some(1), "room costs no attempt: {:?}", filed.run.steps);
}
