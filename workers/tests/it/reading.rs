//! Reading a page: how fast, and by the names that the browser itself computes.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use serde_json::json;
use valet_workers::browser::{
    ActionKind, ActionValue, AgentLimits, BrowserAgent, BrowserError, Pace, Selectors, Words,
};
use valet_workers::form::{FieldKind, Snapshot, read_fields, snapshot::LabelSource};
use valet_workers::sandbox::{FenceNumber, SandboxProvider};

use super::rig::{Raw, Rig};
use super::site::Site;

/// A long application; most have half of it.
const FIELDS: usize = 60;
const READ_WITHIN: Duration = Duration::from_millis(150);
/// To the top, into the frame, the script.
const ROUND_TRIPS_MAX: u64 = 3;
/// Machines that run tests do other things too: the fastest of these counts.
const READINGS: usize = 40;

fn long_form() -> String {
    let mut rows = String::new();
    for at in 0..FIELDS {
        let _ = match at % 4 {
            0 => write!(
                rows,
                "<div class=row><label for=f{at}>Question {at}: what do you grow?</label><input id=f{at} name=a[{at}] required><p>As it is.</p></div>"
            ),
            1 => write!(rows, "<tr><td>Phone number {at}</td><td><input name=p{at} type=tel></td></tr>"),
            2 => write!(
                rows,
                "<label>Country {at} <select name=c{at}><option>Germany<option>France<option>Spain<option>Italy<option>Sweden</select></label>"
            ),
            _ => write!(
                rows,
                "<fieldset><legend>Do you drive {at}?</legend><label><input type=radio name=d{at} value=1>Yes</label></fieldset>"
            ),
        };
    }
    format!("<html><body><main><h1>Apply</h1><form>{rows}<button>Send</button></form></main></body></html>")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_form_is_read_and_understood_in_few_commands_and_no_time() {
    let rig = Rig::new();
    let (site, other) = (Site::start().await, Site::start().await);
    let frame = other.page("/form", long_form());
    let alone = site.page("/alone", long_form());
    let framed = site.page("/framed", format!("<h1>Jobs</h1><iframe src='{frame}' width=900 height=900></iframe>"));
    let (sandbox, agent) = rig.browser(&[&site, &other]).await;
    for (url, frames) in [(alone, 1_u32), (framed, 2)] {
        agent.navigate(&url).await.expect("opened");
        let mut fastest = Duration::MAX;
        for _ in 0..READINGS {
            if fastest <= READ_WITHIN * frames {
                break;
            }
            let (before, begun) = (agent.round_trips().await, Instant::now());
            let page = agent.snapshot().await.expect("read");
            let fields = read_fields(&page);
            fastest = fastest.min(begun.elapsed());
            let commands = agent.round_trips().await - before;
            assert!(commands <= ROUND_TRIPS_MAX * u64::from(frames), "{commands} commands for {frames} documents");
            assert_eq!(fields.len(), FIELDS);
            assert_eq!(fields[1].kind, FieldKind::Phone, "{:?}", fields[1]);
        }
        assert!(fastest <= READ_WITHIN * frames, "{url}: {fastest:?}");
    }
    rig.provider.destroy(&sandbox.id).await.expect("destroyed");
}

/// Names from the text around a control are ours; the others are by the accessible name computation, which the browser does too.
#[tokio::test(flavor = "multi_thread")]
async fn names_are_those_that_the_browser_computes() {
    let rig = Rig::new();
    let site = Site::start().await;
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/pages");
    let (sandbox, agent) = rig.browser(&[&site]).await;
    let raw = Raw::new(rig.provider.attach(&sandbox.id, FenceNumber(1)).await.expect("an attachment"));
    let (mut compared, mut wrong) = (0, Vec::new());
    for path in files_below(&folder) {
        let html = std::fs::read_to_string(&path).expect("a page");
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        agent.navigate(&site.page(&format!("/{name}"), html)).await.expect("opened");
        let page: Snapshot = agent.snapshot().await.expect("read");
        for control in page.controls.iter().filter(|control| control.hidden.is_empty() && control.frame.is_empty()) {
            let Some(selector) = control.selectors.iter().find(|selector| !selector.contains(">>>")) else { continue };
            let element = raw.good("element", json!({"using": "css selector", "value": selector})).await;
            let id = element
                .as_object()
                .and_then(|element| element.values().next())
                .and_then(|id| id.as_str())
                .expect("an id")
                .to_owned();
            let (status, computed) = raw.get(&format!("element/{id}/computedlabel")).await;
            assert_eq!(status, 200, "{computed}");
            let computed = plain(computed.as_str().unwrap_or_default());
            // What no name of the page's stands for is named by the browser itself ("Choose File"), or by what is in it.
            if control.label_source == LabelSource::None {
                continue;
            }
            compared += 1;
            // A mark that a style sheet writes is read as what it means: required.
            let unmarked = computed.trim_end_matches([' ', '*']);
            if computed != plain(&control.label) && !(control.required && unmarked == plain(&control.label)) {
                wrong.push(format!("{name} {selector}: {:?}, the browser says {computed:?}", control.label));
            }
        }
    }
    rig.provider.destroy(&sandbox.id).await.expect("destroyed");
    assert!(compared > 100, "{compared}");
    assert!(wrong.is_empty(), "{} of {compared}\n{}", wrong.len(), wrong.join("\n"));
}

fn plain(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn files_below(folder: &std::path::Path) -> BTreeSet<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { BTreeSet::from([path]) }).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn words_are_carried_out_and_kept_actions_find_their_element_again() {
    let rig = Rig::new();
    let site = Site::start().await;
    let form = |id: &str| {
        format!(
            "<form><label>First name <input id={id}></label><label>Country <select id=c><option>Spain<option>Sweden</select></label>
             <label><input type=checkbox id=t> I know roses</label><button type=button onclick='said.textContent = \"pressed\"'>Go</button>
             <button type=button>Save</button><button type=button>Save</button></form><p id=said></p>"
        )
    };
    let (first, second) = (site.page("/first", form("a1")), site.page("/second", form("z9")));
    let (sandbox, agent) = rig.browser(&[&site]).await;
    agent.navigate(&first).await.expect("opened");
    for words in [
        Words::new("fill \"First name\" with %name%").with("name", "Ada"),
        Words::new("select \"Sweden\" in \"Country\""),
        Words::new("check \"I know roses\""),
        Words::new("click the \"Go\" button"),
    ] {
        agent.act(&words.into()).await.expect("done");
    }
    let page = agent.snapshot().await.expect("read");
    let values: Vec<&str> = page.controls.iter().map(|control| control.value.as_str()).collect();
    assert_eq!((values[0], values[1], page.controls[2].checked), ("Ada", "Sweden", true));
    assert!(page.text.contains("pressed"), "{}", page.text);
    let log = agent.take_log();
    assert_eq!(
        log.iter().map(|record| record.kind).collect::<Vec<_>>(),
        [ActionKind::Fill, ActionKind::Select, ActionKind::Check, ActionKind::Click]
    );

    let error = agent.act(&Words::new("click \"Save\"").into()).await.expect_err("two buttons");
    let BrowserError::Ambiguous { candidates } = error else { panic!("{error}") };
    assert_eq!(candidates.len(), 2);
    let error = agent.act(&Words::new("dance").into()).await.expect_err("no such verb");
    assert!(matches!(error, BrowserError::NotUnderstood(_)), "{error}");

    let mut kept = agent.observe().await.expect("read").remove(0);
    assert_eq!((kept.kind, kept.description.as_str()), (ActionKind::Fill, "First name"));
    kept.target = Selectors::css("#a1");
    kept.value = Some(ActionValue::Text("Grace".into()));
    assert_eq!(agent.replay(&kept).await.expect("as it was").healed, None);
    agent.navigate(&second).await.expect("opened");
    let replayed = agent.replay(&kept).await.expect("found again");
    let healed = replayed.healed.expect("elsewhere");
    assert!(replayed.acted.verified && healed.target.candidates[0] == "#z9", "{healed:?}");
    kept.description = "Favourite rose".into();
    assert!(matches!(agent.replay(&kept).await, Err(BrowserError::NotFound { .. })), "nothing goes by that name");
    rig.provider.destroy(&sandbox.id).await.expect("destroyed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_persons_pace_is_kept_and_the_same_for_a_seed() {
    let rig = Rig::new();
    let site = Site::start().await;
    let url = site.page(
        "/form",
        "<form><label>First name <input id=f></label><button type=button id=b style='width:300px;height:60px'>Go</button></form><p id=said></p>
         <script>const at = []; f.addEventListener('keydown', () => at.push(performance.now()));
         b.addEventListener('click', (e) => { const r = b.getBoundingClientRect();
         said.textContent = JSON.stringify({ at: at.map(Math.round), x: Math.round(e.clientX - r.left), y: Math.round(e.clientY - r.top) }); });</script>",
    );
    let (sandbox, _) = rig.browser(&[&site]).await;
    let mut points = Vec::new();
    for fence in [2, 3] {
        let limits = AgentLimits { pace: Some(Pace { seed: 4 }), ..AgentLimits::default() };
        let agent = rig.agent_with(sandbox.id, fence, limits).await;
        agent.navigate(&url).await.expect("opened");
        let filled = agent.fill_field(&Selectors::css("#f"), "Ada Lovelace").await.expect("filled");
        assert!(filled.verified);
        agent.click_element(&Selectors::css("#b")).await.expect("pressed");
        let said: serde_json::Value =
            serde_json::from_str(agent.snapshot().await.expect("read").text.lines().last().expect("a line"))
                .expect("json");
        let times: Vec<f64> =
            said["at"].as_array().expect("times").iter().filter_map(serde_json::Value::as_f64).collect();
        assert_eq!(times.len(), "Ada Lovelace".len(), "every character is a key: {said}");
        assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= 45.0), "{times:?}");
        points.push((said["x"].clone(), said["y"].clone()));
    }
    assert_eq!(points[0], points[1]);
    assert_ne!(points[0], (json!(150), json!(30)), "not the very middle");
    rig.provider.destroy(&sandbox.id).await.expect("destroyed");
}

#[tokio::test(flavor = "multi_thread")]
async fn facts_are_told_with_where_they_are_from() {
    let rig = Rig::new();
    let site = Site::start().await;
    let url = site.page(
        "/job",
        "<title>Jobs</title><div itemscope itemtype='https://schema.org/JobPosting'><h1 itemprop=title>Gardener</h1>
         <span itemprop=hiringOrganization itemscope><b itemprop=name>Roots</b></span><meta itemprop=datePosted content=2026-11-01></div>
         <table><tr><td>Hours</td><td>38</td></tr></table><dl><dt>Team</dt><dd>Orchard</dd></dl><p><b>Reference:</b> R-7</p>",
    );
    let (sandbox, agent) = rig.browser(&[&site]).await;
    agent.navigate(&url).await.expect("opened");
    let found = agent.extract().await.expect("read");
    for (name, value, provenance) in [
        ("title", "Gardener", "microdata"),
        ("hiringOrganization.name", "Roots", "microdata"),
        ("datePosted", "2026-11-01", "microdata"),
        ("Hours", "38", "table"),
        ("Team", "Orchard", "definition_list"),
        ("Reference", "R-7", "text"),
    ] {
        let field = found.get(name).unwrap_or_else(|| panic!("{name} is missing: {found:?}"));
        let from = serde_json::to_value(field.provenance).expect("a word");
        assert_eq!((field.value.as_str(), from), (value, json!(provenance)), "{name}");
    }
    rig.provider.destroy(&sandbox.id).await.expect("destroyed");
}
