//! What is held back, and what was kept before: limits made, changed and lifted; an earlier answer taken up again.

use serde_json::{Value, json};

use super::Scene;

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_is_made_cooled_down_changed_and_deleted_and_shows_what_its_keys_have() {
    let scene = Scene::start().await;
    let browser = &scene.browser;
    browser.go("/queues").await;
    browser.sees("No limit: as much is at work as workers have slots.").await;
    browser.click("New limit").await;
    browser.fill("Name", "per length").await;
    browser.sees("the first a letter or digit").await;
    browser.fill("Name", "per-length").await;
    browser.choose("Workflow", "staged").await;
    browser.fill("Key", "input.steps +").await;
    browser.fill("At work at once", "0").await;
    browser.sees("to let nothing begin, pause the workflow").await;
    browser.fill("At work at once", "1").await;
    browser.click("Make it").await;
    browser.sees("this is no CEL").await;
    assert_eq!(scene.limits().await, json!([]), "what is wrong is not set");
    browser.fill("Key", "input.steps").await;
    browser.click("Make it").await;
    browser.sees("edit per-length").await;
    assert_eq!(scene.limits().await[0]["most"], json!(1));

    let stage = scene.cluster.stage("closed");
    let input = json!({ "steps": 2, "stage": stage.folder() });
    for n in 0..3 {
        scene.api().start("staged", &input, &format!("held-{n}")).await.expect("a run starts");
    }
    browser.click("per-length").await;
    browser.sees("1 of 1").await;
    browser.click("cool down 2").await;
    browser.click("1 h").await;
    browser.click("Leave it alone").await;
    browser.click("lift 2").await;
    browser.sees("cool down 2").await;
    assert_eq!(scene.key("per-length").await["cooled_until"], Value::Null);

    browser.click("Edit").await;
    browser.fill("At work at once", "3").await;
    browser.click("Change it").await;
    browser.sees("3 of 3").await;
    assert_eq!(scene.key("per-length").await["running"], json!(3));

    // Who only reads sees what is held back, and changes nothing.
    let vera = scene.token("vera", "viewer").await;
    browser.click("sign out").await;
    browser.sign_in(&vera).await;
    browser.go("/limits/per-length").await;
    browser.sees("3 of 3").await;
    let page = browser.page().await;
    for word in ["Edit", "Delete", "cool down", "Leave a key alone"] {
        assert!(!page.contains(word), "a viewer is offered {word}:\n{page}");
    }
    browser.click("sign out").await;
    browser.sign_in(scene.cluster.token()).await;
    browser.go("/limits/per-length").await;
    browser.click("Delete").await;
    browser.click("Delete it").await;
    browser.sees("No limit: as much is at work as workers have slots.").await;
    assert_eq!(scene.limits().await, json!([]));
    let did = scene.audited("limit/per-length").await;
    assert_eq!(did, ["limit.put", "limit.put", "limit.remove"]);
    assert_eq!(scene.audited("limit/per-length/2").await, ["limit.cool", "limit.cool"]);
    scene.browser.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_earlier_answer_becomes_the_newest_again() {
    let scene = Scene::start().await;
    let browser = &scene.browser;
    for value in ["no visa", "a visa"] {
        let item = json!({ "kind": "answer", "name": "Visa?", "value": value });
        scene.api().put("/api/v1/subjects/tests/items", &item).await.expect("an item is kept");
    }
    browser.go("/subjects?subject=tests").await;
    browser.click("earlier versions of Visa?").await;
    browser.sees("no visa").await;
    browser.click("Go back to version 1").await;
    browser.sees("What was in version 1 is the newest again.").await;
    let item = scene.api().get("/api/v1/subjects/tests/item?kind=answer&name=Visa%3F").await.expect("an answer").body;
    assert_eq!((&item["value"], &item["version"]), (&json!("no visa"), &json!(3)));
    scene.browser.close().await;
}

impl Scene {
    async fn limits(&self) -> Value {
        self.api().get("/api/v1/limits").await.expect("an answer").body["limits"].clone()
    }

    /// What the first key of a limit has.
    async fn key(&self, limit: &str) -> Value {
        let path = format!("/api/v1/limits/{limit}/keys");
        self.api().get(&path).await.expect("an answer").body["keys"][0].clone()
    }

    /// What was done to something, the first deed first.
    async fn audited(&self, target: &str) -> Vec<String> {
        let entries = self.api().get(&format!("/api/v1/audit?target={target}")).await.expect("an answer").body;
        let entries = entries["entries"].as_array().expect("a list");
        entries.iter().map(|entry| entry["action"].as_str().unwrap_or_default().to_owned()).collect()
    }
}
