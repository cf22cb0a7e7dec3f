//! Pages whose parts come late, are replaced, or depend on what was answered.

use std::time::{Duration, Instant};

use valet_workers::browser::{AgentLimits, BrowserAgent as _};
use valet_workers::form::{Answer, Applicant, Moved, PageKind, advance, fill_page, read_page};
use valet_workers::sandbox::SandboxProvider as _;

use super::rig::Rig;
use super::site::{Page, Received, Site};

const THANKS: &str = "<title>Done</title><h1>Application received</h1>";
const FIELDS: &str = "<p><label>First name <input name=a></label></p><p><label>Last name <input name=b></label></p><p><label>Email <input name=c></label></p>";

fn ada() -> Applicant {
    Applicant {
        first_name: "Ada".into(),
        last_name: "Lovelace".into(),
        email: "ada@example.test".into(),
        needs_sponsorship: Some(true),
        ..Applicant::default()
    }
}

fn answer(question: &str, answer: &str) -> Answer {
    Answer { question: question.into(), answer: answer.into() }
}

fn value<'a>(form: &'a Received, name: &str) -> Option<&'a str> {
    form.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

fn form(inner: &str) -> String {
    format!("<form method=post action=/sent><h1>Apply</h1>{inner}<button>Submit application</button></form>")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_comes_late_is_waited_for_with_and_without_a_sign() {
    let rig = Rig::new();
    let site = Site::start().await;
    site.put("/sent", Page::Thanks(THANKS.into()));
    let (sandbox, agent) = rig.browser(&[&site]).await;
    let late = |before: &str, after: Duration| {
        format!(
            "<title>Job</title><nav><a href=/x>Home</a></nav><main id=m>{before}</main>
             <script>setTimeout(() => {{ m.innerHTML = `{}` }}, {})</script>",
            form(FIELDS),
            after.as_millis()
        )
    };
    let cases = [
        (
            "a spinner",
            late("<div class='load-box spinner' style='width:30px;height:30px'></div>", Duration::from_secs(2)),
        ),
        ("busy", late("<section aria-busy=true>&nbsp;<br>&nbsp;</section>", Duration::from_secs(2))),
        ("words", late("<p>Loading the form…</p>", Duration::from_secs(2))),
        ("nothing", late("", Duration::from_secs(2))),
        (
            "a blank page",
            format!(
                "<title>t</title><div id=m></div><script>setTimeout(() => {{ m.innerHTML = `{}` }}, 2000)</script>",
                form(FIELDS)
            ),
        ),
    ];
    for (index, (name, html)) in cases.into_iter().enumerate() {
        agent.navigate(&site.page("/job", html)).await.expect("opened");
        let page = fill_page(&agent, &ada()).await.expect("filled");
        assert!(page.is_ready(), "{name}: {:?}", page.plan.page);
        let done = advance(&agent, &page.snapshot, page.plan.next.as_ref().expect("a button")).await.expect("sent");
        assert_eq!(done.page.kind, PageKind::Confirmation, "{name}");
        assert_eq!(site.forms("/sent").len(), index + 1, "{name}");
    }
    rig.provider.destroy(&sandbox.id).await.expect("destroyed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_of_loading_that_never_goes_is_waited_for_once() {
    let rig = Rig::new();
    let site = Site::start().await;
    let url = site.page(
        "/job",
        format!("<title>t</title><div class=spinner style='width:20px;height:20px'></div>{}", form(FIELDS)),
    );
    let calm = site.page(
        "/calm",
        format!("<title>t</title><p>Loading dock worker</p><div class='file-uploader lazyloaded'>Files</div><div role=progressbar aria-valuenow=50>Half</div>{}", form(FIELDS)),
    );
    let sandbox = rig.sandbox(&[&site]).await;
    let limits = AgentLimits { loading: Duration::from_secs(6), ..AgentLimits::default() };
    let agent = rig.agent_with(sandbox.id, 1, limits).await;
    let begun = Instant::now();
    agent.navigate(&url).await.expect("opened");
    let first = begun.elapsed();
    assert!(first >= limits.loading && first < limits.loading * 3, "{first:?}");
    let begun = Instant::now();
    agent.settle().await.expect("settled");
    assert!(begun.elapsed() < limits.loading, "once is enough: {:?}", begun.elapsed());
    let begun = Instant::now();
    agent.navigate(&calm).await.expect("opened");
    assert!(begun.elapsed() < limits.loading, "nothing of this is a sign: {:?}", begun.elapsed());
    rig.provider.destroy(&sandbox.id).await.expect("destroyed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_without_a_form_is_taken_as_it_is_after_its_bound() {
    let rig = Rig::new();
    let site = Site::start().await;
    let sandbox = rig.sandbox(&[&site]).await;
    let limits = AgentLimits { loading: Duration::from_secs(1), ..AgentLimits::default() };
    let agent = rig.agent_with(sandbox.id, 1, limits).await;
    agent
        .navigate(&site.page("/about", "<title>About</title><h1>About us</h1><p>We grow roses.</p>"))
        .await
        .expect("opened");
    let begun = Instant::now();
    let page = read_page(&agent).await.expect("read");
    assert!(page.controls.is_empty());
    assert!((Duration::from_secs(1)..Duration::from_secs(4)).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    rig.provider.destroy(&sandbox.id).await.expect("destroyed");
}

/// A page that builds its form anew whenever something is typed or chosen, with other ids each time.
const REBUILT: &str = "<title>t</title><div id=m></div><script>
  let state = {}, n = 0;
  const field = (name, label) => `<p><label for=f${n}${name}>${label}</label><input id=f${n}${name} value='${state[name] || ''}' data-k=${name}></p>`;
  function draw() {
    n += 1;
    m.innerHTML = `<form><h1>Apply</h1>${field('a', 'First name')}${field('b', 'Last name')}${field('c', 'Email')}<button type=button id=s${n}>Submit application</button></form>`;
    for (const el of m.querySelectorAll('input')) el.onchange = () => { state[el.dataset.k] = el.value; setTimeout(draw, 30) };
    m.querySelector('button').onclick = () => fetch('/sent', { method: 'POST', body: new URLSearchParams(state) }).then(() => { m.innerHTML = '<h1>Application received</h1>' });
  }
  draw();
</script>";

#[tokio::test(flavor = "multi_thread")]
async fn elements_that_are_replaced_while_they_are_filled_are_found_again() {
    let rig = Rig::new();
    let site = Site::start().await;
    site.put("/sent", Page::Thanks(THANKS.into()));
    let (sandbox, agent) = rig.browser(&[&site]).await;
    agent.navigate(&site.page("/job", REBUILT)).await.expect("opened");
    let page = fill_page(&agent, &ada()).await.expect("filled");
    assert!(page.is_ready(), "{:?} {:?}", page.plan.unknown, page.applied);
    let done = advance(&agent, &page.snapshot, page.plan.next.as_ref().expect("a button")).await.expect("sent");
    assert_eq!((done.moved, done.page.kind), (Moved::On, PageKind::Confirmation));
    let forms = site.forms("/sent");
    assert_eq!(forms.len(), 1);
    for (name, wanted) in [("a", "Ada"), ("b", "Lovelace"), ("c", "ada@example.test")] {
        assert_eq!(value(&forms[0], name), Some(wanted), "{name}");
    }
    rig.provider.destroy(&sandbox.id).await.expect("destroyed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_never_keeps_its_fields_ends_in_failures_not_in_a_loop() {
    let rig = Rig::new();
    let site = Site::start().await;
    let html = REBUILT.replace("state[el.dataset.k] = el.value;", "");
    let (sandbox, agent) = rig.browser(&[&site]).await;
    agent.navigate(&site.page("/job", html)).await.expect("opened");
    let begun = Instant::now();
    let page = fill_page(&agent, &ada()).await.expect("an end");
    assert!(!page.applied.failed.is_empty() && begun.elapsed() < Duration::from_secs(40), "{:?}", begun.elapsed());
    rig.provider.destroy(&sandbox.id).await.expect("destroyed");
}

/// Every answer shows the next question, the second a moment later; "No" hides the last field.
const CONDITIONAL: &str = "<title>t</title><form method=post action=/sent><h1>Apply</h1>
  <p><label>First name <input name=a></label></p><p><label>Last name <input name=b></label></p>
  <fieldset><legend>Will you require visa sponsorship? *</legend><label><input type=radio name=q1 value=y required>Yes</label><label><input type=radio name=q1 value=n>No</label></fieldset>
  <p id=w2 hidden><label>Which visa do you hold? * <input name=q2></label></p>
  <p id=w3 hidden><label>When does it expire? * <input name=q3></label></p>
  <p id=w4 hidden><label>Email <input name=c></label></p>
  <p id=w5><label>LinkedIn <input name=d></label></p>
  <button>Submit application</button></form>
  <script>
    const on = (name, then) => document.querySelectorAll(`[name=${name}]`).forEach((el) => el.addEventListener('change', () => then(el)));
    on('q1', (el) => { setTimeout(() => { w2.hidden = el.value !== 'y' }, 500); w4.hidden = el.value === 'y'; w5.hidden = el.value === 'y'; });
    on('q2', () => { w3.hidden = false });
  </script>";

#[tokio::test(flavor = "multi_thread")]
async fn questions_that_follow_from_answers_are_asked_and_answered_and_hidden_ones_left_alone() {
    let rig = Rig::new();
    let site = Site::start().await;
    site.put("/sent", Page::Thanks(THANKS.into()));
    let (sandbox, agent) = rig.browser(&[&site]).await;
    let mut ada = ada();
    ada.links.linkedin = Some("https://linkedin.example.test/in/ada".into());
    agent.navigate(&site.page("/job", CONDITIONAL)).await.expect("opened");
    let page = fill_page(&agent, &ada).await.expect("filled");
    let asked: Vec<&str> = page.plan.unknown.iter().map(|question| question.label.as_str()).collect();
    assert_eq!(asked, ["Which visa do you hold?"]);
    ada.answers = vec![answer("Which visa do you hold?", "O-1"), answer("When does it expire?", "2031")];
    let page = fill_page(&agent, &ada).await.expect("filled");
    assert!(page.is_ready(), "{:?} {:?}", page.plan.unknown, page.applied);
    let done = advance(&agent, &page.snapshot, page.plan.next.as_ref().expect("a button")).await.expect("sent");
    assert_eq!(done.page.kind, PageKind::Confirmation);
    let form = &site.forms("/sent")[0];
    for (name, wanted) in [("q1", "y"), ("q2", "O-1"), ("q3", "2031"), ("c", "")] {
        assert_eq!(value(form, name), Some(wanted), "{name}");
    }
    rig.provider.destroy(&sandbox.id).await.expect("destroyed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_is_hidden_by_an_answer_before_it_is_not_written() {
    let rig = Rig::new();
    let site = Site::start().await;
    site.put("/sent", Page::Thanks(THANKS.into()));
    let (sandbox, agent) = rig.browser(&[&site]).await;
    // Both are visible when the page is read; the first, once written, hides the second.
    let html = form(&format!("{FIELDS}<p id=w><label>Phone <input name=d></label></p>"))
        .replace("<input name=a>", "<input name=a oninput='w.style.display=\"none\"'>");
    agent.navigate(&site.page("/job", format!("<title>t</title>{html}"))).await.expect("opened");
    let ada = Applicant { phone: "+1 555 010 1234".into(), ..ada() };
    let page = fill_page(&agent, &ada).await.expect("filled");
    assert!(page.is_ready(), "{:?}", page.applied);
    advance(&agent, &page.snapshot, page.plan.next.as_ref().expect("a button")).await.expect("sent");
    let form = &site.forms("/sent")[0];
    assert_eq!((value(form, "a"), value(form, "d")), (Some("Ada"), Some("")));
    rig.provider.destroy(&sandbox.id).await.expect("destroyed");
}
