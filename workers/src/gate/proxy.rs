//! Forwards WebDriver commands of the current fence to the driver, one at a time, each bounded in time.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::{Semaphore, watch};

use super::Shared;
use super::context::Context;
use super::http::{Body, answer, webdriver_error};

/// A typed field is kilobytes; a script with arguments at most a few megabytes.
const REQUEST_MAX_BYTES: usize = 8 << 20;
/// A screenshot of a long page in base64.
const ANSWER_MAX_BYTES: usize = 64 << 20;

/// To look at the tabs there are.
const LOOK_WITHIN: Duration = Duration::from_secs(5);

/// Chromium's own commands a worker may use. What could open another browser context, and so leave the forward proxy, is not among them.
const CDP_ALLOWED: [&str; 8] = [
    "Storage.",
    "DOMStorage.",
    "IndexedDB.",
    "Accessibility.",
    "DOMSnapshot.",
    "Page.addScriptToEvaluateOnNewDocument",
    "Page.captureScreenshot",
    "Emulation.",
];

pub struct Forwarder {
    shared: Arc<Shared>,
    client: Client<HttpConnector, Full<Bytes>>,
    /// The one command the driver works on.
    driver: Arc<Semaphore>,
    /// Commands in flight or waiting.
    places: Arc<Semaphore>,
    link: watch::Sender<Link>,
    context: Mutex<Context>,
}

/// The way to the browser.
#[derive(Clone)]
enum Link {
    /// There is no browser yet.
    Starting,
    Open(Open),
    /// The browser is there, its driver is being started anew.
    Down {
        former: Vec<String>,
        lost: Vec<String>,
    },
}

#[derive(Clone)]
struct Open {
    driver_port: u16,
    session_id: String,
    /// Sessions of former drivers that this one stands for.
    former: Vec<String>,
    /// Sessions of former drivers that held more than this one does.
    lost: Vec<String>,
}

#[derive(Clone)]
struct Command {
    method: Method,
    /// Path behind the key, `/session/…`.
    path: String,
    body: Bytes,
}

/// What came of a command that was handed to the driver.
enum Sent {
    Answered(StatusCode, Bytes),
    /// The driver never had it, or nothing came of it.
    NotTaken,
    /// The driver ended over it.
    Lost,
    Timeout,
}

impl Forwarder {
    pub fn new(shared: Arc<Shared>) -> Self {
        Self {
            // A connection per command: one that is kept would be found broken only once a command is on it.
            client: Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(HttpConnector::new()),
            driver: Arc::new(Semaphore::new(1)),
            places: Arc::new(Semaphore::new(shared.config.limits.queue + 1)),
            link: watch::Sender::new(Link::Starting),
            context: Mutex::default(),
            shared,
        }
    }

    /// From now on commands go to this session.
    pub fn open(&self, driver_port: u16, session_id: String, window: Option<String>) {
        let names_last = self.shared.config.kind.family().tab_names_last();
        *self.context.lock() = Context::opened(window, names_last);
        self.link.send_modify(|link| {
            let (former, lost) = if let Link::Down { former, lost } = link {
                (std::mem::take(former), std::mem::take(lost))
            } else {
                Default::default()
            };
            *link = Link::Open(Open { driver_port, session_id, former, lost });
        });
    }

    /// The driver ended: commands wait until the next is there. Returns the tab that was in use.
    pub fn down(&self) -> Option<String> {
        let context = std::mem::take(&mut *self.context.lock());
        self.link.send_modify(|link| {
            let Link::Open(open) = link else { return };
            let (mut former, mut lost) = (std::mem::take(&mut open.former), std::mem::take(&mut open.lost));
            former.push(std::mem::take(&mut open.session_id));
            if !context.is_plain() {
                lost.append(&mut former);
            }
            *link = Link::Down { former, lost };
        });
        context.window
    }

    /// `/{key}/session/{id}/…`; `path` begins behind the key.
    pub async fn handle(self: &Arc<Self>, key: &str, path: String, request: Request<Incoming>) -> Response<Body> {
        // The generation is read before the fence is asked: a key that changes in between is seen as a change.
        let mut generation = self.shared.generation.subscribe();
        if !self.shared.fence.lock().admits(key) {
            return stale();
        }
        tokio::select! {
            biased;
            _ = generation.changed() => stale(),
            answer = self.forward(key, path, request) => answer,
        }
    }

    async fn forward(self: &Arc<Self>, key: &str, path: String, request: Request<Incoming>) -> Response<Body> {
        if matches!(*self.link.borrow(), Link::Starting) {
            return webdriver_error(
                StatusCode::SERVICE_UNAVAILABLE,
                "session not created",
                "the browser is still starting",
            );
        }
        let method = request.method().clone();
        let Ok(body) = Limited::new(request.into_body(), REQUEST_MAX_BYTES)
            .collect()
            .await
            .map(http_body_util::Collected::to_bytes)
        else {
            return webdriver_error(
                StatusCode::BAD_REQUEST,
                "invalid argument",
                "the command's body could not be read",
            );
        };
        let command = Command { method, path, body };
        if let Some(refusal) = refuse(&command) {
            return refusal;
        }
        let Ok(_place) = Arc::clone(&self.places).try_acquire_owned() else {
            return webdriver_error(
                StatusCode::TOO_MANY_REQUESTS,
                "gate_busy",
                "too many commands wait for this browser",
            );
        };
        let within = self.bound(&command);
        match tokio::time::timeout(within, self.run(key, command, within)).await {
            Ok(answer) => answer,
            Err(_) => webdriver_error(
                StatusCode::INTERNAL_SERVER_ERROR,
                "timeout",
                &format!("no answer within {} ms", within.as_millis()),
            ),
        }
    }

    /// The driver's place is given back when the driver has answered, not when the caller has gone: the next command, of a new holder
    /// above all, begins after the last one has ended.
    async fn run(self: &Arc<Self>, key: &str, command: Command, within: Duration) -> Response<Body> {
        let Ok(mut turn) = Arc::clone(&self.driver).acquire_owned().await else { return stale() };
        let hold = within + Duration::from_millis(self.shared.config.limits.linger_ms);
        let mut not_taken_by = None;
        loop {
            let Some(open) = self.opened(not_taken_by).await else {
                return driver_restarted("the driver is being started anew");
            };
            if !self.shared.fence.lock().admits(key) {
                return stale();
            }
            let path = match open.path_of(&command) {
                Ok(path) => path,
                Err(refusal) => return *refusal,
            };
            let (this, command, port) = (Arc::clone(self), command.clone(), open.driver_port);
            let work = tokio::spawn(async move { (this.send(&command, port, &path, hold).await, turn) });
            let Ok((sent, given_back)) = work.await else {
                return webdriver_error(StatusCode::INTERNAL_SERVER_ERROR, "unknown error", "the gate failed");
            };
            turn = given_back;
            match sent {
                Sent::Answered(status, bytes) => return answer(status, "application/json; charset=utf-8", bytes),
                Sent::NotTaken => not_taken_by = Some(open.driver_port),
                Sent::Lost => return driver_restarted("the driver ended; whether the command was carried out is open"),
                Sent::Timeout => {
                    return webdriver_error(StatusCode::INTERNAL_SERVER_ERROR, "timeout", "the driver did not answer");
                }
            }
        }
    }

    /// The way to the browser, once there is one by another driver than `not`.
    async fn opened(&self, not: Option<u16>) -> Option<Open> {
        let mut link = self.link.subscribe();
        let wait = Duration::from_millis(self.shared.config.limits.restart_wait_ms);
        let open = link.wait_for(|link| matches!(link, Link::Open(open) if Some(open.driver_port) != not));
        match &*tokio::time::timeout(wait, open).await.ok()?.ok()? {
            Link::Open(open) => Some(open.clone()),
            _ => None,
        }
    }

    async fn send(&self, command: &Command, port: u16, path: &str, hold: Duration) -> Sent {
        let request = Request::builder()
            .method(command.method.clone())
            .uri(format!("http://127.0.0.1:{port}{path}"))
            .header(CONTENT_TYPE, "application/json; charset=utf-8")
            .body(Full::new(command.body.clone()));
        let Ok(request) = request else {
            let error = br#"{"value":{"error":"invalid argument","message":"not a WebDriver path","stacktrace":""}}"#;
            return Sent::Answered(StatusCode::BAD_REQUEST, Bytes::from_static(error));
        };
        self.context.lock().sent();
        let exchanged = tokio::time::timeout(hold, ask(&self.client, request)).await;
        let what = command.session_part().map_or("", |(_, what)| what);
        let answered = |good| self.context.lock().answered(&command.method, what, &command.body, good);
        match exchanged {
            Ok(Ok((status, bytes))) => {
                if answered(status.is_success()) {
                    self.note_window(port, path).await;
                }
                Sent::Answered(status, bytes)
            }
            Ok(Err(AskError::NotTaken)) => {
                answered(false);
                Sent::NotTaken
            }
            // Nothing but a look: it does not matter whether the driver took it.
            Ok(Err(AskError::Broken(_))) if command.method == Method::GET => {
                answered(false);
                Sent::NotTaken
            }
            Ok(Err(AskError::Broken(error))) => {
                tracing::warn!(error, "the driver ended over a command");
                Sent::Lost
            }
            Err(_) => Sent::Timeout,
        }
    }

    /// So that a later driver or gate goes on in the same tab. `path` is the one of the command that changed it.
    async fn note_window(&self, port: u16, path: &str) {
        let window = self.context.lock().window.clone();
        let tabs = Request::builder()
            .uri(format!("http://127.0.0.1:{port}{path}/handles"))
            .body(Full::default())
            .map(|request| ask(&self.client, request));
        let tabs = match tabs {
            Ok(asked) => tokio::time::timeout(LOOK_WITHIN, asked).await,
            Err(_) => return,
        };
        let tabs: Value = match tabs {
            Ok(Ok((_, bytes))) => serde_json::from_slice(&bytes).unwrap_or_default(),
            _ => Value::Null,
        };
        let place =
            tabs["value"].as_array().and_then(|tabs| tabs.iter().position(|tab| tab.as_str() == window.as_deref()));
        let written = self.shared.write_state(|state| {
            state.window = window;
            state.window_place = place.unwrap_or(state.window_place);
        });
        if let Err(error) = written {
            tracing::warn!(%error, "the tab in use could not be written down");
        }
    }

    fn bound(&self, command: &Command) -> Duration {
        let limits = self.shared.config.limits;
        let navigates = command.method == Method::POST
            && ["/url", "/back", "/forward", "/refresh"].iter().any(|end| command.path.ends_with(end));
        Duration::from_millis(if navigates { limits.navigation_ms } else { limits.command_ms })
    }
}

async fn ask(
    client: &Client<HttpConnector, Full<Bytes>>,
    request: Request<Full<Bytes>>,
) -> Result<(StatusCode, Bytes), AskError> {
    let answer = client
        .request(request)
        .await
        .map_err(|error| if error.is_connect() { AskError::NotTaken } else { AskError::Broken(error.to_string()) })?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), ANSWER_MAX_BYTES).collect().await;
    let body = body.map_err(|error| AskError::Broken(error.to_string()))?;
    Ok((status, body.to_bytes()))
}

enum AskError {
    NotTaken,
    Broken(String),
}

impl Command {
    /// The session's id and what follows it.
    fn session_part(&self) -> Option<(&str, &str)> {
        let rest = if self.path == "/session" { "" } else { self.path.strip_prefix("/session/")? };
        Some(rest.split_once('/').unwrap_or((rest, "")))
    }
}

impl Open {
    /// The command's path in this session; refused where it names another.
    fn path_of(&self, command: &Command) -> Result<String, Box<Response<Body>>> {
        let Some((id, what)) = command.session_part() else { return Ok(command.path.clone()) };
        if id == self.session_id {
            return Ok(command.path.clone());
        }
        if self.former.iter().any(|former| former == id) {
            return Ok(format!("/session/{}/{what}", self.session_id));
        }
        if self.lost.iter().any(|lost| lost == id) {
            return Err(Box::new(driver_restarted("the session was opened anew; attach again")));
        }
        Err(Box::new(webdriver_error(StatusCode::NOT_FOUND, "invalid session id", "not the session of this sandbox")))
    }
}

/// Nothing is lost but the session: its holder attaches again and goes on with the same page.
fn driver_restarted(message: &str) -> Response<Body> {
    webdriver_error(StatusCode::SERVICE_UNAVAILABLE, "driver_restarted", message)
}

fn stale() -> Response<Body> {
    webdriver_error(StatusCode::FORBIDDEN, "stale_fence", "another holder took this browser over")
}

/// None of the commands that would leave the egress rule or end the session.
fn refuse(command: &Command) -> Option<Response<Body>> {
    let unsupported =
        |message: &str| Some(webdriver_error(StatusCode::INTERNAL_SERVER_ERROR, "unsupported operation", message));
    if command.path == "/status" {
        return None;
    }
    let unknown = || Some(webdriver_error(StatusCode::NOT_FOUND, "unknown command", "not a WebDriver path"));
    let Some((id, what)) = command.session_part() else { return unknown() };
    if id.is_empty() {
        return unsupported("the gate opens the one session of its sandbox");
    }
    if command.path.contains("..") {
        return unknown();
    }
    let json = || serde_json::from_slice::<Value>(&command.body).unwrap_or_default();
    match (&command.method, what) {
        (&Method::DELETE, "") => unsupported("the session ends with its sandbox"),
        (&Method::POST, "url") => {
            let url = json()["url"].as_str().unwrap_or("").trim().to_ascii_lowercase();
            let web = url.starts_with("http://") || url.starts_with("https://") || url == "about:blank";
            (!web).then(|| {
                webdriver_error(StatusCode::BAD_REQUEST, "invalid argument", "only http and https pages are opened")
            })
        }
        // Firefox's own: its inside, and programs for it.
        (_, what) if what.starts_with("moz/context") || what.starts_with("moz/addon") => {
            unsupported("this browser command is not allowed")
        }
        (&Method::POST, what) if what.contains("cdp/") => {
            let method = json()["cmd"].as_str().unwrap_or("").to_owned();
            let allowed = CDP_ALLOWED
                .iter()
                .any(|entry| if entry.ends_with('.') { method.starts_with(entry) } else { method == *entry });
            if allowed { None } else { unsupported("this browser command is not allowed") }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Bytes, Command, Method, Open, refuse};

    fn open() -> Open {
        Open { driver_port: 1, session_id: "s1".into(), former: vec!["s0".into()], lost: vec!["s-".into()] }
    }

    fn passes_all(command: &Command) -> bool {
        refuse(command).is_none() && open().path_of(command).is_ok()
    }

    #[test]
    fn a_session_that_this_one_stands_for_is_renamed() {
        let path = |path: &str| {
            let command = Command { method: Method::GET, path: path.into(), body: Bytes::new() };
            open().path_of(&command).map_err(|refusal| refusal.status().as_u16())
        };
        assert_eq!(path("/session/s1/title"), Ok("/session/s1/title".into()));
        assert_eq!(path("/session/s0/title"), Ok("/session/s1/title".into()));
        assert_eq!(path("/session/s-/title"), Err(503));
        assert_eq!(path("/session/s/title"), Err(404));
    }

    #[test]
    fn only_commands_of_the_own_session_within_the_rule_pass() {
        let check = |method: Method, path: &str, body: &str, passes: bool| {
            let command = Command { method, path: path.into(), body: Bytes::from(body.to_owned()) };
            assert_eq!(passes_all(&command), passes, "{path} {body}");
        };
        check(Method::GET, "/status", "", true);
        check(Method::GET, "/session/s1/title", "", true);
        check(Method::GET, "/session/s2/title", "", false);
        check(Method::GET, "/session/s1/../s2/title", "", false);
        check(Method::POST, "/session", "{}", false);
        check(Method::DELETE, "/session/s1", "", false);
        check(Method::DELETE, "/session/s1/cookie", "", true);
        check(Method::GET, "/sessions", "", false);
        check(Method::GET, "/sessions1/title", "", false);
        check(Method::GET, "/session//title", "", false);
        check(Method::GET, "/shutdown", "", false);
        check(Method::POST, "/session/s1/url", r#"{"url":"https://jobs.example/1"}"#, true);
        check(Method::POST, "/session/s1/url", r#"{"url":"about:blank"}"#, true);
        for url in [
            "file:///etc/passwd",
            " FILE:///etc/passwd",
            "chrome://settings",
            "data:text/html,x",
            "view-source:http://x",
        ] {
            check(Method::POST, "/session/s1/url", &format!(r#"{{"url":"{url}"}}"#), false);
        }
        check(Method::POST, "/session/s1/goog/cdp/execute", r#"{"cmd":"Storage.getCookies","params":{}}"#, true);
        check(
            Method::POST,
            "/session/s1/goog/cdp/execute",
            r#"{"cmd":"Target.createBrowserContext","params":{}}"#,
            false,
        );
        check(Method::POST, "/session/s1/goog/cdp/execute", "not json", false);
        check(Method::POST, "/session/s1/moz/context", r#"{"context":"chrome"}"#, false);
        check(Method::POST, "/session/s1/moz/addon/install", r#"{"path":"/x.xpi"}"#, false);
        check(Method::GET, "/session/s1/moz/screenshot/full", "", true);
    }
}
