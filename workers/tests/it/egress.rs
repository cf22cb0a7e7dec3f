//! What the browser cannot reach, tried from inside it.

use std::time::Duration;

use uuid::Uuid;
use valet_workers::browser::{BrowserAgent, BrowserError, Selectors};
use valet_workers::gate::BrowserKind;
use valet_workers::sandbox::{FenceNumber, SandboxProvider};

use super::rig::{Raw, Rig, eventually, request, with_either_browser};
use super::site::{Page, Site};

/// A page tries at once; a service worker after it was installed.
const REFUSED_WITHIN: Duration = Duration::from_secs(20);

with_either_browser!(
    a_page_reaches_its_own_host_and_no_other,
    a_host_allowed_by_name_still_needs_its_private_address_opened,
    no_way_that_a_page_knows_leads_out,
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

/// Each is refused by the browser's only way out, whatever the page thinks of.
async fn no_way_that_a_page_knows_leads_out(kind: BrowserKind) {
    let rig = Rig::of(kind);
    let (site, other) = (Site::start().await, Site::start().await);
    let secret = other.page("/secret", "secret");
    site.put("/redirect", Page::Redirect(secret.clone()));
    site.put("/sw.js", Page::Script(format!("self.addEventListener('install', e => e.waitUntil(fetch('{secret}')))")));
    let pages = [
        ("/meta", format!("<meta http-equiv=refresh content='0;url={secret}'>")),
        (
            "/form",
            format!(
                "<form action='{secret}' method=post><input name=a></form><script>document.forms[0].submit()</script>"
            ),
        ),
        ("/open", format!("<title>t</title><script>window.open('{secret}')</script>")),
        ("/frame", format!("<title>t</title><iframe src='{secret}'></iframe>")),
        ("/location", format!("<script>location = '{secret}'</script>")),
        ("/socket", format!("<title>t</title><script>new WebSocket('{}')</script>", secret.replace("http:", "ws:"))),
        ("/service-worker", "<title>t</title><script>navigator.serviceWorker.register('/sw.js')</script>".to_owned()),
    ];
    for (path, html) in &pages {
        site.page(path, html.as_str());
    }
    let (sandbox, agent) = rig.browser(&[&site]).await;
    for path in std::iter::once("/redirect").chain(pages.iter().map(|(path, _)| *path)) {
        let before = rig.egress(sandbox.id).await["refused"].as_u64().expect("a count");
        // Some end on the browser's own page that says no.
        let _ = agent.navigate(&site.url(path)).await;
        let deadline = tokio::time::Instant::now() + REFUSED_WITHIN;
        while rig.egress(sandbox.id).await["refused"].as_u64() <= Some(before) {
            assert!(tokio::time::Instant::now() < deadline, "{path}: nothing was refused");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let refused = rig.egress(sandbox.id).await["last_refused"].clone();
        assert!(refused.to_string().contains(&other.host_port()), "{path}: {refused}");
    }
    assert_eq!(other.requests(), [] as [String; 0], "nothing reached the other site");
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
