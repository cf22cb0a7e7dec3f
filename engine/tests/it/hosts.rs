//! A step that is bound to a machine waits while that machine has workers, and is given up when they are gone.

use std::time::Duration;

use serde_json::json;

use super::app::TestApp;
use super::worker::Worker;

#[tokio::test]
async fn a_busy_host_is_waited_for_and_one_that_is_gone_is_not() {
    let app = TestApp::start().await;
    let busy = Worker::pulling(&app, &["default.on.h"]).await;
    let run = app.start_run("bound", &json!({})).await;
    // Its timeout is three seconds, and a session lives for eight without a heartbeat.
    tokio::time::sleep(Duration::from_secs(4)).await;
    let waiting = app.run(&run).await;
    assert_eq!((&waiting["status"], &waiting["reason"]["name"]), (&json!("running"), &json!("on-host")));

    busy.good_bye().await;
    let ended = app.until_status(&run, "succeeded").await;
    assert_eq!(ended["output"], "host_gone, host_gone", "the step, and the clean-up that was bound to the host too");
}

#[tokio::test]
async fn a_host_that_comes_back_in_time_goes_on() {
    let app = TestApp::start().await;
    let run = app.start_run("bound", &json!({})).await;
    let back = Worker::pulling(&app, &["default.on.h"]).await;
    for seq in [2, 3] {
        let hold = back.take(&run, seq, 1).await;
        let answer = back.finish(&hold, &json!({ "done": { "output": null } })).await;
        assert!(answer.get("accepted").is_some(), "{answer}");
    }
    assert_eq!(app.until_status(&run, "succeeded").await["output"], "done, done");
}
