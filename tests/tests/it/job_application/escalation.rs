//! A site that refuses headless browsers: one with a window takes over, once, and everybody is told.

use serde_json::json;
use valet_board::{CheckPlace, Expectation, FormKind, Twist};
use valet_workers::sandbox::process::of_sandbox;

use valet_tests::bounds::SOON;
use valet_tests::wait::until;

use super::applicant::differences;
use super::house::House;
use crate::it::hooks::{hook_program, kept};

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_headless_browser_is_replaced_by_one_with_a_window() {
    let folder = tempfile::tempdir().expect("a folder");
    let (hook, told) = hook_program(folder.path());
    let house = House::start_set(1, vec![("VALET_HOOK_COMMAND", hook.display().to_string())]).await;
    for seed in 1..=6 {
        let run = house.applicant().start(FormKind::Guarded, seed).await;
        let filed = house.follow(FormKind::Guarded, seed, &run).await;
        assert_eq!(filed.run.run.status, "succeeded", "seed {seed}: {:?}", filed.run.error);
        assert_eq!(differences(&Expectation::of(FormKind::Guarded, seed), &filed.received), [""; 0], "seed {seed}");
        let receipt = filed.run.output.expect("a receipt");
        assert_eq!(receipt["tier"], "local_headed");
        let escalated = &receipt["escalations"][0];
        assert_eq!(
            (&escalated["from"], &escalated["to"], &escalated["code"]),
            (&json!("local"), &json!("local_headed"), &json!("bot_blocked"))
        );
        assert!(house.board.blocks().by_seed[&seed] > 0, "the board did refuse it");
        let notice = until("somebody to be told of the escalation", SOON, async || {
            kept(&told, &run).remove("tier.escalated").ok_or_else(|| "not yet".to_owned())
        })
        .await;
        assert_eq!(&notice["data"], escalated, "{notice}");
        // The first browser is cleaned up before the second is there.
        let order: Vec<&str> = filed
            .run
            .steps
            .iter()
            .map(|step| step.name.as_str())
            .filter(|name| ["provision", "cleanup"].contains(name))
            .collect();
        assert_eq!(order, ["provision", "cleanup", "provision", "cleanup"], "seed {seed}");
    }
    assert!(house.browsers_left().is_empty(), "nothing is left: {:?}", house.browsers_left());
}

/// Seeds whose puzzle is there.
fn puzzles(place: CheckPlace) -> impl Iterator<Item = u32> {
    (1..).filter(move |seed| {
        matches!(Expectation::of(FormKind::Check, *seed).twist, Twist::Check(check) if check.place == place)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_puzzle_is_tried_with_a_window_before_a_person_is_asked_and_not_once_the_form_was_sent() {
    let house = House::start(1).await;
    let applicant = house.applicant();
    let mut before = puzzles(CheckPlace::BeforeForm);
    let mut seed = || before.next().expect("a seed");
    let after = puzzles(CheckPlace::BeforeEnd).next().expect("a seed");
    for (seed, most, tier, codes) in [
        (seed(), 1, "local_headed", vec!["captcha"]),
        (seed(), 0, "local", Vec::new()),
        (after, 1, "local", Vec::new()),
    ] {
        let run = applicant.start_input(FormKind::Check, seed, |input| input["max_escalations"] = json!(most)).await;
        let filed = house.follow(FormKind::Check, seed, &run).await;
        assert_eq!(filed.run.run.status, "succeeded", "seed {seed}: {:?}", filed.run.error);
        assert_eq!(differences(&Expectation::of(FormKind::Check, seed), &filed.received), [""; 0], "seed {seed}");
        let receipt = filed.run.output.expect("a receipt");
        let escalations = receipt["escalations"].as_array().into_iter().flatten();
        let told: Vec<&str> = escalations.filter_map(|one| one["code"].as_str()).collect();
        assert_eq!((receipt["tier"].as_str(), told), (Some(tier), codes), "seed {seed}");
        // This puzzle is there for every browser: a person solves it in the one that is left.
        let solved = filed.asked.iter().filter(|task| task.reason == "captcha").count();
        assert_eq!(solved, 1, "seed {seed}: {:?}", filed.asked);
    }
    assert!(house.browsers_left().is_empty(), "nothing is left: {:?}", house.browsers_left());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_may_not_escalate_ends_with_the_sites_refusal() {
    let house = House::start(1).await;
    let run = house.applicant().start_input(FormKind::Guarded, 3, |input| input["max_escalations"] = json!(0)).await;
    let filed = house.follow(FormKind::Guarded, 3, &run).await;
    assert_eq!(filed.run.run.status, "failed");
    let error = filed.run.error.expect("an error");
    assert_eq!(error.code, "bot_blocked", "{error:?}");
    let details = error.details.expect("evidence");
    assert!(details["screenshot"].is_string(), "{details}");
    assert!(filed.received.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_while_a_browser_starts_leaves_nothing() {
    let house = House::start(2).await;
    for seed in 1..=6_u64 {
        let run = house.applicant().start(FormKind::Simple, 900 + seed as u32).await;
        house.until_step(&run, "provision").await;
        // From before its processes are there until after they are.
        tokio::time::sleep(std::time::Duration::from_millis(150 * seed)).await;
        house.client.cancel(&run, "enough").await.expect("cancelled");
        let filed = house.follow(FormKind::Simple, 900 + seed as u32, &run).await;
        assert_eq!(filed.run.run.status, "cancelled");
        let left: Vec<_> =
            house.browsers_left().iter().map(|folder| (folder.clone(), of_sandbox(folder).len())).collect();
        assert!(left.is_empty(), "seed {seed}: {left:?}");
    }
}
