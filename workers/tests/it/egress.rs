//! What the browser cannot reach, tried from inside it.

use std::time::Duration;

use uuid::Uuid;
use valet_workers::browser::{BrowserAgent, BrowserError, Selectors};
use valet_workers::gate::BrowserKind;
use valet_workers::sandbox::{FenceNumber, SandboxProvider};

use super::rig::{Raw, Rig, eventually, request, with_either_browser};
use super::site::Site;

with_either_browser!(
    a_page_reaches_its_own_host_and_no_other,
    a_host_allowed_by_name_still_needs_its_private_address_opened,
);

async fn a_page_reaches_its_own_host_and_no_other(kind: BrowserKind) {
    let rig = Rig::of(kind);
    let (site, other) = (Site::start().await, Site::start().await);
    let secret = other.page("/secret", "secret");
    let url = site.page(
        "/page",
        format!(
            "<title>t</title><img src='{secret}'><iframe src='{secret}'></iframe><p id=out></p><script>
          fetch('{secret}', {{mode: 'no-cors'}}).then(() => 1, () => 0).then(() => fetch('/done'));
          navigator.sendBeacon('{secret}'); new WebSocket('{}');
        </script>",
            secret.replace("http:", "ws:")
        ),
    );
    let (sandbox, agent) = rig.browser(&[&site]).await;
    agent.navigate(&url).await.expect("opened");
    eventually("the page tried", || site.requests().iter().any(|request| request == "GET /done")).await;
    for target in [secret.clone(), other.url("/")] {
        let refused = agent.navigate(&target).await;
        assert!(matches!(refused, Err(BrowserError::Blocked { .. })), "{refused:?}");
    }
    for u in [
        "https://jobs.example.test/",
        &other.url("/").replace("http:", "https:"),
        &site.url("/").replace("http:", "https:"),
        "https://localhost:1/",
        "http://localhost:1/",
    ] {
        eprintln!("{u} {:?}", agent.navigate(u).await);
    }
    assert!(matches!(agent.navigate("https://jobs.example.test/").await, Err(BrowserError::Blocked { .. })));
    assert!(matches!(agent.navigate("http://jobs.example.test/").await, Err(BrowserError::Blocked { .. })));
    for target in ["file:///etc/passwd", "chrome://version", "javascript:1", "nonsense"] {
        assert!(matches!(agent.navigate(target).await, Err(BrowserError::BadInput { .. })), "{target}");
    }
    assert_eq!(other.requests(), [] as [String; 0], "nothing reached the other site");
    let log = std::fs::read_to_string(rig.dir(sandbox.id.0).join("gate-state.json")).expect("a state");
    assert!(log.contains("\"ready\""), "refusals do not end the browser");
    rig.provider.destroy(&sandbox.id).await.expect("destroyed");
}

async fn a_host_allowed_by_name_still_needs_its_private_address_opened(kind: BrowserKind) {
    let rig = Rig::of(kind);
    let site = Site::start().await;
    let url = site.page("/page", "<title>t</title>hello");
    let mut asked = request(Uuid::now_v7(), &[&site]);
    asked.allow_private.clear();
    asked.lease = Duration::from_mins(1);
    let sandbox = rig.provider.provision(&asked).await.expect("a sandbox");
    let agent = rig.agent(sandbox.id, 1).await;
    assert!(matches!(agent.navigate(&url).await, Err(BrowserError::Blocked { .. })));
    assert!(site.requests().is_empty());
    rig.provider.destroy(&sandbox.id).await.expect("destroyed");
}

#[tokio::test(flavor = "multi_thread")]
async fn firefox_asks_for_nothing_that_no_page_asked_for() {
    let rig = Rig::of(BrowserKind::Firefox);
    let site = Site::start().await;
    // What a browser does of its own accord it does within its first moments, with a form above all.
    let url = site.page(
        "/page",
        "<title>t</title><form><label>Email <input name=email></label><input type=password></form>
         <script>setTimeout(() => fetch('/later'), 6000)</script>",
    );
    let (sandbox, agent) = rig.browser(&[&site]).await;
    agent.navigate(&url).await.expect("opened");
    agent.fill_field(&Selectors::css("[name=email]"), "ada@example.test").await.expect("filled");
    eventually("some seconds passed in the page", || site.requests().iter().any(|request| request == "GET /later"))
        .await;
    let egress = rig.egress(sandbox.id).await;
    assert_eq!((&egress["refused"], &egress["last_refused"]), (&0.into(), &serde_json::json!([])), "{egress}");
    assert!(agent.navigate("http://jobs.example.test/").await.is_err());
    let raw = Raw::new(rig.provider.attach(&sandbox.id, FenceNumber(2)).await.expect("attached"));
    raw.good("url", serde_json::json!({"url": url})).await;
    assert_eq!(raw.script("return typeof RTCPeerConnection").await, "undefined", "it would go around the proxy");
    let egress = rig.egress(sandbox.id).await;
    assert_eq!(egress["last_refused"], serde_json::json!(["jobs.example.test:80"]), "what is asked for is seen");
    rig.provider.destroy(&sandbox.id).await.expect("destroyed");
}
