//! What starts by itself, and by which browser: schedules, events and tiers, made and changed on their pages.

use serde_json::{Value, json};
use valet_tests::bounds::SOON;
use valet_tests::wait::until;

use super::Scene;

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_shows_its_next_fires_before_it_is_made_and_is_triggered_paused_and_deleted() {
    let scene = Scene::start().await;
    let browser = &scene.browser;
    browser.go("/schedules").await;
    browser.sees("No schedule yet.").await;
    browser.click("New schedule").await;
    browser.fill("Name", "daily").await;
    browser.choose("Workflow", "asks").await;
    browser.sees("They show here once the input fits the workflow.").await;
    browser.fill("Question", "Is all well?").await;
    browser.fill("Time zone", "Asia/Kathmandu").await;
    browser.sees("09:30 +05:45").await;
    browser.fill("Cron", "99 * * * *").await;
    browser.sees("(at /cron)").await;
    assert_eq!(scene.schedules().await, json!([]), "a preview stores nothing");
    browser.fill("Cron", "15 8 * * *").await;
    browser.sees("08:15 +05:45").await;
    let fires = "return document.querySelectorAll('[aria-label=\"next fires\"] > li').length";
    assert_eq!(browser.run(fires, Vec::new()).await, json!(10));
    browser.click("Make the schedule").await;
    browser.sees("It has not fired yet.").await;

    browser.click("Trigger now").await;
    browser.click("Trigger").await;
    browser.sees("manual").await;
    browser.sees("started").await;
    browser.click("Pause").await;
    browser.sees("None while it is paused.").await;
    assert_eq!(scene.schedules().await[0]["paused"], json!(true));
    browser.click("Resume").await;
    browser.sees("08:15 +05:45").await;

    browser.click("Edit").await;
    browser.fill("Cron", "45 7 * * *").await;
    browser.sees("07:45 +05:45").await;
    browser.click("Change it").await;
    browser.sees("45 7 * * * (Asia/Kathmandu)").await;
    assert_eq!(scene.schedules().await[0]["cron"], json!("45 7 * * *"));

    browser.click("Delete").await;
    browser.click("Delete it").await;
    browser.sees("No schedule yet.").await;
    scene.browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_starts_a_run_by_a_trigger_and_a_replay_starts_another() {
    let scene = Scene::start().await;
    let browser = &scene.browser;
    browser.go("/events?view=triggers").await;
    browser.sees("No trigger yet").await;
    browser.click("New trigger").await;
    browser.fill("Name", "paid").await;
    browser.fill("Key", "order:*").await;
    browser.choose("Workflow", "asks").await;
    browser.fill("Only if", "payload.total >").await;
    browser.click("Make it").await;
    browser.sees("this is no CEL").await;
    browser.fill("Only if", "payload.total > 5").await;
    browser.fill("The run", r#"{ "input": { "question": { "$cel": "payload.question" } } }"#).await;
    browser.click("Make it").await;
    browser.sees("edit paid").await;

    browser.click("What happened").await;
    browser.sees("Nothing happened yet.").await;
    browser.click("Push an event").await;
    browser.fill("Key", "order:paid").await;
    browser.fill("Payload", r#"{ "total": 9, "question": "Send it?" }"#).await;
    browser.click("Push").await;
    browser.sees("asks, by the trigger paid").await;
    browser.click("Replay").await;
    browser.sees("replay of").await;
    let api = scene.api();
    until("two runs", SOON, async || {
        let runs = api.get("/api/v1/runs?workflow=asks").await.map_err(|error| error.to_string())?.body;
        if runs["runs"].as_array().is_some_and(|runs| runs.len() == 2) { Ok(()) } else { Err(runs.to_string()) }
    })
    .await;

    // What does not fit starts nothing, and says so.
    browser.click("close").await;
    browser.click("Push an event").await;
    browser.fill("Key", "order:lost").await;
    browser.click("Push").await;
    browser.sees("Nothing: no trigger fitted it.").await;
    scene.browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tier_is_switched_off_and_on_and_a_policy_is_set_live() {
    let scene = Scene::start().await;
    let browser = &scene.browser;
    scene.api().put("/api/v1/rules/tier/local", &json!({ "percent": 50 })).await.expect("a rule is set");
    browser.go("/tiers").await;
    browser.click("turn off local").await;
    browser.fill("Note", "its driver is being updated").await;
    browser.click("Turn it off").await;
    browser.sees("turn on local").await;
    let off = json!({ "percent": 50, "enabled": false, "note": "its driver is being updated" });
    assert_eq!(scene.rule("tier", "local").await, off, "the rest of the rule stays");
    browser.click("turn on local").await;
    browser.sees("turn off local").await;
    assert_eq!(scene.rule("tier", "local").await["enabled"], json!(true));

    browser.click("Policy").await;
    browser.fill("Sites", "http://example.com").await;
    browser.fill("Seconds between visits", "30").await;
    browser.click("Set it").await;
    browser.sees("(at name)").await;
    browser.fill("Sites", "*.example.com").await;
    browser.click("Set it").await;
    browser.sees("30 s between visits").await;
    assert_eq!(scene.rule("site", "*.example.com").await, json!({ "pace_s": 30 }));
    browser.click("edit *.example.com").await;
    browser.click("Remove the rule").await;
    browser.sees("No policy").await;

    // Who only reads sees the rules and how the tiers do, and changes none.
    let vera = scene.token("vera", "viewer").await;
    browser.click("sign out").await;
    browser.sign_in(&vera).await;
    browser.go("/tiers").await;
    browser.sees("What failed, tier by site").await;
    let page = browser.page().await;
    assert!(!page.contains("turn off") && !page.contains("edit the rule"), "a viewer is offered a change:\n{page}");
    scene.browser.close().await;
}

impl Scene {
    async fn schedules(&self) -> Value {
        self.api().get("/api/v1/schedules").await.expect("an answer").body["schedules"].clone()
    }

    async fn rule(&self, kind: &str, name: &str) -> Value {
        let list = self.api().get(&format!("/api/v1/rules?kind={kind}")).await.expect("an answer").body;
        let rules = list["rules"].as_array().expect("a list");
        rules.iter().find(|rule| rule["name"] == name).expect("the rule is there")["value"].clone()
    }
}
