//! What is done to many runs at once: counted first, followed live, taken back.

use valet_tests::bounds::SOON;
use valet_tests::wait::until;

use super::Scene;

impl Scene {
    async fn paused(&self, run: &str, expected: bool) {
        let api = self.api();
        until(&format!("{run} to be paused: {expected}"), SOON, async || {
            let run = api.run(run).await.map_err(|error| error.to_string())?.run;
            if run.paused == expected { Ok(()) } else { Err(run.status) }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_runs_that_fit_are_paused_and_an_undo_resumes_those_alone() {
    let scene = Scene::start().await;
    let browser = &scene.browser;
    browser.go("/bulk-operations").await;
    browser.sees("Nothing was done to many runs in 30 days.").await;
    let (first, _) = scene.asking("The first?").await;
    let (second, _) = scene.asking("The second?").await;
    let (held, _) = scene.asking("Held up before?").await;
    scene.api().post(&format!("/api/v1/runs/{held}/pause"), &serde_json::json!({}), None).await.expect("it is paused");

    browser.go("/runs?status=waiting&workflow=asks").await;
    browser.click("Pause").await;
    browser.sees("It applies to 3 runs now.").await;
    scene.paused(&first, false).await;
    browser.fill("Runs a second", "0").await;
    browser.sees("1 to 10,000").await;
    browser.fill("Runs a second", "50").await;
    browser.click("Pause 3 runs").await;
    browser.sees("2 of 3 runs paused, 1 passed over").await;
    browser.sees("completed").await;
    for run in [&first, &second, &held] {
        scene.paused(run, true).await;
    }

    // What was paused before by somebody else stays so.
    browser.click("Undo").await;
    browser.click("Undo it").await;
    browser.sees("which it takes back").await;
    browser.sees("2 of 2 runs resumed").await;
    scene.paused(&first, false).await;
    scene.paused(&second, false).await;
    scene.paused(&held, true).await;

    let vera = scene.token("vera", "viewer").await;
    browser.click("sign out").await;
    browser.sign_in(&vera).await;
    browser.go("/bulk-operations").await;
    browser.sees("(undo)").await;
    let page = browser.page().await;
    assert!(!page.contains("undo bulk_"), "a viewer is offered an undo:\n{page}");
    scene.browser.close().await;
}
