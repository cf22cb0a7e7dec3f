//! What other services deliver: webhooks made on their page, and why a delivery was refused.

use serde_json::{Value, json};

use super::Scene;

/// As a sender that shows a key.
async fn deliver(scene: &Scene, key: &str, payload: &Value) -> (u16, Value) {
    let url = format!("{}/api/v1/hooks/default/shop", scene.cluster.urls()[0]);
    let request = reqwest::Client::new().post(url).header("X-Api-Key", key).json(payload);
    let answer = request.send().await.expect("an answer");
    let status = answer.status().as_u16();
    (status, answer.json().await.expect("a document"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_made_its_secret_is_shown_once_and_what_it_refuses_says_why() {
    let scene = Scene::start().await;
    let browser = &scene.browser;
    browser.go("/webhooks").await;
    browser.sees("No service delivers here yet.").await;
    browser.click("New incoming webhook").await;
    browser.fill("Name", "shop").await;
    browser.choose("Senders prove themselves as", "A key in a header").await;
    browser.click("Make it").await;
    browser.sees("this is missing").await;
    browser.choose("Workflow", "asks").await;
    browser.fill("The run", r#"{ "input": { "question": { "$cel": "payload.what" } } }"#).await;
    browser.fill("Only if", "payload.what !=").await;
    browser.click("Make it").await;
    browser.sees("this is no CEL").await;
    browser.fill("Only if", "payload.kind == 'order'").await;
    browser.click("Make it").await;
    browser.sees("This is the only time that the secret is shown.").await;
    let shown = "return document.querySelector('dialog code').textContent";
    let secret = browser.run(shown, Vec::new()).await.as_str().expect("a secret").to_owned();
    browser.click("I have kept it").await;
    browser.sees("a run of asks").await;
    assert!(!browser.page().await.contains(&secret), "it is shown once");

    let order = json!({ "kind": "order", "what": "Send it?" });
    let (status, taken) = deliver(&scene, &secret, &order).await;
    assert_eq!((status, &taken["state"]), (201, &json!("started")), "{taken}");
    assert_eq!(deliver(&scene, "another", &order).await.0, 401);
    assert_eq!(deliver(&scene, &secret, &json!({ "kind": "order" })).await.0, 422);
    browser.click("shop").await;
    browser.sees("wrong_signature").await;
    browser.sees("It was signed with another secret").await;
    browser.sees("expression_failed at /start/run/input/question").await;

    // What is put again keeps its secret.
    browser.click("pause shop").await;
    browser.sees("paused").await;
    assert_eq!(deliver(&scene, &secret, &order).await.0, 503);
    browser.click("resume shop").await;
    browser.sees_no("paused").await;
    browser.click("Edit").await;
    browser.fill("Only if", "payload.kind == 'parcel'").await;
    browser.click("Change it").await;
    browser.sees("payload.kind == 'parcel'").await;
    assert_eq!(deliver(&scene, &secret, &order).await.1["state"], json!("ignored"));

    let vera = scene.token("vera", "viewer").await;
    browser.click("sign out").await;
    browser.sign_in(&vera).await;
    browser.go("/webhooks/incoming/shop").await;
    browser.sees("wrong_signature").await;
    let page = browser.page().await;
    for word in ["Edit", "Delete", "pause shop"] {
        assert!(!page.contains(word), "a viewer is offered {word}:\n{page}");
    }

    browser.click("sign out").await;
    browser.sign_in(scene.cluster.token()).await;
    browser.go("/webhooks/incoming/shop").await;
    browser.click("Delete").await;
    browser.click("Delete it").await;
    browser.sees("No service delivers here yet.").await;
    assert_eq!(deliver(&scene, &secret, &order).await.0, 404);
    scene.browser.close().await;
}
