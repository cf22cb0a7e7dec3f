//! What filling a form costs, beside a script that somebody wrote by hand for that very form.

use std::path::Path;
use std::time::{Duration, Instant};

use fantoccini::{Client, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use valet_workers::browser::{AgentLimits, BrowserAgent, Pace, WebDriverAgent};
use valet_workers::form::{Applicant, DocumentKind, Moved, PageKind, advance, fill_page};
use valet_workers::sandbox::{FenceNumber, Sandbox, SandboxProvider};

use super::ada::ada;
use super::rig::Rig;
use super::site::{Page, Site};

const PACED_MAX: Duration = Duration::from_secs(30);
/// As many times what somebody's script takes that knows the form: the mark to reach is 1.5, and the rest is for whoever else uses the
/// machine. Compared with each other, both on the same machine at the same time, they say more than seconds do.
const SCRIPT_PART_MAX: f64 = 2.0;
const ROUNDS: usize = 5;

const THANKS: &str = "<title>Done</title><h1>Thank you for applying</h1><p>Your reference number is <b>R-2041</b>.</p>";
const FORM: &str = "<!doctype html><title>Gardener - Apply</title><h1>Apply for Gardener</h1>
    <form method=post action=/send enctype=multipart/form-data>
    <label>First name * <input name=first required></label><label>Last name * <input name=last required></label>
    <label>Email * <input name=email type=email required></label><label>Phone * <input name=phone type=tel required></label>
    <label>Street address <input name=street></label><label>City <input name=city></label><label>ZIP code <input name=zip></label>
    <label>State <select name=state><option value=''>Select…<option value=CA>California<option value=NY>New York</select></label>
    <label>Country * <select name=country required><option value=''>Select…<option value=de>Germany<option value=us>United States</select></label>
    <label>LinkedIn profile <input name=linkedin type=url></label>
    <fieldset><legend>Are you legally authorized to work in the United States? *</legend><label><input type=radio name=auth value=a> Yes</label>
    <label><input type=radio name=auth value=b> No</label></fieldset>
    <fieldset><legend>Will you now or in the future require visa sponsorship? *</legend><label><input type=radio name=visa value=1> Yes</label>
    <label><input type=radio name=visa value=0> No</label></fieldset>
    <label>Earliest start date <input name=start type=date></label><label>Resume/CV * <input name=cv type=file></label>
    <button>Submit application</button></form>";

fn middle(mut all: Vec<Duration>) -> Duration {
    all.sort_unstable();
    all[all.len() / 2]
}

/// The form as the agent fills it, from its words alone.
async fn by_the_agent(agent: &WebDriverAgent, url: &str, ada: &Applicant) -> Duration {
    let begun = Instant::now();
    agent.navigate(url).await.expect("opened");
    let page = fill_page(agent, ada).await.expect("filled");
    assert!(page.is_ready(), "{:?} {:?}", page.plan.unknown, page.applied);
    let done = advance(agent, &page.snapshot, &page.plan.next.expect("a button")).await.expect("handed in");
    assert_eq!((done.moved, done.page.kind), (Moved::On, PageKind::Confirmation));
    begun.elapsed()
}

/// The same by somebody who knows every name of the form, and reads nothing back.
async fn by_hand(client: &Client, url: &str, cv: &Path) -> Duration {
    let begun = Instant::now();
    let find = async |selector: &str| client.find(Locator::Css(selector)).await.expect("an element");
    client.goto(url).await.expect("opened");
    for (name, text) in [
        ("first", "Ada"),
        ("last", "O'Brien-Łuk"),
        ("email", "ada@example.test"),
        ("phone", "+1 555 010 1234"),
        ("street", "1 Rose Lane"),
        ("city", "Fresno"),
        ("zip", "93650"),
        ("linkedin", "https://linkedin.example.test/in/ada"),
        ("start", "01152027"),
        ("cv", cv.to_str().expect("a path")),
    ] {
        find(&format!("[name={name}]")).await.send_keys(text).await.expect("typed");
    }
    for (name, value) in [("state", "CA"), ("country", "us")] {
        find(&format!("[name={name}]")).await.select_by_value(value).await.expect("chosen");
    }
    for choice in ["[name=auth][value=a]", "[name=visa][value='0']"] {
        find(choice).await.click().await.expect("chosen");
    }
    find("form button").await.click().await.expect("sent");
    client.wait().for_element(Locator::XPath("//h1[contains(., 'Thank you')]")).await.expect("it thanks");
    begun.elapsed()
}

async fn client(rig: &Rig, sandbox: &Sandbox, fence: u64) -> Client {
    let attachment = rig.provider.attach(&sandbox.id, FenceNumber(fence)).await.expect("attached");
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client = Client::with_existing_session(&attachment.webdriver_url, &attachment.session_id, connector)
        .await
        .expect("a client");
    client.persist().await.expect("it stays");
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_takes_little_longer_than_a_script_written_for_the_form() {
    let part = times_a_script("").await;
    assert!(part <= SCRIPT_PART_MAX, "{part:.2}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_takes_not_much_longer_where_the_page_runs_scripts() {
    let part = times_a_script("<script>addEventListener('change', () => {})</script>").await;
    assert!(part <= SCRIPT_PART_MAX, "{part:.2}");
}

async fn times_a_script(scripts: &str) -> f64 {
    let (rig, site) = (Rig::new(), Site::start().await);
    let url = site.page("/apply", format!("{FORM}{scripts}"));
    site.put("/send", Page::Thanks(format!("{THANKS}{scripts}")));
    let sandbox = rig.sandbox(&[&site]).await;
    let ada = ada(&rig, sandbox.id, &[(DocumentKind::Resume, "ada-cv.pdf")]).await;
    let cv = ada.documents[0].path.clone();
    let (mut agents, mut hands) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS as u64 {
        let agent = rig.agent(sandbox.id, 2 * round + 1).await;
        agents.push(by_the_agent(&agent, &url, &ada).await);
        drop(agent);
        hands.push(by_hand(&client(&rig, &sandbox, 2 * round + 2).await, &url, &cv).await);
    }
    let same = |name: &str| {
        let forms = site.forms("/send");
        let value =
            |form: &Vec<(String, String)>| form.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        assert_eq!(value(&forms[0]), value(&forms[1]), "{name}");
    };
    for name in [
        "first", "last", "email", "street", "city", "zip", "linkedin", "start", "state", "country", "auth", "visa",
        "cv",
    ] {
        same(name);
    }
    assert_eq!(site.forms("/send").len(), 2 * ROUNDS, "each is sent once");
    let (agent, hand) = (middle(agents), middle(hands));
    let part = agent.as_secs_f64() / hand.as_secs_f64();
    eprintln!(
        "one page of 14 questions: {agent:.2?} by the agent, {hand:.2?} by a script (p50 of {ROUNDS}); {part:.2} times as long"
    );
    rig.provider.destroy(&sandbox.id).await.expect("destroyed");
    part
}

#[tokio::test(flavor = "multi_thread")]
async fn at_a_persons_pace_a_form_of_one_page_takes_half_a_minute_at_most() {
    let (rig, site) = (Rig::new(), Site::start().await);
    let url = site.page("/apply", FORM);
    site.put("/send", Page::Thanks(THANKS.into()));
    let sandbox = rig.sandbox(&[&site]).await;
    let ada = ada(&rig, sandbox.id, &[(DocumentKind::Resume, "ada-cv.pdf")]).await;
    let limits = AgentLimits { pace: Some(Pace { seed: 7 }), ..AgentLimits::default() };
    let agent = rig.agent_with(sandbox.id, 1, limits).await;
    let took = by_the_agent(&agent, &url, &ada).await;
    eprintln!("one page of 14 questions at a person's pace: {took:.1?}");
    assert!(took <= PACED_MAX, "{took:?}");
    rig.provider.destroy(&sandbox.id).await.expect("destroyed");
}
