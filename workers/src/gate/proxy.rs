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
use tokio::sync::Semaphore;

use super::Shared;
use super::http::{Body, answer, webdriver_error};

/// A typed field is kilobytes; a script with arguments at most a few megabytes.
const REQUEST_MAX_BYTES: usize = 8 << 20;
/// A screenshot of a long page in base64.
const ANSWER_MAX_BYTES: usize = 64 << 20;

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
    open: Mutex<Option<Open>>,
}

#[derive(Clone)]
struct Open {
    driver_port: u16,
    session_id: String,
}

struct Command {
    method: Method,
    /// Path behind the key, `/session/…`.
    path: String,
    body: Bytes,
}

impl Forwarder {
    pub fn new(shared: Arc<Shared>) -> Self {
        Self {
            client: Client::builder(TokioExecutor::new()).build(HttpConnector::new()),
            driver: Arc::new(Semaphore::new(1)),
            places: Arc::new(Semaphore::new(shared.config.limits.queue + 1)),
            open: Mutex::new(None),
            shared,
        }
    }

    pub fn open(&self, driver_port: u16, session_id: String) {
        *self.open.lock() = Some(Open { driver_port, session_id });
    }

    /// `/{key}/session/{id}/…`; `path` begins behind the key.
    pub async fn handle(&self, key: &str, path: String, request: Request<Incoming>) -> Response<Body> {
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

    async fn forward(&self, key: &str, path: String, request: Request<Incoming>) -> Response<Body> {
        let Some(open) = self.open.lock().clone() else {
            return webdriver_error(
                StatusCode::SERVICE_UNAVAILABLE,
                "session not created",
                "the browser is still starting",
            );
        };
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
        if let Some(refusal) = refuse(&command, &open.session_id) {
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
        match tokio::time::timeout(within, self.run(key, command, &open, within)).await {
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
    async fn run(&self, key: &str, command: Command, open: &Open, within: Duration) -> Response<Body> {
        let Ok(turn) = Arc::clone(&self.driver).acquire_owned().await else { return stale() };
        if !self.shared.fence.lock().admits(key) {
            return stale();
        }
        let uri = format!("http://127.0.0.1:{}{}", open.driver_port, command.path);
        let request =
            Request::builder().method(command.method).uri(uri).header(CONTENT_TYPE, "application/json; charset=utf-8");
        let Ok(request) = request.body(Full::new(command.body)) else {
            return webdriver_error(StatusCode::BAD_REQUEST, "invalid argument", "not a WebDriver path");
        };
        let client = self.client.clone();
        let hold = within + Duration::from_millis(self.shared.config.limits.linger_ms);
        let work = tokio::spawn(async move {
            let _turn = turn;
            tokio::time::timeout(hold, ask(&client, request)).await
        });
        match work.await {
            Ok(Ok(Ok((status, bytes)))) => answer(status, "application/json; charset=utf-8", bytes),
            Ok(Ok(Err(error))) => {
                webdriver_error(StatusCode::NOT_FOUND, "invalid session id", &format!("the driver is gone: {error}"))
            }
            _ => webdriver_error(StatusCode::INTERNAL_SERVER_ERROR, "timeout", "the driver did not answer"),
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
) -> Result<(StatusCode, Bytes), String> {
    let answer = client.request(request).await.map_err(|error| error.to_string())?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), ANSWER_MAX_BYTES).collect().await.map_err(|error| error.to_string())?;
    Ok((status, body.to_bytes()))
}

fn stale() -> Response<Body> {
    webdriver_error(StatusCode::FORBIDDEN, "stale_fence", "another holder took this browser over")
}

/// The gate's own session only, and none of the commands that would leave the egress rule or end the session.
fn refuse(command: &Command, session_id: &str) -> Option<Response<Body>> {
    let unsupported =
        |message: &str| Some(webdriver_error(StatusCode::INTERNAL_SERVER_ERROR, "unsupported operation", message));
    if command.path == "/status" {
        return None;
    }
    let Some(rest) = command.path.strip_prefix("/session") else {
        return Some(webdriver_error(StatusCode::NOT_FOUND, "unknown command", "not a WebDriver path"));
    };
    let mut parts = rest.trim_start_matches('/').splitn(2, '/');
    let (id, what) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    if id.is_empty() {
        return unsupported("the gate opens the one session of its sandbox");
    }
    if id != session_id || command.path.contains("..") {
        return Some(webdriver_error(StatusCode::NOT_FOUND, "invalid session id", "not the session of this sandbox"));
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
    use super::{Bytes, Command, Method, refuse};

    #[test]
    fn only_commands_of_the_own_session_within_the_rule_pass() {
        let check = |method: Method, path: &str, body: &str, passes: bool| {
            let command = Command { method, path: path.into(), body: Bytes::from(body.to_owned()) };
            assert_eq!(refuse(&command, "s1").is_none(), passes, "{path} {body}");
        };
        check(Method::GET, "/status", "", true);
        check(Method::GET, "/session/s1/title", "", true);
        check(Method::GET, "/session/s2/title", "", false);
        check(Method::GET, "/session/s1/../s2/title", "", false);
        check(Method::POST, "/session", "{}", false);
        check(Method::DELETE, "/session/s1", "", false);
        check(Method::DELETE, "/session/s1/cookie", "", true);
        check(Method::GET, "/sessions", "", false);
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
    }
}
