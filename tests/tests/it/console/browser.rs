//! A headless Chromium that looks at the console as a person does: by what is written on the page.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use fantoccini::wd::WebDriverCompatibleCommand;
use fantoccini::{Client, ClientBuilder, Locator};
use hyper_util::client::legacy::connect::HttpConnector;
use reqwest::{Method, Url};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use valet_tests::bounds::{SOON, START_MAX};
use valet_tests::wait::until;

/// A window of a desk, and of a phone.
pub const DESK: (u32, u32) = (1280, 860);
pub const PHONE: (u32, u32) = (390, 844);

/// The page says by itself when it has settled; nothing here waits longer for one script.
const SCRIPT_MAX: Duration = Duration::from_secs(30);

pub struct Browser {
    client: Client,
    base: String,
    /// Ends its browser with itself.
    _driver: Child,
}

impl Browser {
    /// Of one engine. No name of the outside resolves.
    pub async fn open(base: &str, folder: &Path) -> Self {
        let mut driver =
            Command::new(std::env::var("VALET_CHROMEDRIVER").unwrap_or_else(|_| "chromedriver".to_owned()))
                .arg("--port=0")
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .kill_on_drop(true)
                .spawn()
                .expect("chromedriver starts");
        let mut lines = BufReader::new(driver.stdout.take().expect("its output is piped")).lines();
        let port: u16 = tokio::time::timeout(START_MAX, async {
            loop {
                let line = lines.next_line().await.expect("its output reads").expect("it says its port");
                if let Some((_, port)) = line.rsplit_once("started successfully on port ") {
                    break port.trim_end_matches('.').parse().expect("a port");
                }
            }
        })
        .await
        .expect("chromedriver starts in time");
        let mut arguments = vec![
            "--headless=new".to_owned(),
            format!("--user-data-dir={}", folder.join("browser").display()),
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1".to_owned(),
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--disable-gpu".to_owned(),
            "--no-first-run".to_owned(),
            "--lang=en-US".to_owned(),
        ];
        if nix::unistd::Uid::effective().is_root() {
            arguments.push("--no-sandbox".to_owned());
        }
        let capabilities = json!({
            "goog:chromeOptions": { "args": arguments },
            "timeouts": { "script": SCRIPT_MAX.as_millis() as u64 },
        });
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities.as_object().expect("an object").clone())
            .connect(&format!("http://127.0.0.1:{port}"))
            .await
            .expect("a browser opens");
        let browser = Self { client, base: base.to_owned(), _driver: driver };
        browser.resize(DESK).await;
        browser
    }

    /// A window has a least width; a screen has none.
    pub async fn resize(&self, (width, height): (u32, u32)) {
        self.client.issue_cmd(Screen { width, height }).await.expect("the screen has a size");
    }

    /// Types the token as a person does.
    pub async fn sign_in(&self, token: &str) {
        self.go("/").await;
        self.fill("Token", token).await;
        self.click("Sign in").await;
        self.sees("sign out").await;
    }

    /// A page below `/console`.
    pub async fn go(&self, path: &str) {
        self.client.goto(&format!("{}/console{path}", self.base)).await.expect("a page opens");
    }

    /// Waits until a text is on the page, as text or as what is read out.
    pub async fn sees(&self, text: &str) {
        self.waits_for(text, true).await;
    }

    /// Waits until a text is no longer on the page.
    pub async fn sees_no(&self, text: &str) {
        self.waits_for(text, false).await;
    }

    async fn waits_for(&self, text: &str, is_there: bool) {
        let what = format!("the page {} “{text}”", if is_there { "with" } else { "without" });
        until(&what, SOON, async || {
            let page = self.page().await;
            if page.contains(text) == is_there { Ok(()) } else { Err(page) }
        })
        .await;
    }

    /// All that is written and read out.
    pub async fn page(&self) -> String {
        const READ: &str = "return document.body.innerText + '\\n' + \
            [...document.querySelectorAll('[aria-label]')].map(one => one.ariaLabel).join('\\n')";
        self.run(READ, Vec::new()).await.as_str().unwrap_or_default().to_owned()
    }

    /// A button or a link by its words.
    pub async fn click(&self, words: &str) {
        let named = format!("normalize-space()='{words}' or @aria-label='{words}'");
        let path = format!("//*[self::button or self::a][{named} or .//span[{named}]]");
        until(&format!("a click on “{words}”"), SOON, async || {
            let found = self.client.find_all(Locator::XPath(&path)).await.map_err(|error| error.to_string())?;
            // A dialog lies above the page: its button is the later one.
            let last = found.into_iter().next_back().ok_or_else(|| "it is not there".to_owned())?;
            last.click().await.map_err(|error| error.to_string())
        })
        .await;
    }

    /// Types into the field of a label.
    pub async fn fill(&self, label: &str, text: &str) {
        let path = field_of(label);
        until(&format!("the field “{label}”"), SOON, async || {
            let field = self.client.find(Locator::XPath(&path)).await.map_err(|error| error.to_string())?;
            field.clear().await.map_err(|error| error.to_string())?;
            field.send_keys(text).await.map_err(|error| error.to_string())
        })
        .await;
    }

    /// Chooses one of a list by its words.
    pub async fn choose(&self, label: &str, words: &str) {
        let path = format!("{}/option[normalize-space()='{words}']", field_of(label));
        until(&format!("“{words}” of “{label}”"), SOON, async || {
            let option = self.client.find(Locator::XPath(&path)).await.map_err(|error| error.to_string())?;
            option.click().await.map_err(|error| error.to_string())
        })
        .await;
    }

    /// What stands in the field of a label.
    pub async fn typed(&self, label: &str) -> String {
        let field = self.client.find(Locator::XPath(&field_of(label))).await.expect("the field is there");
        field.prop("value").await.expect("it has a value").unwrap_or_default()
    }

    /// Keys without a field.
    pub async fn press(&self, keys: &str) {
        let body = self.client.find(Locator::Css("body")).await.expect("a page");
        body.send_keys(keys).await.expect("keys are pressed");
    }

    pub async fn url(&self) -> String {
        self.client.current_url().await.expect("an address").to_string()
    }

    pub async fn run(&self, script: &str, arguments: Vec<Value>) -> Value {
        self.client.execute(script, arguments).await.expect("a script runs")
    }

    pub async fn run_async(&self, script: &str) -> Value {
        self.client.execute_async(script, Vec::new()).await.expect("a script runs")
    }

    /// Ends the browser with what it has open.
    pub async fn close(self) {
        self.client.close().await.expect("the browser closes");
    }
}

/// Of Chromium's own commands the one that WebDriver does not have.
#[derive(Debug)]
struct Screen {
    width: u32,
    height: u32,
}

impl WebDriverCompatibleCommand for Screen {
    fn endpoint(&self, base: &Url, session: Option<&str>) -> Result<Url, url::ParseError> {
        base.join(&format!("session/{}/goog/cdp/execute", session.unwrap_or_default()))
    }

    fn method_and_body(&self, _: &Url) -> (Method, Option<String>) {
        let size = json!({ "width": self.width, "height": self.height, "deviceScaleFactor": 1, "mobile": false });
        let command = json!({ "cmd": "Emulation.setDeviceMetricsOverride", "params": size });
        (Method::POST, Some(command.to_string()))
    }
}

/// The last one: a dialog lies above the page.
fn field_of(label: &str) -> String {
    format!("//*[@id=(//label[starts-with(normalize-space(), '{label}')])[last()]/@for]")
}
