//! One press, whatever the site does with it.

use std::time::{Duration, Instant};

use valet_workers::browser::{AgentLimits, BrowserAgent as _, BrowserError};
use valet_workers::form::{Advance, Applicant, Moved, PageKind, advance, fill_page};
use valet_workers::sandbox::SandboxProvider as _;

use super::rig::Rig;
use super::site::{Page, Site};

const THANKS: &str = "<title>Done</title><h1>Application received</h1>";

fn ada() -> Applicant {
    Applicant { first_name: "Ada".into(), last_name: "Lovelace".into(), ..Applicant::default() }
}

fn form(how: &str, script: &str) -> String {
    format!(
        "<title>Apply</title><main id=m><h1>Apply</h1><form id=f method=post action=/sent {how}><label>First name <input name=a></label><label>Last name <input name=b></label>
         <button>Submit application</button></form></main><script>{script}</script>"
    )
}

async fn sent(rig: &Rig, site: &Site, html: String, limits: AgentLimits) -> Result<Advance, BrowserError> {
    let sandbox = rig.sandbox(&[site]).await;
    let agent = rig.agent_with(sandbox.id, 1, limits).await;
    agent.navigate(&site.page("/job", html)).await.expect("opened");
    let page = fill_page(&agent, &ada()).await.expect("filled");
    let done = advance(&agent, &page.snapshot, page.plan.next.as_ref().expect("a button")).await;
    rig.provider.destroy(&sandbox.id).await.expect("destroyed");
    done
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_shows_nothing_for_seconds_gets_one_press() {
    let rig = Rig::new();
    let site = Site::start().await;
    site.put("/sent", Page::Slow(Duration::from_secs(8), THANKS.into()));
    // Each press would send; the page says nothing until the answer is there.
    let script = "f.onsubmit = (event) => { event.preventDefault(); fetch('/sent', { method: 'POST', body: new URLSearchParams(new FormData(f)) }).then(() => { m.innerHTML = '<h1>Application received</h1>' }) }";
    let done = sent(&rig, &site, form("", script), AgentLimits::default()).await.expect("sent");
    assert_eq!((done.moved, done.page.kind), (Moved::On, PageKind::Confirmation));
    assert_eq!(site.forms("/sent").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_that_answers_late_is_waited_for_and_gets_one_form() {
    let rig = Rig::new();
    let site = Site::start().await;
    site.put("/sent", Page::Slow(Duration::from_secs(7), THANKS.into()));
    let done = sent(&rig, &site, form("", ""), AgentLimits::default()).await.expect("sent");
    assert_eq!((done.moved, done.page.kind), (Moved::On, PageKind::Confirmation));
    assert_eq!(site.forms("/sent").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_press_without_any_answer_ends_within_its_bound_and_is_not_repeated() {
    let rig = Rig::new();
    let site = Site::start().await;
    site.put("/sent", Page::Hangs);
    let script = "f.onsubmit = (event) => { event.preventDefault(); fetch('/sent', { method: 'POST' }) }";
    let limits = AgentLimits { stuck_submit: Duration::from_secs(3), ..AgentLimits::default() };
    let begun = Instant::now();
    let done = sent(&rig, &site, form("", script), limits).await.expect("looked");
    assert_eq!(done.moved, Moved::Nowhere);
    assert!(begun.elapsed() < AgentLimits::default().moved, "{:?}", begun.elapsed());
    assert_eq!(site.forms("/sent").len(), 1, "pressed once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_that_never_answers_a_form_leaves_the_press_in_doubt() {
    let rig = Rig::new();
    let site = Site::start().await;
    site.put("/sent", Page::Hangs);
    let limits = AgentLimits { navigation: Duration::from_secs(5), ..AgentLimits::default() };
    let done = sent(&rig, &site, form("", ""), limits).await;
    // Chromium's driver, when it is asked in the moment the page gives way, heeds none of its own bounds and answers once the gate has
    // given the site up: then the page is the gate's.
    let in_doubt = match &done {
        Err(error) => matches!(error, BrowserError::Timeout { .. }),
        Ok(done) => done.moved == Moved::Nowhere || done.page.kind == PageKind::Error,
    };
    assert!(in_doubt, "{:?}", done.map(|done| (done.moved, done.page)));
    assert_eq!(site.forms("/sent").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn thanks_above_a_form_that_stays_are_thanks() {
    let rig = Rig::new();
    let site = Site::start().await;
    site.put("/sent", Page::Thanks(THANKS.into()));
    let script = "f.onsubmit = (event) => { event.preventDefault(); fetch('/sent', { method: 'POST' }).then(() => { m.insertAdjacentHTML('afterbegin', '<p role=alert>Your application has been received.</p>') }) }";
    let done = sent(&rig, &site, form("", script), AgentLimits::default()).await.expect("sent");
    assert_eq!((done.moved, done.page.kind), (Moved::On, PageKind::Confirmation));
    assert_eq!(site.forms("/sent").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_page_says_in_a_dialog_is_its_complaint() {
    let rig = Rig::new();
    let site = Site::start().await;
    let script = "f.onsubmit = (event) => { event.preventDefault(); alert('Last name must have five letters') }";
    let done = sent(&rig, &site, form("", script), AgentLimits::default()).await.expect("pressed");
    assert_eq!(done.moved, Moved::Refused);
    assert_eq!(done.alerts, ["Last name must have five letters"]);
    assert_eq!(done.complaints.iter().map(|complaint| complaint.label.as_str()).collect::<Vec<_>>(), ["Last name"]);
    assert!(site.forms("/sent").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_button_that_moves_or_is_covered_for_a_moment_is_pressed_once() {
    let rig = Rig::new();
    let site = Site::start().await;
    site.put("/sent", Page::Thanks(THANKS.into()));
    // It slides for a second after the last field was left, and a veil lies over it as long; beneath it something else waits to be hit.
    let script = "const b = f.querySelector('button'); b.style.position = 'relative';
        document.querySelector('[name=b]').addEventListener('change', () => { const begun = performance.now(); (function slide() {
          const t = performance.now() - begun; b.style.left = Math.min(t / 4, 250) + 'px'; if (t < 1000) requestAnimationFrame(slide); else veil.remove() })() });";
    let html = form("", script)
        .replace("</main>", "</main><div id=veil onclick=\"fetch('/veil')\" style='position:fixed;inset:0'></div>");
    let done = sent(&rig, &site, html, AgentLimits { quiet: Duration::from_millis(60), ..AgentLimits::default() })
        .await
        .expect("sent");
    assert_eq!(done.page.kind, PageKind::Confirmation);
    assert_eq!(site.forms("/sent").len(), 1);
    assert!(!site.requests().iter().any(|request| request == "GET /veil"));
}
