//! A real browser on the board: what only a browser does, such as its own checks, scripts, cookies and invisible file
//! controls.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use valet_board::{Board, Expectation, ExpectedField, FileLook, Filter, FormKind, Meaning};

use crate::applicant::{RESUME, RESUME_SHA256, answer, board};

/// Starting a browser on a busy machine takes the longest.
pub const LIMIT: Duration = Duration::from_mins(3);

pub struct Browser {
    driver: Child,
    pub client: Client,
    pub folder: tempfile::TempDir,
}

impl Browser {
    pub async fn start() -> Self {
        Self::start_with(Command::new("chromedriver"), &["--headless=new", "--window-size=1200,1600"]).await
    }

    /// With a window on this display.
    pub async fn with_window(display: &str) -> Self {
        let mut driver = Command::new("chromedriver");
        driver.env("DISPLAY", display);
        Self::start_with(driver, &["--window-size=1200,800"]).await
    }

    async fn start_with(mut driver: Command, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut driver = driver
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("chromedriver is installed");
        let mut lines = BufReader::new(driver.stdout.take().expect("its output")).lines();
        let port = loop {
            let line = lines.next_line().await.expect("readable output").expect("a line that names the port");
            if let Some((_, port)) = line.split_once("successfully on port ") {
                break port.trim_end_matches('.').to_owned();
            }
        };
        // A full pipe would stop the driver.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let profile = folder.path().join("profile");
        let mut all =
            vec!["--no-sandbox".to_owned(), "--disable-dev-shm-usage".to_owned(), "--no-first-run".to_owned()];
        all.push(format!("--user-data-dir={}", profile.display()));
        all.extend(arguments.iter().map(ToString::to_string));
        let capabilities = serde_json::json!({ "goog:chromeOptions": { "args": all } });
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities.as_object().expect("an object").clone())
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .expect("a browser");
        Self { driver, client, folder }
    }

    pub async fn stop(mut self) {
        self.client.close().await.expect("the browser closes");
        self.driver.kill().await.expect("the driver ends");
    }
}

/// Seeds that together have every kind of file control, cookies and hidden tokens, and the browser's own checks.
fn chosen() -> Vec<Expectation> {
    let looks = [FileLook::Visible, FileLook::BehindLabel, FileLook::Overlay, FileLook::BehindButton];
    let mut chosen: Vec<Expectation> = looks
        .into_iter()
        .map(|look| {
            first(FormKind::Simple, |expected| {
                expected.look.file_look == look && expected.look.native_required && expected.decoys.honeypot.is_some()
            })
        })
        .collect();
    chosen.extend([true, false].map(|cookie| {
        first(FormKind::Steps, |expected| expected.behaviour.cookie == cookie && expected.decoys.honeypot.is_some())
    }));
    chosen
}

pub fn first(form: FormKind, wanted: impl Fn(&Expectation) -> bool) -> Expectation {
    (0..1_000).map(|seed| Expectation::of(form, seed)).find(wanted).expect("one of a thousand seeds")
}

#[tokio::test]
async fn a_real_browser_can_apply_on_every_kind_of_form() {
    let board = board().await;
    let browser = Browser::start().await;
    let resume = browser.folder.path().join("Lebenslauf (é).pdf");
    std::fs::write(&resume, RESUME).expect("a résumé");
    let client = browser.client.clone();
    let base = board.base_url();
    let applied = tokio::spawn(tokio::time::timeout(LIMIT, async move {
        for expected in chosen() {
            apply(&client, &base, &expected, &resume).await;
        }
    }))
    .await;
    browser.stop().await;
    applied.expect("every application succeeds").expect("in time");

    for expected in chosen() {
        arrived_once(&board, &expected);
    }
}

pub fn arrived_once(board: &Board, expected: &Expectation) {
    let received = board.received().list(&Filter::of(expected.form, expected.seed));
    assert_eq!(received.len(), 1);
    let application = &received[0];
    assert!(!application.duplicate && !application.honeypot);
    assert!(application.user_agent.contains("Chrome"));
    let resume = application.files.iter().find(|file| file.meaning == Meaning::Resume).expect("a résumé");
    assert_eq!((resume.filename.as_str(), resume.sha256.as_str()), ("Lebenslauf (é).pdf", RESUME_SHA256));
    let asked = |field: &&ExpectedField| expected.asks(field, &|field| Some(answer(field)));
    for field in expected.fields.iter().filter(|field| is_filled(field) && field.control != "file").filter(asked) {
        assert_eq!(application.fields[&field.meaning], answer(field));
    }
}

/// Date controls take their keys in the order of the browser's language, and nobody asks for them.
fn is_filled(field: &ExpectedField) -> bool {
    field.meaning != Meaning::StartDate && (field.control != "file" || field.meaning == Meaning::Resume)
}

async fn apply(client: &Client, base: &str, expected: &Expectation, resume: &Path) {
    begin(client, base, expected).await;
    complete(client, expected, resume).await;
    confirmed(client, expected).await;
}

/// From the posting to the form.
pub async fn begin(client: &Client, base: &str, expected: &Expectation) {
    let form = expected.form.as_str();
    client.goto(&format!("{base}/jobs/{form}/{}", expected.seed)).await.expect("a posting");
    let apply = format!(r#"//main//*[self::a or self::button][normalize-space()="{}"]"#, expected.apply_label);
    press(client, Locator::XPath(&apply)).await;
}

/// Fills page after page and sends the last.
pub async fn complete(client: &Client, expected: &Expectation, resume: &Path) {
    for page in 1..=expected.pages {
        let form = format!(r#"form[action$="/apply/{page}"]"#);
        // The footer comes last: with it, the whole form is there.
        let whole = format!("main:has({form}) + footer");
        client.wait().for_element(Locator::Css(&whole)).await.expect("the next page");
        let asked = |field: &&ExpectedField| expected.asks(field, &|field| Some(answer(field)));
        for field in expected.fields.iter().filter(|field| field.page == page && is_filled(field)).filter(asked) {
            fill(client, field, resume).await;
        }
        if page == expected.pages && expected.decoys.honeypot.is_some() {
            the_trap_is_invisible(client, expected).await;
        }
        press(client, Locator::Css(&format!("{form} [type=submit]:not([name])"))).await;
    }
}

pub async fn confirmed(client: &Client, expected: &Expectation) {
    let heading = format!(r#"//h1[normalize-space()="{}"]"#, expected.confirmation.heading);
    client.wait().for_element(Locator::XPath(&heading)).await.expect("a confirmation");
}

pub async fn press(client: &Client, locator: Locator<'_>) {
    client.find(locator).await.expect("a button").click().await.expect("it can be pressed");
}

async fn the_trap_is_invisible(client: &Client, expected: &Expectation) {
    let trap = expected.decoys.honeypot.as_ref().expect("chosen for it");
    let script = "const box = document.getElementsByName(arguments[0])[0].getBoundingClientRect();\
                  return box.width > 0 && box.right > 0;";
    let seen = client.execute(script, vec![trap.name.clone().into()]).await.expect("a page with the trap");
    assert_eq!(seen, false, "people cannot see the trap");
}

async fn fill(client: &Client, field: &ExpectedField, resume: &Path) {
    let by_name = format!(r#"[name="{}"]"#, field.name);
    let control = client.find(Locator::Css(&by_name)).await.expect("the control");
    let wanted = answer(field);
    let option = field.options.iter().find(|option| option.canonical == wanted);
    match (field.control, option) {
        ("file", _) => {
            control.send_keys(&resume.display().to_string()).await.expect("a file is chosen");
            the_chosen_file_is_shown(client, field).await;
        }
        ("select", Some(option)) => control.select_by_value(&option.value).await.expect("an option"),
        ("radio", Some(option)) => {
            // People press the label: the radio button itself may be invisible.
            let label = format!(r#"//*[@id="{}"]//label[normalize-space()="{}"]"#, field.id, option.label);
            press(client, Locator::XPath(&label)).await;
        }
        ("checkbox", _) => control.click().await.expect("a tick"),
        _ => control.send_keys(&wanted).await.expect("a value is typed"),
    }
}

async fn the_chosen_file_is_shown(client: &Client, field: &ExpectedField) {
    let script = "const input = document.getElementsByName(arguments[0])[0];\
                  const box = input.closest('[data-file]');\
                  return box ? box.querySelector('[data-chosen]').textContent : input.files[0].name;";
    let shown = client.execute(script, vec![field.name.clone().into()]).await.expect("the script runs");
    assert_eq!(shown, "Lebenslauf (é).pdf");
}
