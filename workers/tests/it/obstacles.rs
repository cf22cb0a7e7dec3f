//! What is for a person: puzzles, logins and codes, told from forms that merely resemble them, and a person's answers typed.

use std::collections::BTreeMap;

use valet_workers::browser::{BrowserAgent as _, BrowserError, WebDriverAgent};
use valet_workers::form::{Answered, Moved, ObstacleKind, PageKind, answer_obstacle, classify, obstacle};
use valet_workers::sandbox::SandboxProvider as _;

use super::rig::Rig;
use super::site::{Page, Site};

const PICTURE: &str = "<svg width=160 height=50><text x=20 y=30>x7kpq</text></svg>";
const APPLY: &str = "<title>Apply</title><h1>Apply</h1><form method=post action=/sent><label>First name <input name=a></label><label>Resume <input type=file></label><button>Submit application</button></form>";

fn captcha(message: &str) -> String {
    format!(
        "<title>One moment, please</title><h1>Prove you are human</h1>{message}<form method=post action=/captcha><p>Type the characters you see in the picture</p>{PICTURE}
         <input name=guess autocomplete=off><button>Continue</button> <button type=button>New image</button></form>"
    )
}

fn login(message: &str) -> String {
    format!(
        "<title>Acme careers</title><h1>Sign in to continue</h1>{message}<form method=post action=/login><label>Email <input type=email name=user></label>
         <label>Password <input type=password name=pass></label><label><input type=checkbox name=stay> Remember me</label>
         <a href=/forgot>Forgot password?</a><button type=button onclick=\"location='/google'\">Sign in with Google</button><button>Sign in</button></form>"
    )
}

fn code(message: &str) -> String {
    format!(
        "<title>Check your inbox</title><h2>Enter the code we sent to your e-mail</h2>{message}<form method=post action=/code><input name=otp inputmode=numeric maxlength=6><button type=button>Resend code</button><button>Verify</button></form>"
    )
}

fn answers(given: &[(&str, &str)]) -> BTreeMap<String, String> {
    given.iter().map(|(name, answer)| ((*name).to_owned(), (*answer).to_owned())).collect()
}

async fn answer(agent: &WebDriverAgent, given: &[(&str, &str)]) -> Result<Answered, BrowserError> {
    let page = agent.snapshot().await.expect("read");
    answer_obstacle(agent, &page, &answers(given)).await
}

/// A page's name, its kind, and what a person is asked: the kind of obstacle and its fields' labels.
type Lookalike = (&'static str, PageKind, Option<(ObstacleKind, &'static [&'static str])>, String);

fn lookalikes() -> Vec<Lookalike> {
    let widget = |src: &str| format!("<iframe src='{src}' width=304 height=78></iframe>");
    let boxes = "<input maxlength=1 size=1 aria-label=Digit>".repeat(6);
    let long = "We grow roses and sell them all over the world. ".repeat(60);
    let captcha_of = |labels: &'static [&'static str]| Some((ObstacleKind::Captcha, labels));
    vec![
        ("a picture", PageKind::Captcha, captcha_of(&["Type the characters you see in the picture"]), captcha("")),
        ("a picture's security code", PageKind::Captcha, captcha_of(&["Security code"]), format!("<title>t</title><h1>One quick check</h1><form method=post><p>To keep robots out, we ask you to copy the text from the picture below.</p>{PICTURE}<label>Security code <input name=x></label><button>Go on</button></form>")),
        ("a mailed security code", PageKind::Code, Some((ObstacleKind::Code, &["Security code"])), "<title>t</title><h1>Check your inbox</h1><form method=post><p>We sent a code to your e-mail.</p><label>Security code <input name=x></label><button>Go on</button></form>".into()),
        (
            "a sum",
            PageKind::Captcha,
            captcha_of(&["What is 7 plus 4?"]),
            "<title>t</title><h1>Security check</h1><form method=post><label>What is 7 plus 4? <input name=x></label><button>Go on</button></form>".into(),
        ),
        ("a box to tick", PageKind::Captcha, captcha_of(&[]), format!("<title>t</title><p>Please wait here.</p><form>{}<button>Continue</button></form>", widget("/hcaptcha.com/box"))),
        ("turnstile", PageKind::Captcha, captcha_of(&[]), format!("<title>Just a moment...</title><h1>jobs.example.test</h1>{}", widget("/challenges.cloudflare.com/turnstile"))),
        ("a puzzle over a form", PageKind::Captcha, captcha_of(&[]), format!("{APPLY}<iframe src='/recaptcha/api2/bframe' width=400 height=580></iframe>")),
        ("a box inside a form", PageKind::Form, None, format!("{APPLY}{}", widget("/recaptcha/api2/anchor"))),
        ("a box the page insists on", PageKind::Form, captcha_of(&[]), format!("{APPLY}<p role=alert>Please complete the captcha.</p>{}", widget("/recaptcha/api2/anchor"))),
        ("a picture inside a form", PageKind::Form, None, APPLY.replace("<button>", &format!("<p>Type the characters you see</p>{PICTURE}<input name=g><button>"))),
        ("a login", PageKind::Login, Some((ObstacleKind::Login, &["Email", "Password"])), login("")),
        ("the first half of a login", PageKind::Login, Some((ObstacleKind::Login, &["Email address"])), "<title>Log in</title><h1>Log in to Acme</h1><form method=post><label>Email address <input name=e></label><button>Next</button></form>".into()),
        ("an account is made", PageKind::Login, Some((ObstacleKind::Login, &["Email", "Create password", "Repeat password"])), "<title>t</title><h1>Create an account</h1><form method=post><label>Email <input name=e></label><label>Create password <input type=password name=p></label><label>Repeat password <input type=password name=p2></label><button>Create account</button></form>".into()),
        ("only other ways in", PageKind::Login, Some((ObstacleKind::Login, &[])), "<title>Acme</title><h1>Acme</h1><p>Please sign in to apply.</p><button type=button>Use company account</button>".into()),
        ("an application with a password", PageKind::Form, None, APPLY.replace("<button>", "<label>Email <input name=e></label><label>Create password <input type=password name=p></label><button>")),
        ("an application with a referral code", PageKind::Form, None, APPLY.replace("<button>", "<label>Referral code <input name=e></label><button>")),
        ("a posting with a login in its header", PageKind::Posting, None, format!("<title>Job</title><header><form action=/login method=post><input name=user placeholder=Email><input type=password name=pass placeholder=Password><button>Sign in</button></form></header><main><h1>Gardener</h1><p>{long}</p><a href=/apply>Apply now</a></main>")),
        ("an address before the form", PageKind::Step, None, "<title>t</title><h1>Apply for Gardener</h1><form method=post><label>Email <input name=e></label><button>Continue</button></form>".into()),
        ("a code", PageKind::Code, Some((ObstacleKind::Code, &["Code"])), code("")),
        ("thanks, and a code all the same", PageKind::Code, Some((ObstacleKind::Code, &["Code"])), "<title>Thank you</title><h1>Thank you for applying</h1><p>To finish your application, please enter the code that we sent to ada@example.test.</p><form method=post><label>Code <input name=c></label><button>Complete application</button></form>".into()),
        ("a code in boxes", PageKind::Code, Some((ObstacleKind::Code, &["Code"])), format!("<title>t</title><h1>Check your phone</h1><p>We texted you a code.</p><form method=post>{boxes}<button>Confirm</button></form>")),
        ("an application that asks for a code too", PageKind::Form, None, APPLY.replace("<button>", "<p>We sent a code to your e-mail.</p><label>Verification code <input name=e></label><button>")),
        ("refused", PageKind::Blocked, None, "<title>Oops</title><h1>Access denied</h1><p>Your visit looks automated.</p>".into()),
        ("refused in other words", PageKind::Blocked, None, "<title>Hm</title><p>We have seen unusual traffic from your network.</p>".into()),
        ("refused beside a search", PageKind::Blocked, None, "<title>Hm</title><h1>Automated requests are not allowed</h1><form><input type=email name=e placeholder='Your e-mail'><button>Send</button></form>".into()),
        ("a job about automation", PageKind::Posting, None, "<title>Job</title><h1>Test engineer</h1><p>You build automated tools and block unusual traffic.</p><button>Apply now</button>".into()),
        ("a job about security", PageKind::Posting, None, "<title>Job</title><h1>Guard</h1><p>You must pass a security check, and type the text in pictures. Verify codes sent by phone.</p><button>Apply now</button>".into()),
        ("a visit that is over", PageKind::Expired, None, "<title>Job</title><h1>Your session timed out</h1><p>Please <a href=/>begin again</a>.</p>".into()),
        ("closed", PageKind::Closed, None, "<title>Job</title><h1>Applications have closed</h1><p>The deadline has passed.</p>".into()),
        ("closed, and a way to stay in touch", PageKind::Closed, None, "<title>Job</title><h1>This role has been filled</h1><form method=post><label>Email <input name=e></label><button>Submit</button></form>".into()),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn an_obstacle_is_told_from_a_form_that_resembles_it() {
    let rig = Rig::new();
    let site = Site::start().await;
    let (sandbox, agent) = rig.browser(&[&site]).await;
    for (name, kind, expect, html) in lookalikes() {
        agent.navigate(&site.page("/page", html)).await.expect("opened");
        let page = agent.snapshot().await.expect("read");
        let report = classify(&page);
        assert_eq!(report.kind, kind, "{name}: {report:?}");
        let found = obstacle(&page);
        let told = found
            .as_ref()
            .map(|found| (found.kind, found.fields.iter().map(|field| field.label.as_str()).collect::<Vec<_>>()));
        assert_eq!(told, expect.map(|(kind, labels)| (kind, labels.to_vec())), "{name}");
        assert!(found.is_none_or(|found| !found.prompt.is_empty()), "{name}: a person is told something");
    }
    rig.provider.destroy(&sandbox.id).await.expect("destroyed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_answers_a_puzzle_a_login_and_a_code_in_turn() {
    let rig = Rig::new();
    let site = Site::start().await;
    let start = site.page("/start", captcha(""));
    site.put("/captcha", Page::Html(captcha("<p>That was not right, try again.</p>")));
    site.put("/login", Page::Html(login("<p role=alert>E-mail or password is wrong.</p>")));
    site.put("/code", Page::Html(code("")));
    let (sandbox, agent) = rig.browser(&[&site]).await;
    agent.navigate(&start).await.expect("opened");

    let asked = obstacle(&agent.snapshot().await.expect("read")).expect("an obstacle");
    assert!(asked.prompt.contains("Prove you are human"), "{}", asked.prompt);
    assert_eq!(asked.fields.iter().map(|field| field.secret).collect::<Vec<_>>(), [false]);
    let label = asked.fields[0].label.clone();

    let missing = answer(&agent, &[]).await;
    assert!(matches!(missing, Err(BrowserError::BadInput { .. })), "{missing:?}");
    let wrong = answer(&agent, &[(&label, "abcde")]).await.expect("answered");
    assert_eq!((wrong.moved, wrong.message.as_deref()), (Moved::Refused, Some("That was not right, try again.")));
    site.put("/captcha", Page::Html(login("")));
    let right = answer(&agent, &[(&asked.fields[0].key, "x7kpq")]).await.expect("answered");
    assert_eq!((right.moved, right.message, right.page.kind), (Moved::On, None, PageKind::Login));

    let asked = right.obstacle.expect("the login");
    assert_eq!(
        asked.fields.iter().map(|field| (field.label.as_str(), field.secret)).collect::<Vec<_>>(),
        [("Email", false), ("Password", true)]
    );
    let wrong = answer(&agent, &[("Email", "ada@example.test"), ("Password", "not this")]).await.expect("answered");
    assert_eq!((wrong.moved, wrong.message.as_deref()), (Moved::Refused, Some("E-mail or password is wrong.")));
    assert!(!format!("{wrong:?}").contains("not this"), "a secret is not told on");
    site.put("/login", Page::Html(code("")));
    let right = answer(&agent, &[("email", "ada@example.test"), ("password", "s3cret word")]).await.expect("answered");
    assert_eq!((right.moved, right.page.kind), (Moved::On, PageKind::Code));

    assert!(right.obstacle.expect("the code").fields.iter().all(|field| field.secret));
    // The same again without a word.
    let code_label = "Code";
    let wrong = answer(&agent, &[(code_label, "000000")]).await.expect("answered");
    assert_eq!((wrong.moved, wrong.message.as_deref()), (Moved::Refused, Some("the page asks again")));
    site.put("/code", Page::Html(APPLY.into()));
    let right = answer(&agent, &[(code_label, "123456")]).await.expect("answered");
    assert_eq!((right.moved, right.page.kind), (Moved::On, PageKind::Form));
    assert!(right.obstacle.is_none());
    assert!(answer(&agent, &[("x", "y")]).await.is_err(), "nothing is in the way any more");

    let field = |path: &str, name: &str| -> Vec<String> {
        let forms = site.forms(path);
        forms.into_iter().flatten().filter(|(key, _)| key == name).map(|(_, value)| value).collect()
    };
    assert_eq!(field("/captcha", "guess"), ["abcde", "x7kpq"]);
    assert_eq!(field("/login", "pass"), ["not this", "s3cret word"]);
    assert_eq!(field("/login", "stay"), [] as [&str; 0]);
    assert_eq!(field("/code", "otp"), ["000000", "123456"]);
    assert!(!site.requests().iter().any(|request| request.contains("google") || request.contains("forgot")));
    rig.provider.destroy(&sandbox.id).await.expect("destroyed");
}

/// Six boxes; each moves the focus on, and the last hands the code in by itself.
const BOXES: &str = "<title>t</title><h1>Check your phone</h1><p>We texted you a code.</p><div id=m></div><script>
  m.innerHTML = '<input maxlength=1 size=2>'.repeat(6);
  const all = [...m.children];
  all.forEach((el, i) => el.oninput = () => {
    if (all[i + 1]) { all[i + 1].focus(); return; }
    const code = all.map((other) => other.value).join('');
    fetch('/code', { method: 'POST', body: new URLSearchParams({ code }) }).then(() => { document.body.innerHTML = '<h1>Application received</h1>' });
  });
</script>";

#[tokio::test(flavor = "multi_thread")]
async fn a_code_goes_one_character_to_a_box_and_may_hand_itself_in() {
    let rig = Rig::new();
    let site = Site::start().await;
    site.put("/code", Page::Html("ok".into()));
    let (sandbox, agent) = rig.browser(&[&site]).await;
    agent.navigate(&site.page("/page", BOXES)).await.expect("opened");
    let short = answer(&agent, &[("code", "12")]).await;
    assert!(matches!(short, Err(BrowserError::BadInput { .. })), "{short:?}");
    let done = answer(&agent, &[("Code", "84 19-06")]).await.expect("answered");
    assert_eq!((done.moved, done.page.kind), (Moved::On, PageKind::Confirmation));
    assert_eq!(site.forms("/code"), [[("code".to_owned(), "841906".to_owned())]]);

    // One field that navigates away with its last character.
    let single =
        code("").replace("maxlength=6", "maxlength=6 oninput=\"if (this.value.length == 6) this.form.submit()\"");
    agent.navigate(&site.page("/page", single)).await.expect("opened");
    site.put("/code", Page::Html(APPLY.into()));
    let done = answer(&agent, &[("Code", "123456")]).await.expect("answered");
    assert_eq!((done.moved, done.page.kind), (Moved::On, PageKind::Form));
    assert_eq!(site.forms("/code").len(), 2, "handed in once");
    rig.provider.destroy(&sandbox.id).await.expect("destroyed");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_not_typed_into_a_page_that_came_later() {
    let rig = Rig::new();
    let site = Site::start().await;
    let (sandbox, agent) = rig.browser(&[&site]).await;
    agent.navigate(&site.page("/one", login(""))).await.expect("opened");
    let asked = agent.snapshot().await.expect("read");
    agent.navigate(&site.page("/two", login(""))).await.expect("opened");
    let late = answer_obstacle(&agent, &asked, &answers(&[("Email", "a@example.test"), ("Password", "secret")])).await;
    assert!(matches!(late, Err(BrowserError::NotFound { .. })), "{late:?}");
    let page = agent.snapshot().await.expect("read");
    assert!(page.controls.iter().all(|control| control.value.is_empty() || control.type_ == "checkbox"));
    assert!(site.forms("/login").is_empty());
    rig.provider.destroy(&sandbox.id).await.expect("destroyed");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_obstacle_in_a_frame_is_answered_in_its_frame() {
    let rig = Rig::new();
    let (site, other) = (Site::start().await, Site::start().await);
    other.page("/gate", login(""));
    other.put("/login", Page::Html(APPLY.into()));
    let url = site.page(
        "/job",
        format!("<title>Acme</title><p>Acme</p><iframe src='{}' width=700 height=420></iframe>", other.url("/gate")),
    );
    let (sandbox, agent) = rig.browser(&[&site, &other]).await;
    agent.navigate(&url).await.expect("opened");
    let done = answer(&agent, &[("Email", "ada@example.test"), ("Password", "s3cret")]).await.expect("answered");
    assert_eq!((done.moved, done.page.kind), (Moved::On, PageKind::Form));
    assert_eq!(other.forms("/login")[0][1], ("pass".to_owned(), "s3cret".to_owned()));
    rig.provider.destroy(&sandbox.id).await.expect("destroyed");
}
