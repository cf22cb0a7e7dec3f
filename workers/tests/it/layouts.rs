//! Forms laid out in every way we know, with opaque names and in any order: what is known is written where it belongs, exactly once.

use std::fmt::Write as _;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use rand::{RngExt as _, SeedableRng as _};
use valet_workers::browser::{AgentLimits, BrowserAgent};
use valet_workers::form::{
    Address, Applicant, Document, DocumentKind, Links, PageKind, WorkAuthorization, advance, fill_page,
};
use valet_workers::sandbox::{SandboxId, SandboxProvider};

use super::rig::Rig;
use super::site::{Page, Received, Site};

const SEEDS: u64 = 24;
/// Browsers at work at once.
const LANES: u64 = 2;

struct Field {
    labels: &'static [&'static str],
    control: Control,
    wanted: &'static str,
}

enum Control {
    Input(&'static str),
    Select(&'static [(&'static str, &'static str)]),
    YesNo,
    File,
}

const COUNTRIES: &[(&str, &str)] = &[
    ("", "Select…"),
    ("1", "Canada"),
    ("2", "Germany"),
    ("3", "United Kingdom"),
    ("4", "United States"),
    ("5", "France"),
];
const STATES: &[(&str, &str)] =
    &[("", "--"), ("6", "Alabama"), ("7", "California"), ("8", "New York"), ("9", "Texas"), ("10", "Utah")];

fn fields() -> Vec<Field> {
    let input = |labels, wanted| Field { labels, control: Control::Input("text"), wanted };
    vec![
        input(&["First name", "Given name", "Forename", "Your first name"], "Ada"),
        input(&["Last name", "Surname", "Family name", "Legal last name"], "Lovelace"),
        Field {
            labels: &["Email", "E-mail address", "Email address", "Your e-mail"],
            control: Control::Input("email"),
            wanted: "ada@example.test",
        },
        input(
            &["Confirm email", "Re-enter your email address", "Repeat e-mail", "Verify email address"],
            "ada@example.test",
        ),
        Field {
            labels: &["Phone", "Mobile number", "Telephone", "Phone number"],
            control: Control::Input("tel"),
            wanted: "+1 555 010 1234",
        },
        input(&["Street address", "Address line 1", "Address", "Home address"], "12 Analytical Way"),
        input(&["City", "Town / City", "City or town"], "Fresno"),
        Field {
            labels: &["State", "State / Province", "Province or state"],
            control: Control::Select(STATES),
            wanted: "7",
        },
        input(&["ZIP code", "Postal code", "Postcode", "ZIP / postal code"], "93650"),
        Field {
            labels: &["Country", "Country of residence", "Country/Region"],
            control: Control::Select(COUNTRIES),
            wanted: "4",
        },
        input(&["LinkedIn profile", "LinkedIn URL", "Link to your LinkedIn"], "https://linkedin.example.test/in/ada"),
        input(&["GitHub", "GitHub profile URL"], "https://github.example.test/ada"),
        Field {
            labels: &[
                "Are you legally authorized to work in the United States?",
                "Do you have the right to work in the US?",
                "Are you eligible to work in this country?",
            ],
            control: Control::YesNo,
            wanted: "yes",
        },
        Field {
            labels: &[
                "Will you now or in the future require sponsorship?",
                "Do you need visa sponsorship?",
                "Will you require sponsorship to be authorized to work here?",
            ],
            control: Control::YesNo,
            wanted: "no",
        },
        Field {
            labels: &["Resume", "Upload your CV", "Resume/CV", "Attach résumé"],
            control: Control::File,
            wanted: "ada-cv.pdf",
        },
        input(&["Desired salary", "Salary expectations", "What are your salary expectations?"], "85000"),
    ]
}

/// One field in one of the layouts; `name` says nothing.
fn render(rng: &mut StdRng, field: &Field, name: &str) -> String {
    let label = field.labels.choose(rng).expect("a label");
    let mark = ["", " *", " (required)"].choose(rng).expect("a mark");
    match &field.control {
        Control::YesNo => yes_no(rng, &format!("{label}{mark}"), name),
        Control::Input(kind) => {
            let kind = if rng.random_bool(0.5) { kind } else { "text" };
            labelled(rng, label, mark, name, &|extra| format!("<input type={kind} name={name} {extra}>"), true)
        }
        Control::Select(options) => {
            let options = options.iter().fold(String::new(), |mut html, (value, text)| {
                let _ = write!(html, "<option value='{value}'>{text}</option>");
                html
            });
            labelled(rng, label, mark, name, &|extra| format!("<select name={name} {extra}>{options}</select>"), false)
        }
        Control::File => {
            let hidden =
                if rng.random_bool(0.5) { "style='position:absolute;opacity:0;width:1px;height:1px'" } else { "" };
            format!(
                "<div><label for=i{name}>{label}{mark}</label><input type=file id=i{name} name={name} {hidden}></div>"
            )
        }
    }
}

fn labelled(
    rng: &mut StdRng,
    label: &str,
    mark: &str,
    name: &str,
    control: &dyn Fn(&str) -> String,
    placeholder: bool,
) -> String {
    let styles = if placeholder { 9 } else { 8 };
    match rng.random_range(0..styles) {
        0 => format!("<label>{label}{mark} {}</label>", control("")),
        1 => format!("<div><label for=i{name}>{label}{mark}</label>{}</div>", control(&format!("id=i{name}"))),
        2 => format!("<p id=l{name}>{label}{mark}</p>{}", control(&format!("aria-labelledby=l{name}"))),
        3 => format!("<div>{}</div>", control(&format!("aria-label='{label}'"))),
        4 => format!("<table><tr><td>{label}{mark}</td><td>{}</td></tr></table>", control("")),
        5 => {
            format!("<div><div><span>{label}{mark}</span></div><div><div><div>{}</div></div></div></div>", control(""))
        }
        6 => format!("<dl><dt>{label}{mark}</dt><dd>{}</dd></dl>", control("")),
        7 => format!("<div>{label}{mark}<br>{}</div>", control("")),
        _ => format!("<div>{}</div>", control(&format!("placeholder='{label}{mark}'"))),
    }
}

fn yes_no(rng: &mut StdRng, question: &str, name: &str) -> String {
    let radio = |value: &str, text: &str| format!("<label><input type=radio name={name} value={value}> {text}</label>");
    let pair = |value: &str, text: &str| {
        format!(
            "<input type=radio name={name} value={value} id=i{name}{value}><label for=i{name}{value}>{text}</label>"
        )
    };
    let select = |extra: &str| {
        format!(
            "<select name={name} {extra}><option value=''>Select one</option><option value=yes>Yes</option><option value=no>No</option></select>"
        )
    };
    match rng.random_range(0..6) {
        0 => format!("<fieldset><legend>{question}</legend>{}{}</fieldset>", radio("yes", "Yes"), radio("no", "No")),
        1 => format!("<div><p>{question}</p><div>{}</div><div>{}</div></div>", pair("yes", "Yes"), pair("no", "No")),
        2 => format!(
            "<div role=radiogroup aria-labelledby=l{name}><span id=l{name}>{question}</span>{}{}</div>",
            radio("no", "No, I do not"),
            radio("yes", "Yes, I do")
        ),
        3 => format!("<label>{question} {}</label>", select("")),
        4 => format!("<table><tr><td>{question}</td><td>{}</td></tr></table>", select("")),
        _ => format!(
            "<div><div>{question}</div><ul><li>{}</li><li>{}</li></ul></div>",
            radio("yes", "Yes"),
            radio("no", "No")
        ),
    }
}

fn decoys(rng: &mut StdRng) -> Vec<String> {
    let mut all = vec![
        "<div style='display:none'><label>Email <input name=d1></label></div>".to_owned(),
        "<div style='position:absolute;left:-5000px'><label>Phone number <input name=d2 tabindex=-1 autocomplete=off></label></div>".into(),
        "<div aria-hidden=true style='height:0;overflow:hidden'><label>First name <input name=d3 tabindex=-1></label></div>".into(),
        "<label>Please leave this field empty <input name=d4></label>".into(),
        "<label><input type=checkbox name=d5> Subscribe to our newsletter</label>".into(),
        "<label>How did you hear about us? <input name=d6></label>".into(),
        "<label>Gender <select name=d7><option value=''>Select<option>Female<option>Male</select></label>".into(),
        "<label>Name of your current employer <input name=d8></label>".into(),
    ];
    all.shuffle(rng);
    all.truncate(5);
    all
}

fn page(seed: u64) -> (String, Vec<(String, &'static str)>) {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut wanted = Vec::new();
    let mut order = fields();
    // The confirmation stays behind the address it confirms; all else goes anywhere.
    let confirm = order.remove(3);
    order.shuffle(&mut rng);
    let email = order.iter().position(|field| field.wanted == confirm.wanted).expect("the address");
    order.insert(email + 1, confirm);
    let mut parts: Vec<String> = Vec::new();
    for (place, field) in order.iter().enumerate() {
        let name = format!("x{seed}q{place}z");
        parts.push(render(&mut rng, field, &name));
        wanted.push((name, field.wanted));
    }
    for decoy in decoys(&mut rng) {
        let place = rng.random_range(0..=parts.len());
        // Not between the address and its confirmation.
        let place = if place == email + 1 { parts.len() } else { place };
        parts.insert(place, decoy);
    }
    let submit = ["Submit application", "Apply", "Send application", "Submit"].choose(&mut rng).expect("a text");
    let html = format!(
        "<title>Job</title><header><form action=/search><input name=q placeholder='Search jobs'><button>Search</button></form><select name=lang aria-label=Language><option>English<option>Deutsch</select></header>
         <main><h1>Gardener</h1><form method=post action=/sent/{seed} enctype=multipart/form-data>{}<button type=button>Cancel</button><button name=draft value=1>Save draft</button><button>{submit}</button></form></main>
         <footer><form action=/news method=post><input type=email name=email placeholder='Email address'><button>Sign up</button></form></footer>",
        parts.join("\n")
    );
    (html, wanted)
}

fn value<'a>(form: &'a Received, name: &str) -> &'a str {
    form.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_layout_is_filled_right_and_sent_once() {
    let rig = Rig::new();
    let site = Site::start().await;
    // Each lane has a browser of its own, so that one can work while the other waits for its page.
    futures::future::join_all((0..LANES).map(|lane| filled_and_sent(&rig, &site, lane))).await;
}

/// Every `LANES`th seed, in one browser.
async fn filled_and_sent(rig: &Rig, site: &Site, lane: u64) {
    let sandbox = rig.sandbox(&[site]).await;
    // These pages rest as soon as they are loaded.
    let limits = AgentLimits {
        quiet: Duration::from_millis(50),
        revealed: Duration::from_millis(100),
        ..AgentLimits::default()
    };
    let agent = rig.agent_with(sandbox.id, 1, limits).await;
    let ada = applicant(rig, sandbox.id).await;
    for seed in (lane..SEEDS).step_by(LANES as usize) {
        rig.provider.renew(&sandbox.id, Duration::from_mins(2)).await.expect("renewed");
        let (html, wanted) = page(seed);
        let sent = format!("/sent/{seed}");
        site.put(&sent, Page::Thanks("<title>Done</title><h1>Application received</h1>".into()));
        agent.navigate(&site.page(&format!("/{seed}"), html.clone())).await.expect("opened");
        let filled = fill_page(&agent, &ada).await.expect("filled");
        assert!(
            filled.is_ready(),
            "seed {seed}: {:?} {:?} {:?}\n{html}",
            filled.plan.unknown,
            filled.applied.failed,
            filled.plan.page
        );
        let done = advance(&agent, &filled.snapshot, filled.plan.next.as_ref().expect("a button")).await.expect("sent");
        assert_eq!(done.page.kind, PageKind::Confirmation, "seed {seed}\n{html}");
        let forms = site.forms(&sent);
        assert_eq!(forms.len(), 1, "seed {seed}: handed in once");
        for (name, wanted) in wanted {
            assert_eq!(value(&forms[0], &name), wanted, "seed {seed} {name}\n{html}");
        }
        let written: Vec<&String> = forms[0]
            .iter()
            .filter(|(name, value)| (name.starts_with('d') || name == "lang") && !value.is_empty())
            .map(|(name, _)| name)
            .collect();
        assert!(written.is_empty(), "seed {seed}: {written:?}\n{html}");
    }
    rig.provider.destroy(&sandbox.id).await.expect("destroyed");
}

async fn applicant(rig: &Rig, sandbox: SandboxId) -> Applicant {
    let resume = rig.provider.stage_file(&sandbox, uuid::Uuid::nil(), "ada-cv.pdf", b"%PDF-1.4").await.expect("staged");
    Applicant {
        first_name: "Ada".into(),
        last_name: "Lovelace".into(),
        email: "ada@example.test".into(),
        phone: "+1 555 010 1234".into(),
        address: Address {
            street: "12 Analytical Way".into(),
            city: "Fresno".into(),
            state: "CA".into(),
            postal_code: "93650".into(),
            country: "United States".into(),
            street2: None,
        },
        links: Links {
            linkedin: Some("https://linkedin.example.test/in/ada".into()),
            github: Some("https://github.example.test/ada".into()),
            ..Links::default()
        },
        work_authorization: Some(WorkAuthorization { authorized: true, countries: vec!["US".into()], text: None }),
        needs_sponsorship: Some(false),
        salary: Some("85000".into()),
        documents: vec![Document {
            id: "cv".into(),
            kind: DocumentKind::Resume,
            path: resume,
            filename: "ada-cv.pdf".into(),
        }],
        ..Applicant::default()
    }
}
