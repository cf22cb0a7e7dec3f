//! The rows of browsers tell the truth: whose each is and what became of it; one that an operator kills is gone, and its run goes on in another.

use valet_board::{Expectation, FormKind};
use valet_protocol::api::{ReasonRequest, SandboxView};
use valet_tests::bounds::{SOON, START_MAX};
use valet_tests::wait::{until, until_true};

use super::applicant::differences;
use super::house::House;

/// Of a form with a question that no profile answers.
pub(super) fn asking_seed() -> u32 {
    let asks = |seed: &u32| Expectation::of(FormKind::Steps, *seed).free_question.is_some();
    (400..1_000).find(asks).expect("one of many seeds")
}

impl House {
    async fn rows(&self, all: bool) -> Vec<SandboxView> {
        self.client.sandboxes(all).await.expect("a list").sandboxes
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_an_operator_kills_while_a_person_is_asked_is_followed_by_another() {
    let house = House::start(1).await;
    let priced = serde_json::json!({ "usd_per_hour": 3.6 });
    house.client.put_rule("tier", "local", &priced, None).await.expect("a price");
    let seed = asking_seed();
    let run = house.applicant().start(FormKind::Steps, seed).await;
    let parked = until("the browser to wait for a person", START_MAX, async || {
        let rows = house.rows(false).await;
        let found = rows.iter().find(|row| row.state == "parked").cloned();
        found.ok_or_else(|| format!("{rows:?}"))
    })
    .await;
    assert_eq!(
        (parked.run.as_deref(), parked.tier.as_str(), parked.provider.as_str()),
        (Some(run.as_str()), "local", "local")
    );
    assert!(parked.host.is_some() && !parked.left && parked.lease_until > parked.created_at, "{parked:?}");
    assert_eq!(house.browsers_left().len(), 1);

    let reason = ReasonRequest { reason: "it hangs".to_owned() };
    house.client.kill_sandbox(&parked.id, &reason).await.expect("killed");
    until_true("the killed browser to be gone", SOON, async || house.browsers_left().is_empty()).await;
    let filed = house.follow(FormKind::Steps, seed, &run).await;
    assert_eq!(filed.run.run.status, "succeeded", "{:?}", filed.run.error);
    assert_eq!(differences(&Expectation::of(FormKind::Steps, seed), &filed.received), [""; 0]);
    assert_eq!(filed.received.len(), 1, "sent once");

    house.no_browser_is_left("the application").await;
    let rows = house.rows(true).await;
    let ended: Vec<(&str, bool)> = rows.iter().map(|row| (row.state.as_str(), row.id == parked.id)).collect();
    assert_eq!(ended, [("destroyed", false), ("destroyed", true)], "the newest first: {rows:?}");
    assert_eq!(rows[1].reason.as_deref(), Some("it hangs"));
    assert!(rows.iter().all(|row| row.cost_usd_micros > 0), "a dollar in a thousand seconds: {rows:?}");
    let costs = house.client.sandboxes(false).await.expect("a list").costs;
    assert!(costs.iter().any(|cost| cost.tier == "local" && cost.usd_micros > 0), "{costs:?}");
    let charged = house.client.run(&run).await.expect("the run").run.spent_usd_micros;
    assert!(charged.is_some_and(|charged| charged > 0), "what its browser cost counts against its budget");
}
