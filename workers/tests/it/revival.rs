//! The browser outlives its driver, its gate and its worker; and where it does not, everybody is told.

use std::time::Duration;

use serde_json::{Value, json};
use valet_workers::browser::{BrowserAgent, BrowserError, Selectors, WebDriverAgent};
use valet_workers::gate::{BrowserKind, GatePhase};
use valet_workers::sandbox::{FenceNumber, Sandbox, SandboxError, SandboxProvider, SandboxState};

use super::rig::{Raw, Rig, eventually, kill, with_either_browser};
use super::site::Site;

const FORM: &str = "<title>t</title><form><label>Name <input id=n></label></form>";

with_either_browser!(
    a_killed_driver_is_replaced_and_what_was_typed_is_still_there,
    a_new_driver_goes_on_in_the_tab_that_was_in_use,
    a_session_that_held_more_than_the_page_must_be_attached_again,
    a_command_the_driver_died_over_is_not_sent_again,
    a_killed_browser_ends_its_sandbox_and_attaching_says_so,
    a_killed_gate_is_followed_by_another_and_the_fence_does_not_go_back,
    several_workers_at_once_give_a_browser_one_gate,
    a_browser_whose_gate_and_itself_were_killed_is_gone,
);

/// A browser with a form in which a name was typed.
async fn typed(rig: &Rig, site: &Site) -> (Sandbox, WebDriverAgent) {
    let url = site.page("/form", FORM);
    let (sandbox, agent) = rig.browser(&[site]).await;
    agent.navigate(&url).await.expect("opened");
    agent.fill_field(&Selectors::css("#n"), "Ada").await.expect("filled");
    (sandbox, agent)
}

async fn name_in(agent: &WebDriverAgent) -> String {
    agent.snapshot().await.expect("a page").controls[0].value.clone()
}

async fn a_killed_driver_is_replaced_and_what_was_typed_is_still_there(kind: BrowserKind) {
    let rig = Rig::of(kind);
    let site = Site::start().await;
    let (sandbox, agent) = typed(&rig, &site).await;
    let before = rig.state(sandbox.id);
    rig.kill_driver(sandbox.id).await;
    // At once, while there is no driver: the command waits. Its session held time limits of its own, so its holder attaches again.
    assert!(matches!(agent.current_url().await, Err(BrowserError::DriverRestarted)));

    let attachment = rig.other_worker().attach(&sandbox.id, FenceNumber(2)).await.expect("taken over");
    let after = rig.state(sandbox.id);
    assert_ne!(Some(&attachment.session_id), before.session_id.as_ref());
    assert_eq!(Some(&attachment.session_id), after.session_id.as_ref());
    assert_eq!((after.browser, after.window_place, after.driver_restarts), (before.browser, before.window_place, 1));
    if kind == BrowserKind::Chromium {
        assert_eq!(after.window, before.window);
    }
    let name = if kind == BrowserKind::Firefox { "firefox" } else { "chrome" };
    assert_eq!(attachment.capabilities["browserName"], name);
    let other =
        WebDriverAgent::attach(attachment, valet_workers::browser::AgentLimits::default()).await.expect("an agent");
    assert_eq!(name_in(&other).await, "Ada");
    other.fill_field(&Selectors::css("#n"), "Ada L").await.expect("filled");
    assert_eq!(name_in(&other).await, "Ada L");
    assert!(matches!(agent.current_url().await, Err(BrowserError::StaleFence)), "the former holder is out");
    // The egress rule holds as before.
    assert!(matches!(other.navigate("http://jobs.example.test/").await, Err(BrowserError::Blocked { .. })));
    other.navigate(&site.url("/form")).await.expect("the site is still allowed");
    rig.provider.destroy(&sandbox.id).await.expect("destroyed");
    assert_eq!(rig.processes(sandbox.id.0), 0);
}

async fn a_new_driver_goes_on_in_the_tab_that_was_in_use(kind: BrowserKind) {
    let rig = Rig::of(kind);
    let site = Site::start().await;
    let (first, second) = (site.page("/1", "<title>first</title>"), site.page("/2", "<title>second</title>"));
    let sandbox = rig.sandbox(&[&site]).await;
    let attach = async || Raw::new(rig.provider.attach(&sandbox.id, FenceNumber(1)).await.expect("attached"));
    let mut raw = attach().await;
    raw.good("url", json!({"url": first})).await;
    let mut one = raw.get("window").await.1;
    let mut two = raw.good("window/new", json!({"type": "tab"})).await["handle"].clone();
    for title in ["second", "first", "second"] {
        let tab = if title == "first" { &one } else { &two };
        raw.good("window", json!({"handle": tab})).await;
        if title == "second" {
            raw.good("url", json!({"url": second})).await;
        }
        rig.kill_driver(sandbox.id).await;
        if kind == BrowserKind::Firefox {
            // Tabs have other names for every driver, so that whoever knows one attaches again.
            let (status, answer) = raw.get("title").await;
            assert_eq!((status, &answer["error"]), (503, &json!("driver_restarted")));
            raw = attach().await;
            let tabs = raw.get("window/handles").await.1;
            (one, two) = (tabs[0].clone(), tabs[1].clone());
        }
        let tab = if title == "first" { &one } else { &two };
        assert_eq!(raw.get("title").await, (200, json!(title)));
        assert_eq!(raw.get("window").await, (200, tab.clone()));
        assert_eq!(rig.state(sandbox.id).window.map(Value::from).as_ref(), Some(tab));
    }
    // And after the gate as well.
    kill(rig.state(sandbox.id).gate).await;
    let raw = Raw::new(rig.provider.attach(&sandbox.id, FenceNumber(2)).await.expect("attached"));
    assert_eq!(raw.get("title").await, (200, json!("second")));
    rig.provider.destroy(&sandbox.id).await.expect("destroyed");
}

async fn a_session_that_held_more_than_the_page_must_be_attached_again(kind: BrowserKind) {
    let rig = Rig::of(kind);
    let site = Site::start().await;
    site.page("/inner", "<title>inner</title><input id=n>");
    let url = site.page("/outer", "<title>outer</title><iframe src=/inner></iframe><input id=o>");
    let sandbox = rig.sandbox(&[&site]).await;
    let raw = Raw::new(rig.provider.attach(&sandbox.id, FenceNumber(1)).await.expect("attached"));
    raw.good("url", json!({"url": url})).await;
    raw.good("frame", json!({"id": 0})).await;
    assert_eq!(raw.script("return document.title").await, "inner");
    rig.kill_driver(sandbox.id).await;
    let (status, answer) = raw.post("execute/sync", json!({"script": "return document.title", "args": []})).await;
    assert_eq!((status, &answer["error"]), (503, &json!("driver_restarted")), "never run in the outer page instead");
    let again = Raw::new(rig.provider.attach(&sandbox.id, FenceNumber(1)).await.expect("attached again"));
    assert_ne!(again.attachment.session_id, raw.attachment.session_id);
    assert_eq!(again.script("return document.title").await, "outer");
    rig.provider.destroy(&sandbox.id).await.expect("destroyed");
}

async fn a_command_the_driver_died_over_is_not_sent_again(kind: BrowserKind) {
    let rig = Rig::of(kind);
    let site = Site::start().await;
    let url = site.page("/form", FORM);
    let sandbox = rig.sandbox(&[&site]).await;
    let raw = Raw::new(rig.provider.attach(&sandbox.id, FenceNumber(1)).await.expect("attached"));
    raw.good("url", json!({"url": url})).await;
    let script = "fetch('/seen?' + Math.random()); const done = arguments[0]; setTimeout(done, 20000)";
    let busy = raw.post("execute/async", json!({"script": script, "args": []}));
    let killing = async {
        let seen = || site.requests().iter().filter(|request| *request == "GET /seen").count();
        eventually("the script runs", || seen() == 1).await;
        rig.kill_driver(sandbox.id).await;
    };
    let ((status, answer), ()) = tokio::join!(busy, killing);
    assert_eq!((status, &answer["error"]), (503, &json!("driver_restarted")));
    let again = Raw::new(rig.provider.attach(&sandbox.id, FenceNumber(1)).await.expect("attached again"));
    assert_eq!(again.script("return document.title").await, "t");
    assert_eq!(site.requests().iter().filter(|request| *request == "GET /seen").count(), 1);
    assert_eq!(raw.get("title").await.0, 503, "what the former session holds now is not known");
    rig.provider.destroy(&sandbox.id).await.expect("destroyed");
}

async fn a_killed_browser_ends_its_sandbox_and_attaching_says_so(kind: BrowserKind) {
    let rig = Rig::of(kind);
    let (sandbox, agent) = rig.browser(&[]).await;
    kill(rig.state(sandbox.id).browser).await;
    eventually("gate and driver end too", || rig.processes(sandbox.id.0) == 0).await;
    assert_eq!(rig.state(sandbox.id).phase, GatePhase::Ended);
    assert!(matches!(agent.current_url().await, Err(BrowserError::Gone(_))));
    for _ in 0..2 {
        let gone = rig.provider.attach(&sandbox.id, FenceNumber(2)).await;
        assert!(matches!(gone, Err(SandboxError::Gone { .. })), "{gone:?}");
    }
    assert_eq!(rig.provider.list().await.expect("a list")[0].state, SandboxState::Lost);
    rig.provider.destroy(&sandbox.id).await.expect("destroyed");
}

async fn a_killed_gate_is_followed_by_another_and_the_fence_does_not_go_back(kind: BrowserKind) {
    let rig = Rig::of(kind);
    let site = Site::start().await;
    let (sandbox, _) = typed(&rig, &site).await;
    let held = rig.provider.attach(&sandbox.id, FenceNumber(5)).await.expect("attached");
    let before = rig.state(sandbox.id);
    kill(before.gate).await;
    let worker = rig.other_worker();
    assert!(matches!(
        worker.attach(&sandbox.id, FenceNumber(4)).await,
        Err(SandboxError::StaleFence { offered: 4, current: 5, .. })
    ));
    let again = worker.attach(&sandbox.id, FenceNumber(5)).await.expect("its holder comes back");
    assert_eq!(held.webdriver_url, again.webdriver_url, "same port, same key");
    assert_ne!(held.session_id, again.session_id);
    let after = rig.state(sandbox.id);
    assert!(after.gate != before.gate && after.driver != before.driver);
    assert_eq!((after.browser, after.proxy_address), (before.browser, before.proxy_address));
    assert!(!before.driver.expect("a driver").is_alive(), "the former driver is ended");

    let other = rig.agent(sandbox.id, 6).await;
    assert_eq!(name_in(&other).await, "Ada");
    assert_eq!(Raw::new(again).get("title").await.0, 403, "the former holder is out");
    assert!(matches!(other.navigate("http://jobs.example.test/").await, Err(BrowserError::Blocked { .. })));
    other.navigate(&site.url("/form")).await.expect("the site is still allowed");
    rig.provider.destroy(&sandbox.id).await.expect("destroyed");
    assert_eq!(rig.processes(sandbox.id.0), 0);
}

async fn several_workers_at_once_give_a_browser_one_gate(kind: BrowserKind) {
    let rig = Rig::of(kind);
    let site = Site::start().await;
    let (sandbox, _) = typed(&rig, &site).await;
    let before = rig.state(sandbox.id);
    kill(before.driver).await;
    kill(before.gate).await;
    let workers: Vec<_> = (0..4).map(|_| rig.other_worker()).collect();
    let attaching = workers.iter().map(|worker| worker.attach(&sandbox.id, FenceNumber(2)));
    let attached = futures::future::join_all(attaching).await;
    let urls: Vec<_> = attached.into_iter().map(|attached| attached.expect("attached").webdriver_url).collect();
    assert!(urls.iter().all(|url| *url == urls[0]));
    // A renewal finds the browser without a gate as well.
    kill(rig.state(sandbox.id).gate).await;
    rig.provider.renew(&sandbox.id, Duration::from_mins(5)).await.expect("renewed");
    assert_eq!(name_in(&rig.agent(sandbox.id, 3).await).await, "Ada");
    rig.provider.destroy(&sandbox.id).await.expect("destroyed");
    assert_eq!(rig.processes(sandbox.id.0), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_whose_proxy_cannot_be_served_again_is_ended() {
    let rig = Rig::new();
    let site = Site::start().await;
    let (sandbox, _) = typed(&rig, &site).await;
    let state = rig.state(sandbox.id);
    kill(state.gate).await;
    eventually("the gate is gone", || !state.gate.expect("a gate").is_alive()).await;
    let taken = std::net::TcpListener::bind(state.proxy_address.expect("an address")).expect("taken by somebody else");
    let gone = rig.provider.attach(&sandbox.id, FenceNumber(2)).await;
    assert!(matches!(gone, Err(SandboxError::Gone { .. })), "{gone:?}");
    assert_eq!(rig.processes(sandbox.id.0), 0);
    assert_eq!(rig.provider.list().await.expect("a list")[0].state, SandboxState::Lost);
    drop(taken);
    assert!(matches!(rig.provider.attach(&sandbox.id, FenceNumber(3)).await, Err(SandboxError::Gone { .. })));
    rig.provider.destroy(&sandbox.id).await.expect("destroyed");
}

async fn a_browser_whose_gate_and_itself_were_killed_is_gone(kind: BrowserKind) {
    let rig = Rig::of(kind);
    let sandbox = rig.sandbox(&[]).await;
    let state = rig.state(sandbox.id);
    kill(state.gate).await;
    kill(state.browser).await;
    eventually("the browser is gone", || !state.browser.expect("a browser").is_alive()).await;
    let gone = rig.provider.attach(&sandbox.id, FenceNumber(2)).await;
    assert!(matches!(gone, Err(SandboxError::Gone { .. })), "{gone:?}");
    rig.provider.destroy(&sandbox.id).await.expect("destroyed");
    assert_eq!(rig.processes(sandbox.id.0), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_driver_that_keeps_ending_is_given_up_with_its_browser() {
    let rig = Rig::with(|config| config.limits.driver_restarts_max = 2);
    let sandbox = rig.sandbox(&[]).await;
    for restart in 1..=3 {
        rig.kill_driver(sandbox.id).await;
        if restart <= 2 {
            let known = || rig.state(sandbox.id);
            eventually("another driver", || known().driver_restarts == restart && known().session_id.is_some()).await;
        }
    }
    eventually("it is given up", || rig.processes(sandbox.id.0) == 0).await;
    let gone = rig.provider.attach(&sandbox.id, FenceNumber(2)).await;
    assert!(matches!(gone, Err(SandboxError::Gone { .. })), "{gone:?}");
    rig.provider.destroy(&sandbox.id).await.expect("destroyed");
}
