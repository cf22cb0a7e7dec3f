//! Applications embedded in frames, one or two deep, of the page's own origin and of others.

use valet_workers::browser::{AgentLimits, BrowserAgent as _, BrowserError};
use valet_workers::form::{Applicant, Moved, PageKind, advance, fill_page};
use valet_workers::sandbox::SandboxProvider as _;

use super::rig::Rig;
use super::site::{Page, Site};

const THANKS: &str = "<title>f</title><p>Thanks, your application was received. Reference: F-77</p>";
const NEWSLETTER: &str = "<title>n</title><form method=post action=/news><input type=email name=mail placeholder='Your e-mail'><button>Send</button></form>";
/// A description longer than what is taken for a mere message.
const POSTING: &str = "We look after roses, hedges and lawns all over the county and need one more pair of hands. ";

fn ada() -> Applicant {
    Applicant {
        first_name: "Ada".into(),
        last_name: "Lovelace".into(),
        email: "ada@example.test".into(),
        ..Applicant::default()
    }
}

fn form(action: &str) -> String {
    format!(
        "<title>f</title><form method=post action={action}><p>Your given name <input name=n1></p><p>Your surname <input name=n2></p>
         <p>E-mail <input name=n3></p><button>Send application</button></form>"
    )
}

fn frame(url: &str, name: &str) -> String {
    format!("<iframe name={name} src='{url}' width=700 height=420></iframe>")
}

fn around(inner: &str, news: &str) -> String {
    format!(
        "<title>Gardener</title><h1>Gardener</h1><p>{}</p><aside>{}</aside>{inner}<iframe src='/count' style='display:none'></iframe>",
        POSTING.repeat(30),
        frame(news, "newsletter")
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn the_application_is_found_in_its_frame_however_deep_and_wherever_it_is_from() {
    let rig = Rig::new();
    let (site, other) = (Site::start().await, Site::start().await);
    // Whatever this hidden frame holds is nobody's business.
    site.page("/count", format!("<title>c</title><h1>Application received</h1>{}", form("/counted")));
    for at in [&site, &other] {
        at.page("/form", form("/sent"));
        at.put("/sent", Page::Thanks(THANKS.into()));
        at.page("/news", NEWSLETTER);
    }
    let news = other.url("/news");
    let own_in_own = site.page("/own-outer", format!("<title>o</title>{}", frame("/form", "inner")));
    let foreign_in_own = site.page("/mixed-outer", format!("<title>o</title>{}", frame(&other.url("/form"), "inner")));
    let foreign_in_foreign = other.page("/outer", format!("<title>o</title>{}", frame(&site.url("/form"), "inner")));
    let cases = [
        ("own", site.url("/form"), &site),
        ("foreign", other.url("/form"), &other),
        ("own in own", own_in_own, &site),
        ("foreign in own", foreign_in_own, &other),
        ("own in foreign", foreign_in_foreign, &site),
    ];
    let (sandbox, agent) = rig.browser(&[&site, &other]).await;
    for (index, (name, inner, at)) in cases.into_iter().enumerate() {
        let url = site.page("/job", around(&frame(&inner, "apply"), &news));
        agent.navigate(&url).await.expect("opened");
        let page = fill_page(&agent, &ada()).await.expect("filled");
        assert!(page.is_ready(), "{name}: {:?} {:?}", page.plan.page, page.applied);
        assert_eq!(agent.current_url().await.expect("an address"), url, "{name}: the page on top is the page");
        let next = page.plan.next.as_ref().expect("a button");
        assert_eq!(next.text, "Send application", "{name}");
        let done = advance(&agent, &page.snapshot, next).await.expect("sent");
        assert_eq!((done.moved, done.page.kind), (Moved::On, PageKind::Confirmation), "{name}: {:?}", done.page);
        assert_eq!(done.page.reference.as_deref(), Some("F-77"), "{name}");
        assert_eq!(agent.current_url().await.expect("an address"), url, "{name}");
        let sent = site.forms("/sent").len() + other.forms("/sent").len();
        assert_eq!(sent, index + 1, "{name}: sent once");
        let form = at.forms("/sent").pop().expect("sent to the frame's own site");
        let expect = [("n1", "Ada"), ("n2", "Lovelace"), ("n3", "ada@example.test")];
        assert_eq!(form, expect.map(|(key, value)| (key.to_owned(), value.to_owned())), "{name}");
    }
    for path in ["/news", "/counted"] {
        assert!(site.forms(path).is_empty() && other.forms(path).is_empty(), "{path}");
    }
    rig.provider.destroy(&sandbox.id).await.expect("destroyed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_confirmation_on_the_page_around_the_frame_counts() {
    let rig = Rig::new();
    let (site, other) = (Site::start().await, Site::start().await);
    other.page("/form", form("/sent"));
    other.put("/sent", Page::Thanks("<title>x</title><script>parent.postMessage('sent', '*')</script>".into()));
    let url = site.page(
        "/job",
        format!(
            "<title>Job</title><h1>Gardener</h1><div id=place>{}</div><script>onmessage = () => {{ place.innerHTML = '<h2>Thank you for applying!</h2>' }}</script>",
            frame(&other.url("/form"), "apply")
        ),
    );
    let (sandbox, agent) = rig.browser(&[&site, &other]).await;
    agent.navigate(&url).await.expect("opened");
    let page = fill_page(&agent, &ada()).await.expect("filled");
    let done = advance(&agent, &page.snapshot, page.plan.next.as_ref().expect("a button")).await.expect("sent");
    assert_eq!((done.moved, done.page.kind), (Moved::On, PageKind::Confirmation), "{:?}", done.page);
    assert_eq!(other.forms("/sent").len(), 1);
    rig.provider.destroy(&sandbox.id).await.expect("destroyed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_that_comes_back_in_its_frame_is_refused_and_not_sent_again() {
    let rig = Rig::new();
    let site = Site::start().await;
    site.page("/form", form("/sent"));
    // The same again without a word: only the frame's document is another.
    site.put("/sent", Page::Html(form("/sent")));
    let url = site.page("/job", format!("<title>Job</title><h1>Gardener</h1>{}", frame("/form", "apply")));
    let (sandbox, agent) = rig.browser(&[&site]).await;
    agent.navigate(&url).await.expect("opened");
    let page = fill_page(&agent, &ada()).await.expect("filled");
    let next = page.plan.next.as_ref().expect("a button");
    let done = advance(&agent, &page.snapshot, next).await.expect("sent");
    assert_eq!(done.moved, Moved::Refused);
    assert_eq!(site.forms("/sent").len(), 1);
    // What was read before the frame's document changed presses nothing in the one that came after.
    let late = advance(&agent, &page.snapshot, next).await;
    assert!(matches!(late, Err(BrowserError::NotFound { .. })), "{late:?}");
    assert_eq!(site.forms("/sent").len(), 1);
    rig.provider.destroy(&sandbox.id).await.expect("destroyed");
}

/// Writing into the frame's first field does `what` on the page around it, where fields of the same names stand.
fn restless(form: &str, what: &str) -> (String, String) {
    let inner = form.replace("<input name=n1>", "<input name=n1 oninput=\"top.postMessage('go', '*')\">");
    let outer = format!(
        "<title>Job</title><h1>Gardener</h1><div id=place>{}</div><p><input name=n1><input name=n2><input name=n3></p>
         <script>let done = false; onmessage = () => {{ if (done) return; done = true; {what} }}</script>",
        frame("/form", "apply")
    );
    (inner, outer)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_that_goes_away_is_an_error_and_nothing_is_written_outside_of_it() {
    let rig = Rig::new();
    let site = Site::start().await;
    let (inner, outer) = restless(&form("/sent"), "document.querySelector('iframe').remove()");
    site.page("/form", inner);
    let url = site.page("/job", outer);
    let (sandbox, agent) = rig.browser(&[&site]).await;
    agent.navigate(&url).await.expect("opened");
    let gone = fill_page(&agent, &ada()).await;
    assert!(matches!(&gone, Err(BrowserError::FrameGone { .. })), "{:?}", gone.map(|page| page.applied));
    let page = agent.snapshot().await.expect("read");
    assert_eq!(page.controls.iter().map(|control| control.value.as_str()).collect::<Vec<_>>(), ["", "", ""]);
    rig.provider.destroy(&sandbox.id).await.expect("destroyed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_that_is_replaced_by_its_like_is_entered_anew() {
    let rig = Rig::new();
    let site = Site::start().await;
    let what = "const old = document.querySelector('iframe'), fresh = old.cloneNode(); old.remove(); setTimeout(() => place.append(fresh), 30)";
    let (inner, outer) = restless(&form("/sent"), what);
    site.page("/form", inner);
    site.put("/sent", Page::Thanks(THANKS.into()));
    let url = site.page("/job", outer);
    let sandbox = rig.sandbox(&[&site]).await;
    let limits = AgentLimits { quiet: std::time::Duration::from_millis(80), ..AgentLimits::default() };
    let agent = rig.agent_with(sandbox.id, 1, limits).await;
    agent.navigate(&url).await.expect("opened");
    let page = fill_page(&agent, &ada()).await.expect("filled");
    assert!(page.is_ready(), "{:?} {:?}", page.plan.page, page.applied);
    let done = advance(&agent, &page.snapshot, page.plan.next.as_ref().expect("a button")).await.expect("sent");
    assert_eq!(done.page.kind, PageKind::Confirmation, "{:?}", done.page);
    assert_eq!(site.forms("/sent")[0][0], ("n1".to_owned(), "Ada".to_owned()));
    rig.provider.destroy(&sandbox.id).await.expect("destroyed");
}
