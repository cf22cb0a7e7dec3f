//! Whole applications in a real browser: read, plan, fill, verify, hand in once.

use uuid::Uuid;
use valet_workers::browser::BrowserAgent;
use valet_workers::form::{
    Answer, Applicant, DocumentKind, FieldKind, Moved, NextKind, PageKind, advance, classify, fill_page,
};
use valet_workers::sandbox::{SandboxId, SandboxProvider};

use super::ada::ada;
use super::rig::Rig;
use super::site::{Page, Received, Site};

const THANKS: &str = "<title>Done</title><h1>Thank you for applying</h1><p>Your reference number is <b>R-2041</b>.</p>";

async fn applicant(rig: &Rig, sandbox: SandboxId) -> Applicant {
    let files = [(DocumentKind::Resume, "ada-cv.pdf"), (DocumentKind::CoverLetter, "ada-letter.pdf")];
    Applicant { salary: Some("85000".into()), ..ada(rig, sandbox, &files).await }
}

fn answer(question: &str, answer: &str) -> Answer {
    Answer { question: question.into(), answer: answer.into() }
}

fn value<'a>(form: &'a Received, name: &str) -> Option<&'a str> {
    form.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_page_is_filled_from_its_words_alone_and_handed_in_once() {
    let rig = Rig::new();
    let site = Site::start().await;
    let url = site.page("/apply", include_str!("pages/one_page.html"));
    site.put("/one", Page::Thanks(THANKS.into()));
    let (sandbox, agent) = rig.browser(&[&site]).await;
    let mut ada = applicant(&rig, sandbox.id).await;
    agent.navigate(&url).await.expect("opened");

    // What is required and not known is asked, nothing else.
    let page = fill_page(&agent, &ada).await.expect("filled");
    assert_eq!(page.plan.page.kind, PageKind::Form, "{:?}", page.plan.page);
    let asked: Vec<&str> = page.plan.unknown.iter().map(|question| question.label.as_str()).collect();
    assert_eq!(asked, ["How many years of experience do you have with roses?", "I agree to the privacy policy"]);
    assert!(page.applied.failed.is_empty(), "{:?}", page.applied.failed);
    assert!(!page.is_ready() && site.forms("/one").is_empty());

    // A person answers by key.
    ada.answers = vec![answer(&page.plan.unknown[0].key, "12"), answer(&page.plan.unknown[1].key, "yes")];
    let page = fill_page(&agent, &ada).await.expect("filled");
    assert!(page.is_ready(), "{:?} {:?}", page.plan.unknown, page.applied);
    let submit = page.plan.next.clone().expect("a button");
    assert_eq!((submit.kind, submit.text.as_str()), (NextKind::Submit, "Submit application"));
    let done = advance(&agent, &page.snapshot, &submit).await.expect("handed in");
    assert_eq!((done.moved, done.page.kind), (Moved::On, PageKind::Confirmation), "{:?}", done.page);
    assert_eq!(done.page.reference.as_deref(), Some("R-2041"));

    let forms = site.forms("/one");
    assert_eq!(forms.len(), 1);
    let expect = [
        ("k1", "Ada"),
        ("k2", "O'Brien-Łuk"),
        ("k3", "ada@example.test"),
        ("k4", "ada@example.test"),
        ("k5a", "c2"),
        ("k5", "5550101234"),
        ("fax_home", ""),
        ("email2", ""),
        ("hp_url", ""),
        ("k6", ""),
        ("k7", "1 Rose Lane"),
        ("k8", "Fresno"),
        ("k9", "93650"),
        ("k10", "CA"),
        ("k11", "us"),
        ("k12", "https://linkedin.example.test/in/ada"),
        ("ans[13]", "a"),
        ("ans[14]", "0"),
        ("k15", "85000"),
        ("k16", "2027-01-15"),
        ("k17", ""),
        ("k18", "ada-cv.pdf"),
        ("k19", "ada-letter.pdf"),
        ("k20", "12"),
        ("k21", ""),
        ("k22", ""),
        ("k23", ""),
        ("k24", ""),
        ("k26", "agreed"),
        ("go", "1"),
    ];
    for (name, wanted) in expect {
        assert_eq!(value(&forms[0], name), Some(wanted), "{name}");
    }
    assert_eq!(forms[0].len(), expect.len(), "nothing else was sent: {:?}", forms[0]);
    assert!(
        !site
            .requests()
            .iter()
            .any(|request| request.contains("/news") || request.contains("/cancel") || request.contains("/search"))
    );
    rig.provider.destroy(&sandbox.id).await.expect("destroyed");
}

#[tokio::test(flavor = "multi_thread")]
async fn widgets_that_resist_are_filled_and_verified() {
    let rig = Rig::new();
    let site = Site::start().await;
    let url = site.page("/apply", include_str!("pages/widgets.html"));
    site.put("/widgets", Page::Thanks(THANKS.into()));
    let (sandbox, agent) = rig.browser(&[&site]).await;
    let mut ada = applicant(&rig, sandbox.id).await;
    ada.answers = vec![answer("Why do you want this job?", "I like roses.")];
    agent.navigate(&url).await.expect("opened");
    let page = fill_page(&agent, &ada).await.expect("filled");
    assert!(page.is_ready(), "{:?} {:?} {:?}", page.plan.unknown, page.applied, page.plan.next);
    let done = advance(&agent, &page.snapshot, page.plan.next.as_ref().expect("a button")).await.expect("handed in");
    assert_eq!(done.page.kind, PageKind::Confirmation);
    let forms = site.forms("/widgets");
    let expect = [
        ("first", "Ada"),
        ("phone", "(555) 010-1234"),
        ("city", "Fresno"),
        ("country", "United States"),
        ("spons", "no"),
        ("last", "O'Brien-Łuk"),
        ("why", "I like roses."),
    ];
    for (name, wanted) in expect {
        assert_eq!(value(&forms[0], name), Some(wanted), "{name}");
    }
    rig.provider.destroy(&sandbox.id).await.expect("destroyed");
}

#[tokio::test(flavor = "multi_thread")]
async fn shadow_roots_and_frames_of_the_own_and_of_another_origin_are_filled() {
    let rig = Rig::new();
    let (site, other) = (Site::start().await, Site::start().await);
    let shadow = site.page("/shadow-form", include_str!("pages/shadow.html"));
    site.put("/shadow", Page::Thanks(THANKS.into()));
    let form = "<title>f</title><h1>Application</h1><form method=post action=/framed><label>First name <input name=first></label><label>Last name <input name=last></label><label>Email <input name=email></label><button>Submit</button></form>";
    site.page("/form", form);
    site.put("/framed", Page::Thanks(THANKS.into()));
    let foreign = other.page("/form", form);
    other.put("/framed", Page::Thanks(THANKS.into()));
    let own_frame =
        site.page("/own-frame", "<title>t</title><h1>Job</h1><iframe src='/form' width=800 height=400></iframe>");
    let foreign_frame = site.page(
        "/foreign-frame",
        format!("<title>t</title><h1>Job</h1><p>Text</p><iframe src='{foreign}' width=800 height=400></iframe>"),
    );
    let (sandbox, agent) = rig.browser(&[&site, &other]).await;
    let ada = applicant(&rig, sandbox.id).await;
    for (url, at, path) in
        [(shadow, &site, "/shadow"), (own_frame, &site, "/framed"), (foreign_frame, &other, "/framed")]
    {
        agent.navigate(&url).await.expect("opened");
        let page = fill_page(&agent, &ada).await.expect("filled");
        assert!(page.is_ready(), "{url} {:?} {:?} {:?}", page.plan, page.applied, page.plan.page);
        let done =
            advance(&agent, &page.snapshot, page.plan.next.as_ref().expect("a button")).await.expect("handed in");
        assert_eq!((done.moved, done.page.kind), (Moved::On, PageKind::Confirmation), "{url} {:?}", done.page);
        let forms = at.forms(path);
        assert_eq!(forms.len(), 1, "{url}");
        for (name, wanted) in [("first", "Ada"), ("last", "O'Brien-Łuk"), ("email", "ada@example.test")] {
            assert_eq!(value(&forms[0], name), Some(wanted), "{url} {name}");
        }
    }
    rig.provider.destroy(&sandbox.id).await.expect("destroyed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wizard_is_walked_to_its_end() {
    let rig = Rig::new();
    let site = Site::start().await;
    let url = site.page("/job", "<title>Gardener</title><h1>Gardener</h1><p>Grow roses.</p><nav><a href='/x'>Jobs</a></nav><a href='/s1'>Apply now</a>");
    site.page("/s1", "<title>a</title><h2>Step 1 of 3</h2><form action='/s2' method=post><label>Given name <input name=a></label><label>Surname <input name=b></label><label>Email <input name=c></label><button type=button>Back</button><button>Next</button></form>");
    site.put("/s2", Page::Html("<title>b</title><h2>Step 2 of 3</h2><form action='/s3' method=post><fieldset><legend>Do you have the right to work in the US?</legend><label><input type=radio name=d value=1>Yes</label><label><input type=radio name=d value=2>No</label></fieldset><label>Resume <input type=file></label><button name=x value=save>Save for later</button><button>Save and continue</button></form>".into()));
    site.put("/s3", Page::Html("<title>c</title><h2>Review your application</h2><p>Step 3 of 3</p><dl><dt>Name</dt><dd>Ada</dd></dl><form action='/end' method=post><button type=button>Edit</button><button>Submit application</button></form>".into()));
    site.put("/end", Page::Thanks(THANKS.into()));
    let (sandbox, agent) = rig.browser(&[&site]).await;
    let ada = applicant(&rig, sandbox.id).await;
    agent.navigate(&url).await.expect("opened");
    let mut walked = Vec::new();
    for _ in 0..6 {
        let page = fill_page(&agent, &ada).await.expect("filled");
        walked.push((page.plan.page.kind, page.plan.next.as_ref().map(|next| next.kind)));
        let Some(next) = page.plan.next.clone() else { break };
        let done = advance(&agent, &page.snapshot, &next).await.expect("went on");
        assert_eq!(done.moved, Moved::On, "{walked:?}");
    }
    let expect = [
        (PageKind::Posting, Some(NextKind::Apply)),
        (PageKind::Step, Some(NextKind::Next)),
        (PageKind::Step, Some(NextKind::Next)),
        (PageKind::Review, Some(NextKind::Submit)),
        (PageKind::Confirmation, None),
    ];
    assert_eq!(walked, expect);
    assert_eq!(site.forms("/s3").len(), 1);
    assert_eq!(site.forms("/s3")[0], [("d".to_owned(), "1".to_owned())]);
    assert_eq!(site.forms("/end").len(), 1);
    rig.provider.destroy(&sandbox.id).await.expect("destroyed");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_the_server_requires_is_asked_after_it_said_so() {
    let rig = Rig::new();
    let site = Site::start().await;
    let form = |message: &str| {
        format!(
            "<title>f</title><h1>Application</h1><form method=post action=/send><p><label for=a>First name</label><input id=a name=a></p><p><label for=b>Last name</label><input id=b name=b></p><p><label for=q>Favourite rose</label>{message}<input id=q name=q></p><button>Submit</button></form>"
        )
    };
    let url = site.page("/apply", form(""));
    for (path, message) in
        [("/send", "<em class=error>This field is required.</em>"), ("/send2", "<i>Please fill in this field</i>")]
    {
        let again = form(message).replace("/send", path);
        site.put(path, Page::Demands(vec!["q"], again, THANKS.into()));
    }
    let (sandbox, agent) = rig.browser(&[&site]).await;
    for path in ["/send", "/send2"] {
        site.page("/apply", form("").replace("/send", path));
        let mut ada = applicant(&rig, sandbox.id).await;
        agent.navigate(&url).await.expect("opened");
        let page = fill_page(&agent, &ada).await.expect("filled");
        assert!(page.is_ready());
        let back = advance(&agent, &page.snapshot, page.plan.next.as_ref().expect("a button")).await.expect("sent");
        assert_eq!(back.moved, Moved::Refused, "{path}");
        assert_eq!(
            back.complaints.iter().map(|c| (c.label.as_str(), c.was_filled)).collect::<Vec<_>>(),
            [("Favourite rose", false)],
            "{path}"
        );
        let page = fill_page(&agent, &ada).await.expect("filled again");
        assert_eq!(page.plan.unknown.len(), 1, "{path}");
        ada.answers.push(answer(&page.plan.unknown[0].key, "Peace"));
        let page = fill_page(&agent, &ada).await.expect("filled");
        assert!(page.is_ready(), "{:?}", page.plan);
        let done = advance(&agent, &page.snapshot, page.plan.next.as_ref().expect("a button")).await.expect("sent");
        assert_eq!(done.page.kind, PageKind::Confirmation, "{path}");
        let sent = site.forms(path);
        assert_eq!(sent.iter().map(|form| value(form, "q")).collect::<Vec<_>>(), [Some(""), Some("Peace")], "{path}");
        assert_eq!(value(&sent[1], "a"), Some("Ada"));
    }
    rig.provider.destroy(&sandbox.id).await.expect("destroyed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_the_browser_itself_holds_back_is_refused_without_a_request() {
    let rig = Rig::new();
    let site = Site::start().await;
    let url = site.page("/apply", "<title>f</title><h1>Application</h1><form method=post action=/send><label>First name <input name=a></label><label>Favourite rose <input name=q required></label><button>Submit</button></form>");
    let (sandbox, agent) = rig.browser(&[&site]).await;
    let ada = applicant(&rig, sandbox.id).await;
    agent.navigate(&url).await.expect("opened");
    let page = fill_page(&agent, &ada).await.expect("filled");
    assert_eq!(page.plan.unknown.len(), 1);
    let back = advance(&agent, &page.snapshot, page.plan.next.as_ref().expect("a button")).await.expect("pressed");
    assert_eq!(back.moved, Moved::Refused);
    assert!(site.forms("/send").is_empty());
    rig.provider.destroy(&sandbox.id).await.expect("destroyed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_known_for_what_it_is() {
    let rig = Rig::new();
    let site = Site::start().await;
    let cases = [
        (
            200,
            PageKind::Closed,
            "<title>Job</title><h1>Gardener</h1><p>This position has been filled. We are no longer accepting applications.</p>",
        ),
        (404, PageKind::Closed, "<title>Oops</title><h1>Not here</h1>"),
        (403, PageKind::Blocked, "<title>No</title><h1>Access denied</h1>"),
        (500, PageKind::Error, "<title>Oops</title><h1>Internal Server Error</h1>"),
        (200, PageKind::AlreadyApplied, "<title>Job</title><h1>You have already applied for this job</h1>"),
        (
            200,
            PageKind::Login,
            "<title>Log in</title><form><label>Email <input name=e></label><label>Password <input type=password name=p></label><button>Sign in</button></form>",
        ),
        (200, PageKind::Captcha, "<title>Just a moment...</title><h1>Verify you are human</h1>"),
        (
            200,
            PageKind::Confirmation,
            "<title>Done</title><p>We have received your application.</p><form action=/news><input type=email placeholder='Your email'><button>Subscribe</button></form>",
        ),
        (
            200,
            PageKind::Posting,
            "<title>Job</title><h1>Gardener</h1><p>Thank you for your interest.</p><button>Apply for this job</button><form><input type=email name=e placeholder='Email'><button>Get job alerts</button></form>",
        ),
        (
            200,
            PageKind::Form,
            "<title>Job</title><form><label>Full name <input name=n></label><label>Email <input name=e></label><label>CV <input type=file></label><button>Send</button></form><iframe title=badge src='/recaptcha/api2/anchor' width=256 height=60></iframe>",
        ),
        (
            200,
            PageKind::Captcha,
            "<title>Job</title><form><label>Full name <input name=n></label><label>CV <input type=file></label><button>Send</button></form><iframe src='/recaptcha/api2/bframe' width=400 height=580></iframe>",
        ),
        (200, PageKind::Unknown, "<title>About us</title><h1>About us</h1><p>We grow roses.</p>"),
    ];
    let (sandbox, agent) = rig.browser(&[&site]).await;
    for (status, kind, html) in cases {
        let url = site.put("/page", Page::Status(status, html.into()));
        agent.navigate(&url).await.expect("opened");
        let report = classify(&agent.snapshot().await.expect("read"));
        assert_eq!(report.kind, kind, "{report:?} {html}");
    }
    rig.provider.destroy(&sandbox.id).await.expect("destroyed");
}

#[tokio::test(flavor = "multi_thread")]
async fn evidence_is_a_picture_and_the_text() {
    let rig = Rig::new();
    let site = Site::start().await;
    let url = site.page("/page", "<title>t</title><h1>Roses</h1><p>Text of the page.</p><p hidden>Hidden</p>");
    let (sandbox, agent) = rig.browser(&[&site]).await;
    agent.navigate(&url).await.expect("opened");
    let png = agent.take_screenshot().await.expect("a picture");
    assert!(png.starts_with(b"\x89PNG\r\n") && png.len() > 1000);
    let text = agent.text_excerpt().await.expect("text");
    assert!(text.contains("Text of the page.") && !text.contains("Hidden"), "{text}");
    rig.provider.destroy(&sandbox.id).await.expect("destroyed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_cannot_break_its_reading_by_the_names_of_its_fields() {
    let rig = Rig::new();
    let site = Site::start().await;
    let url = site.page("/page", "<title>t</title><form id=f method=post><input name=id><input name=action><input name=method><input name=getAttribute><input name=children aria-label='Email'><button name=submit>Submit</button></form>");
    let (sandbox, agent) = rig.browser(&[&site]).await;
    agent.navigate(&url).await.expect("opened");
    let page = agent.snapshot().await.expect("read");
    assert_eq!(page.controls.len(), 5);
    assert!(valet_workers::form::read_fields(&page).iter().any(|field| field.kind == FieldKind::Email));
    rig.provider.destroy(&sandbox.id).await.expect("destroyed");
    assert!(rig.processes(Uuid::nil()) == 0);
}
