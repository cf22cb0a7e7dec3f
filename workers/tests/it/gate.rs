//! The fence: who may send commands to a browser, and when the others stop.

use std::sync::Arc;
use std::time::{Duration, Instant};

use valet_workers::browser::{BrowserAgent, BrowserError, Selectors};
use valet_workers::sandbox::{FenceNumber, SandboxError, SandboxProvider};

use super::rig::{Rig, eventually};
use super::site::{Page, Site};

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_was_taken_over_cannot_click() {
    let rig = Rig::new();
    let site = Site::start().await;
    let url = site.page("/form", "<title>t</title><button onclick=\"fetch('/clicked')\">Go</button>");
    let (sandbox, old) = rig.browser(&[&site]).await;
    old.navigate(&url).await.expect("opened");
    let new = rig.agent(sandbox.id, 2).await;
    let refused = old.click_element(&Selectors::css("button")).await;
    assert!(matches!(refused, Err(BrowserError::StaleFence)), "{refused:?}");
    assert!(matches!(
        rig.provider.attach(&sandbox.id, FenceNumber(1)).await,
        Err(SandboxError::StaleFence { offered: 1, current: 2, .. })
    ));
    assert!(!site.requests().iter().any(|request| request == "GET /clicked"));
    new.click_element(&Selectors::css("button")).await.expect("clicked");
    eventually("the click arrives", || site.requests().iter().any(|request| request == "GET /clicked")).await;
    rig.provider.destroy(&sandbox.id).await.expect("destroyed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_in_flight_is_cut_off_by_a_take_over() {
    let rig = Rig::new();
    let site = Site::start().await;
    let slow = site.put("/slow", Page::Hangs);
    let (sandbox, old) = rig.browser(&[&site]).await;
    let old = Arc::new(old);
    let loading = tokio::spawn({
        let old = Arc::clone(&old);
        async move { old.navigate(&slow).await }
    });
    eventually("the page is asked for", || !site.requests().is_empty()).await;
    let begun = Instant::now();
    rig.provider.attach(&sandbox.id, FenceNumber(2)).await.expect("taken over");
    let cut = loading.await.expect("joined");
    assert!(matches!(cut, Err(BrowserError::StaleFence)), "{cut:?}");
    assert!(begun.elapsed() < Duration::from_secs(20), "not after the page has loaded: {:?}", begun.elapsed());
    rig.provider.destroy(&sandbox.id).await.expect("destroyed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_take_over_with_the_same_fence_is_the_same_holder() {
    let rig = Rig::new();
    let sandbox = rig.sandbox(&[]).await;
    let first = rig.provider.attach(&sandbox.id, FenceNumber(4)).await.expect("attached");
    let again = rig.other_worker().attach(&sandbox.id, FenceNumber(4)).await.expect("attached again");
    assert_eq!(first.webdriver_url, again.webdriver_url);
    assert!(!format!("{first:?}").contains(&first.webdriver_url), "the key is not logged");
    rig.provider.destroy(&sandbox.id).await.expect("destroyed");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_of_a_dead_browser_says_so() {
    let rig = Rig::new();
    let (sandbox, agent) = rig.browser(&[]).await;
    rig.provider.destroy(&sandbox.id).await.expect("destroyed");
    let gone = agent.current_url().await;
    assert!(matches!(gone, Err(BrowserError::Gone(_))), "{gone:?}");
}
