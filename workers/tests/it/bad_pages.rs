//! Pages that never end, never rest, or take the browser with them: a typed outcome within a bound, each time.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use valet_workers::browser::{AgentLimits, BrowserAgent as _, BrowserError, Selectors, WebDriverAgent};
use valet_workers::form::{Applicant, PageKind, advance, classify, fill_page, read_page};
use valet_workers::gate::BrowserKind;
use valet_workers::sandbox::{FenceNumber, Sandbox, SandboxProvider as _, process};

use super::rig::Rig;
use super::site::{Page, Site};

/// For pages that are waited for in vain.
fn short() -> AgentLimits {
    AgentLimits {
        command: Duration::from_secs(8),
        navigation: Duration::from_secs(5),
        settle: Duration::from_secs(2),
        loading: Duration::from_secs(2),
        moved: Duration::from_secs(6),
        ..AgentLimits::default()
    }
}

fn ada() -> Applicant {
    Applicant { first_name: "Ada".into(), last_name: "Lovelace".into(), ..Applicant::default() }
}

const FORM: &str = "<title>Apply</title><h1>Apply</h1><form method=post action=/sent><label>First name <input name=a></label><label>Last name <input name=b></label><button>Submit application</button></form>";

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_never_loads_is_a_timeout_and_the_next_one_opens() {
    let rig = Rig::new();
    let site = Site::start().await;
    let good = site.page("/good", FORM);
    let sandbox = rig.sandbox(&[&site]).await;
    let agent = rig.agent_with(sandbox.id, 1, short()).await;
    agent.navigate(&good).await.expect("opened");
    // A whole form could be in what has come: half a page is none.
    let cases = [Page::Hangs, Page::Breaks(String::new()), Page::Breaks(FORM.to_owned())];
    for (index, page) in cases.into_iter().enumerate() {
        let begun = Instant::now();
        let outcome = agent.navigate(&site.put("/bad", page)).await;
        assert!(matches!(outcome, Err(BrowserError::Timeout { command: "navigate", .. })), "{index}: {outcome:?}");
        assert!(begun.elapsed() < Duration::from_secs(20), "{index}: {:?}", begun.elapsed());
        agent.navigate(&good).await.expect("the browser is still good");
    }
    rig.provider.destroy(&sandbox.id).await.expect("destroyed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_whose_text_is_there_is_open_though_a_picture_never_comes() {
    let rig = Rig::new();
    let site = Site::start().await;
    site.put("/picture", Page::Hangs);
    let url = site.page("/page", format!("{FORM}<img src=/picture>"));
    let sandbox = rig.sandbox(&[&site]).await;
    let agent = rig.agent_with(sandbox.id, 1, short()).await;
    agent.navigate(&url).await.expect("opened");
    let page = fill_page(&agent, &ada()).await.expect("filled");
    assert!(page.is_ready());
    rig.provider.destroy(&sandbox.id).await.expect("destroyed");
}

#[tokio::test(flavor = "multi_thread")]
async fn endless_redirects_are_told_as_a_page_that_cannot_be_opened() {
    let rig = Rig::new();
    let site = Site::start().await;
    let url = site.put("/round", Page::Redirect("/round".into()));
    let good = site.page("/good", FORM.replace("action=/sent", "action=/round"));
    let sandbox = rig.sandbox(&[&site]).await;
    let agent = rig.agent_with(sandbox.id, 1, short()).await;
    let outcome = agent.navigate(&url).await;
    assert!(matches!(&outcome, Err(BrowserError::Navigation(reason)) if reason.contains("redirect")), "{outcome:?}");
    assert_eq!(classify(&agent.snapshot().await.expect("read")).kind, PageKind::Error);

    // A script that goes round and round leaves no moment to read the page in, or the page that is shown at that moment.
    let url = site.page("/spin", "<title>s</title><p>x</p><script>location.href = '/spin?' + Math.random()</script>");
    let begun = Instant::now();
    if let Err(error) = agent.navigate(&url).await {
        assert!(matches!(error, BrowserError::Timeout { .. }), "{error:?}");
    }
    assert!(begun.elapsed() < Duration::from_secs(25), "{:?}", begun.elapsed());

    // Where the answer to a form goes round, the press is in doubt and not confirmed. In another browser: that one still spins.
    rig.provider.destroy(&sandbox.id).await.expect("destroyed");
    let sandbox = rig.sandbox(&[&site]).await;
    let agent = rig.agent_with(sandbox.id, 1, short()).await;
    agent.navigate(&good).await.expect("opened");
    let page = fill_page(&agent, &ada()).await.expect("filled");
    let done = advance(&agent, &page.snapshot, page.plan.next.as_ref().expect("a button")).await.expect("looked");
    assert_eq!(done.page.kind, PageKind::Error);
    rig.provider.destroy(&sandbox.id).await.expect("destroyed");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_dialog_is_dismissed_and_a_storm_of_them_is_told() {
    let rig = Rig::new();
    let site = Site::start().await;
    let sandbox = rig.sandbox(&[&site]).await;
    let agent = rig.agent_with(sandbox.id, 1, short()).await;
    agent.navigate(&site.page("/one", format!("<script>alert('Welcome')</script>{FORM}"))).await.expect("opened");
    assert_eq!(agent.take_dialogs().await, ["Welcome"]);
    let page = fill_page(&agent, &ada()).await.expect("filled");
    assert!(page.is_ready());
    // Leaving a page that asks whether to leave is leaving.
    agent
        .navigate(&site.page(
            "/stay",
            format!("{FORM}<script>onbeforeunload = (e) => {{ e.preventDefault(); return 'x' }}</script>"),
        ))
        .await
        .expect("opened");
    fill_page(&agent, &ada()).await.expect("filled");
    let good = site.page("/good", FORM);
    assert_eq!(agent.navigate(&good).await.expect("left").url, good);
    for storm in ["setInterval(() => alert('again'), 5)", "while (true) alert('again')"] {
        let begun = Instant::now();
        let url = site.page("/storm", format!("{FORM}<script>{storm}</script>"));
        let outcome = agent.navigate(&url).await;
        if outcome.is_ok() {
            let read = read_page(&agent).await;
            assert!(matches!(read, Err(BrowserError::Dialog { .. })), "{storm}: {:?}", read.map(|page| page.title));
        } else {
            assert!(
                matches!(outcome, Err(BrowserError::Dialog { .. } | BrowserError::Protocol(_))),
                "{storm}: {outcome:?}"
            );
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{storm}: {:?}", begun.elapsed());
    }
    rig.provider.destroy(&sandbox.id).await.expect("destroyed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_huge_page_is_read_in_part_and_in_time() {
    let rig = Rig::new();
    let site = Site::start().await;
    let mut html = format!("{FORM}<form id=big>");
    for index in 0..4000 {
        let _ = write!(html, "<div><label for=i{index}>Question {index}</label><input id=i{index}></div>");
    }
    let options = format!("<option>{}</option>", "x".repeat(150)).repeat(3000);
    for index in 0..40 {
        let _ = write!(html, "<select name=s{index}>{options}</select>");
    }
    html.push_str("</form><script>let deep = document.body; for (let i = 0; i < 900; i++) { const next = document.createElement('div'); deep.append(next); deep = next } for (let i = 0; i < 150000; i++) { const p = document.createElement('p'); p.textContent = 'Name: ' + i; document.body.append(p) }</script>");
    let (sandbox, agent) = rig.browser(&[&site]).await;
    agent.navigate(&site.page("/huge", html)).await.expect("opened");
    let begun = Instant::now();
    let page = agent.snapshot().await.expect("read");
    assert!(begun.elapsed() < Duration::from_secs(25), "{:?}", begun.elapsed());
    assert!(page.truncated && page.controls.len() <= 600);
    assert_eq!(page.controls[0].name, "a", "what comes first is read");
    let bytes = serde_json::to_vec(&page).expect("json").len();
    assert!(bytes < 8 << 20, "{bytes} bytes");
    rig.provider.destroy(&sandbox.id).await.expect("destroyed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_crashes_its_tab_is_gone_and_not_retried_in_vain() {
    // Firefox lays this page out.
    let rig = Rig::of(BrowserKind::Chromium);
    let site = Site::start().await;
    let (sandbox, agent) = rig.browser(&[&site]).await;
    // Nested deeper than the browser can lay out.
    let url = site.page("/deep", "<title>d</title><script>setTimeout(() => { let deep = document.body; for (let i = 0; i < 60000; i++) { const next = document.createElement('div'); deep.append(next); deep = next } deep.textContent = 'x' }, 300)</script>");
    let begun = Instant::now();
    let mut outcome = agent.navigate(&url).await.map(drop);
    for _ in 0..5 {
        if outcome.is_err() {
            break;
        }
        outcome = agent.snapshot().await.map(drop);
    }
    assert!(matches!(outcome, Err(BrowserError::Gone(_))), "{outcome:?}");
    // A command that waits in vain takes its whole bound; the page itself keeps a busy machine at work for long.
    assert!(begun.elapsed() < AgentLimits::default().command, "{:?}", begun.elapsed());
    rig.provider.destroy(&sandbox.id).await.expect("destroyed");
}

/// What an agent may be in the middle of.
#[derive(Clone, Copy, Debug)]
enum Doing {
    Navigate,
    Snapshot,
    Fill,
    Click,
    Upload,
    Screenshot,
    FillPage,
}

const ALL: [Doing; 7] =
    [Doing::Navigate, Doing::Snapshot, Doing::Fill, Doing::Click, Doing::Upload, Doing::Screenshot, Doing::FillPage];

async fn act(agent: &WebDriverAgent, doing: Doing, slow: &str, file: &std::path::Path) -> Result<(), BrowserError> {
    match doing {
        Doing::Navigate => agent.navigate(slow).await.map(drop),
        Doing::Snapshot => agent.snapshot().await.map(drop),
        Doing::Fill => agent.fill_field(&Selectors::css("[name=a]"), "Ada").await.map(drop),
        Doing::Click => agent.click_element(&Selectors::css("button")).await.map(drop),
        Doing::Upload => agent.upload_file(&Selectors::css("[type=file]"), file).await.map(drop),
        Doing::Screenshot => agent.take_screenshot().await.map(drop),
        Doing::FillPage => fill_page(agent, &ada()).await.map(drop),
    }
}

/// Kills the browser's processes, or those of its driver.
fn kill(rig: &Rig, sandbox: &Sandbox, driver: bool) {
    for found in process::of_sandbox(&rig.dir(sandbox.id.0)) {
        let line = std::fs::read(format!("/proc/{}/cmdline", found.pid)).unwrap_or_default();
        let program = String::from_utf8_lossy(line.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned();
        let is_driver = program.contains("chromedriver") || program.contains("geckodriver");
        let is_browser = (program.contains("chrom") || program.contains("firefox")) && !is_driver;
        if if driver { is_driver } else { is_browser } {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(found.pid), nix::sys::signal::Signal::SIGKILL);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_or_driver_that_dies_in_the_middle_of_anything_is_told() {
    let rig = Rig::new();
    let site = Site::start().await;
    site.put("/slow", Page::Hangs);
    // From its first move on the page keeps the browser busy, so that whatever is done is in its middle.
    let busy = "<script>setTimeout(() => { const end = Date.now() + 6000; while (Date.now() < end); }, 1200)</script>";
    let url = site.page("/busy", format!("{}{busy}", FORM.replace("<button>", "<input type=file><button>")));
    for (index, doing) in ALL.into_iter().enumerate() {
        for driver in [false, true] {
            // Each half of the matrix in turn: two sandboxes per action are enough.
            let sandbox = rig.sandbox(&[&site]).await;
            let agent = rig
                .agent_with(sandbox.id, 1, AgentLimits { quiet: Duration::from_millis(50), ..AgentLimits::default() })
                .await;
            let file =
                rig.provider.stage_file(&sandbox.id, uuid::Uuid::nil(), "cv.pdf", b"%PDF").await.expect("staged");
            agent.navigate(&url).await.expect("opened");
            let loaded = Instant::now();
            tokio::time::sleep_until((loaded + Duration::from_millis(1500)).into()).await;
            let slow = site.url("/slow");
            let begun = Instant::now();
            let (outcome, ()) = tokio::join!(act(&agent, doing, &slow, &file), async {
                tokio::time::sleep(Duration::from_millis(300)).await;
                kill(&rig, &sandbox, driver);
            });
            let told = match outcome {
                Err(BrowserError::Gone(_)) => !driver,
                // Its driver may end before the browser is seen to be gone: whoever attaches again is told which it was.
                Err(BrowserError::DriverRestarted) => attaches(&rig, &sandbox, driver).await,
                _ => false,
            };
            assert!(told, "{index} {doing:?} driver {driver}: {outcome:?}");
            assert!(begun.elapsed() < Duration::from_secs(40), "{doing:?} driver {driver}: {:?}", begun.elapsed());
            rig.provider.destroy(&sandbox.id).await.expect("destroyed");
        }
    }
}

/// Whether attaching comes to succeed, or to be refused for good, as it should.
async fn attaches(rig: &Rig, sandbox: &Sandbox, should: bool) -> bool {
    for _ in 0..100 {
        let attached = rig.provider.attach(&sandbox.id, FenceNumber(2)).await;
        if attached.is_ok() == should {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    false
}
