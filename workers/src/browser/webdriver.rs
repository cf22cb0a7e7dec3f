//! The agent over WebDriver, through the sandbox's gate.
//!
//! The client is made persistent right after every attach, so that dropping it never ends the session. A WebDriver client works on one
//! command at a time and knows no timeout: after one of ours it is dropped and the session attached anew.

use std::path::Path;
use std::time::{Duration, Instant};

use ::webdriver::command::{SwitchToFrameParameters, VoidWebDriverExtensionCommand, WebDriverCommand};
use ::webdriver::common::FrameId;
use async_trait::async_trait;
use fantoccini::Client;
use fantoccini::elements::Element;
use fantoccini::error::{CmdError, ErrorStatus};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard};

use super::{Acted, Action, ActionKind, ActionValue, BrowserAgent, BrowserError, Instruction, Page, Selectors};
use crate::form::{SNAPSHOT_JS, Snapshot};
use crate::gate::forward::REFUSED_TITLE;
use crate::sandbox::Attachment;

const DOM_JS: &str = include_str!("dom.js");
const SETTLE_JS: &str = include_str!("settle.js");

/// Frames of other origins entered per page; an embedded form is in the first or second.
const FOREIGN_FRAMES_MAX: usize = 6;
/// Between two looks at a page that has not come to rest. Short scripts, because one that waits in the page dies with its document.
const SETTLE_POLL: Duration = Duration::from_millis(40);

/// The agent's bounds. The gate's own are shorter, so that its answer, which says more, arrives first.
#[derive(Clone, Copy, Debug)]
pub struct AgentLimits {
    pub attach: Duration,
    pub command: Duration,
    pub navigation: Duration,
    /// The tree must rest this long for a page to count as settled.
    pub quiet: Duration,
    /// A page that never rests is taken as it is after this.
    pub settle: Duration,
}

impl Default for AgentLimits {
    fn default() -> Self {
        Self {
            attach: Duration::from_secs(10),
            command: Duration::from_secs(65),
            navigation: Duration::from_secs(95),
            quiet: Duration::from_millis(200),
            settle: Duration::from_secs(5),
        }
    }
}

pub struct WebDriverAgent {
    attachment: Attachment,
    limits: AgentLimits,
    link: Mutex<Link>,
}

/// The client and the frame it is in; `None` where unknown.
#[derive(Default)]
pub(super) struct Link {
    client: Option<Client>,
    frame: Option<Vec<String>>,
}

impl WebDriverAgent {
    /// Attaches to the sandbox's session and makes sure that it answers.
    pub async fn attach(attachment: Attachment, limits: AgentLimits) -> Result<Self, BrowserError> {
        let agent = Self { attachment, limits, link: Mutex::default() };
        let mut session = agent.session().await;
        session.client().await?;
        drop(session);
        Ok(agent)
    }

    pub fn attachment(&self) -> &Attachment {
        &self.attachment
    }

    pub(super) async fn session(&self) -> Session<'_> {
        Session { agent: self, link: self.link.lock().await, document: None }
    }
}

/// The agent's session while one operation has it to itself.
pub(super) struct Session<'a> {
    agent: &'a WebDriverAgent,
    link: MutexGuard<'a, Link>,
    /// When the only document was loaded in which elements are to be found.
    document: Option<f64>,
}

impl Session<'_> {
    pub(super) fn limits(&self) -> &AgentLimits {
        &self.agent.limits
    }

    async fn client(&mut self) -> Result<Client, BrowserError> {
        if let Some(client) = &self.link.client {
            return Ok(client.clone());
        }
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let attachment = &self.agent.attachment;
        let client = Client::with_existing_session(&attachment.webdriver_url, &attachment.session_id, connector)
            .await
            .map_err(|error| BrowserError::Protocol(error.to_string()))?;
        // First of all: a client dropped before this would end the session.
        client.persist().await.map_err(|error| from_command("attach", &error))?;
        // Attaching asks the driver nothing; only a command tells whether the session lives.
        let probe = tokio::time::timeout(self.agent.limits.attach, client.title()).await;
        match probe {
            Err(_) => return Err(BrowserError::Timeout { command: "attach", after: self.agent.limits.attach }),
            Ok(Err(error)) => match from_command("attach", &error) {
                // A dialog or a closed frame: the session lives.
                BrowserError::Gone(reason) => return Err(BrowserError::Gone(reason)),
                BrowserError::StaleFence => return Err(BrowserError::StaleFence),
                _ => {}
            },
            Ok(Ok(_)) => {}
        }
        self.link.client = Some(client.clone());
        self.link.frame = None;
        Ok(client)
    }

    /// One WebDriver command under its bound.
    pub(super) async fn command<T, F, Work>(
        &mut self,
        name: &'static str,
        bound: Duration,
        work: F,
    ) -> Result<T, BrowserError>
    where
        F: FnOnce(Client) -> Work,
        Work: Future<Output = Result<T, CmdError>>,
    {
        let client = self.client().await?;
        match tokio::time::timeout(bound, work(client)).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => {
                let error = from_command(name, &error);
                if !error.leaves_the_browser_usable() {
                    self.link.client = None;
                }
                Err(error)
            }
            Err(_) => {
                self.link.client = None;
                Err(BrowserError::Timeout { command: name, after: bound })
            }
        }
    }

    async fn script(
        &mut self,
        name: &'static str,
        script: &'static str,
        arguments: Vec<Value>,
    ) -> Result<Value, BrowserError> {
        let bound = self.agent.limits.command;
        self.command(name, bound, |client| async move { client.execute(script, arguments).await }).await
    }

    pub(super) async fn dom(&mut self, operation: &'static str, operands: &[&Value]) -> Result<Value, BrowserError> {
        let arguments =
            std::iter::once(json!(operation)).chain(operands.iter().map(|value| (*value).clone())).collect();
        self.script(operation, DOM_JS, arguments).await
    }

    /// The one element the selectors find, with its frame entered and itself scrolled to, and how it is.
    pub(super) async fn find(&mut self, target: &Selectors) -> Result<(Found, Value), BrowserError> {
        let missing = || BrowserError::NotFound { target: target.to_string() };
        let document = json!(self.document);
        if !target.frame.is_empty() && self.document.is_some() {
            // A frame has a time of its own.
            self.enter(&[]).await?;
            if self.dom("is document", &[&document]).await? != json!(true) {
                return Err(missing());
            }
        }
        self.enter(&target.frame).await?;
        let document = if target.frame.is_empty() { document } else { Value::Null };
        // One command finds the element and looks at the document, so that no other can come between: its elements die with it.
        let answer = self.dom("find", &[&json!(target.candidates), &document]).await?;
        let found = self.found(answer["element"].clone()).await?.ok_or_else(missing)?;
        Ok((found, answer["state"].clone()))
    }

    pub(super) async fn found(&mut self, reference: Value) -> Result<Option<Found>, BrowserError> {
        let Some(id) = reference.as_object().and_then(|object| object.values().next()).and_then(Value::as_str) else {
            return Ok(None);
        };
        let element = Element::from_element_id(self.client().await?, id.to_owned().into());
        Ok(Some(Found { element, reference }))
    }

    async fn enter(&mut self, frame: &[String]) -> Result<(), BrowserError> {
        if self.link.frame.as_deref() == Some(frame) {
            return Ok(());
        }
        self.link.frame = None;
        let bound = self.agent.limits.command;
        let top = || SwitchToFrameParameters { id: FrameId::Top };
        let switch = move |client: Client| async move {
            client.issue_cmd(WebDriverCommand::<VoidWebDriverExtensionCommand>::SwitchToFrame(top())).await
        };
        self.command("switch frame", bound, switch).await?;
        for selector in frame {
            let answer = self.dom("find", &[&json!([selector])]).await?;
            let missing = || BrowserError::NotFound { target: format!("frame {selector}") };
            let found = self.found(answer["element"].clone()).await?.ok_or_else(missing)?;
            self.command("switch frame", bound, move |_| async move { found.element.enter_frame().await }).await?;
        }
        self.link.frame = Some(frame.to_vec());
        Ok(())
    }

    async fn settle(&mut self) -> Result<(), BrowserError> {
        let limits = self.agent.limits;
        let deadline = Instant::now() + limits.settle;
        self.link.frame = None;
        while Instant::now() < deadline {
            let still = match self.enter(&[]).await {
                Ok(()) => self.script("settle", SETTLE_JS, Vec::new()).await,
                Err(error) => Err(error),
            };
            match still {
                Ok(still) if still.as_f64().is_some_and(|ms| ms >= limits.quiet.as_secs_f64() * 1000.0) => {
                    return Ok(());
                }
                Ok(_) => {}
                // The document went away under the script: the next one is on its way.
                Err(error) if error.leaves_the_browser_usable() => self.link.frame = None,
                Err(error) => return Err(error),
            }
            tokio::time::sleep(SETTLE_POLL).await;
        }
        Ok(())
    }

    async fn read_page(&mut self) -> Result<Snapshot, BrowserError> {
        let mut page = self.read_document(&[]).await?;
        let foreign: Vec<Vec<String>> =
            page.unread_frames().map(|frame| frame.path.clone()).take(FOREIGN_FRAMES_MAX).collect();
        for path in foreign {
            match self.read_document(&path).await {
                Ok(inner) => page.merge_frame(&path, inner),
                Err(error) if error.leaves_the_browser_usable() => tracing::debug!(%error, "a frame could not be read"),
                Err(error) => return Err(error),
            }
        }
        Ok(page)
    }

    async fn read_document(&mut self, frame: &[String]) -> Result<Snapshot, BrowserError> {
        self.enter(frame).await?;
        let value = self.script("snapshot", SNAPSHOT_JS, Vec::new()).await?;
        serde_json::from_value(value)
            .map_err(|error| BrowserError::Protocol(format!("the snapshot has another shape: {error}")))
    }
}

/// An element and the reference scripts take it by.
#[derive(Clone)]
pub(super) struct Found {
    pub element: Element,
    pub reference: Value,
}

#[async_trait]
impl BrowserAgent for WebDriverAgent {
    async fn navigate(&self, url: &str) -> Result<Page, BrowserError> {
        let parsed = url::Url::parse(url).map_err(|_| BrowserError::BadInput { what: "address" })?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(BrowserError::BadInput { what: "address" });
        }
        let mut session = self.session().await;
        session.link.frame = None;
        let host = parsed.host_str().unwrap_or_default().to_owned();
        let refused = |error| match error {
            BrowserError::Navigation(reason) if reason.contains("TUNNEL_CONNECTION_FAILED") => {
                BrowserError::Blocked { host: host.clone() }
            }
            error => error,
        };
        let bound = self.limits.navigation;
        session
            .command("navigate", bound, |client| async move { client.goto(parsed.as_str()).await })
            .await
            .map_err(refused)?;
        session.settle().await?;
        let bound = self.limits.command;
        let title = session.command("title", bound, |client| async move { client.title().await }).await?;
        let url = session.command("url", bound, |client| async move { client.current_url().await }).await?;
        if title == REFUSED_TITLE {
            return Err(BrowserError::Blocked { host: url.host_str().unwrap_or_default().to_owned() });
        }
        Ok(Page { url: url.into(), title })
    }

    async fn current_url(&self) -> Result<String, BrowserError> {
        let bound = self.limits.command;
        self.session()
            .await
            .command("url", bound, |client| async move { client.current_url().await.map(Into::into) })
            .await
    }

    async fn fill_field(&self, target: &Selectors, value: &str) -> Result<Acted, BrowserError> {
        let value = Some(ActionValue::Text(value.to_owned()));
        self.act(&Action { kind: ActionKind::Fill, target: target.clone(), description: String::new(), value }.into())
            .await
    }

    async fn click_element(&self, target: &Selectors) -> Result<Acted, BrowserError> {
        self.act(
            &Action { kind: ActionKind::Click, target: target.clone(), description: String::new(), value: None }.into(),
        )
        .await
    }

    async fn upload_file(&self, target: &Selectors, file: &Path) -> Result<Acted, BrowserError> {
        let value = Some(ActionValue::File(file.to_owned()));
        self.act(&Action { kind: ActionKind::Upload, target: target.clone(), description: String::new(), value }.into())
            .await
    }

    async fn take_screenshot(&self) -> Result<Vec<u8>, BrowserError> {
        let bound = self.limits.command;
        let mut session = self.session().await;
        session.enter(&[]).await?;
        session.command("screenshot", bound, |client| async move { client.screenshot().await }).await
    }

    async fn act(&self, instruction: &Instruction) -> Result<Acted, BrowserError> {
        let action = action_of(instruction)?;
        self.session().await.act(action).await
    }

    async fn act_on(&self, loaded_at: f64, instruction: &Instruction) -> Result<Acted, BrowserError> {
        let action = action_of(instruction)?;
        let mut session = self.session().await;
        session.document = Some(loaded_at);
        session.act(action).await
    }

    async fn snapshot(&self) -> Result<Snapshot, BrowserError> {
        self.session().await.read_page().await
    }

    async fn settle(&self) -> Result<(), BrowserError> {
        self.session().await.settle().await
    }
}

fn action_of(instruction: &Instruction) -> Result<&Action, BrowserError> {
    match instruction {
        Instruction::Action(action) => Ok(action),
        Instruction::Text(_) => Err(BrowserError::Unsupported("an instruction in words".into())),
    }
}

fn from_command(command: &'static str, error: &CmdError) -> BrowserError {
    match error {
        CmdError::Standard(error) => from_status(command, &error.error, &error.message),
        CmdError::NotW3C(Value::String(code)) if code == "stale_fence" => BrowserError::StaleFence,
        CmdError::Failed(_) | CmdError::FailedC(_) | CmdError::Lost(_) => {
            BrowserError::Gone(format!("its gate does not answer ({error})"))
        }
        error => BrowserError::Protocol(error.to_string()),
    }
}

fn from_status(command: &'static str, status: &ErrorStatus, message: &str) -> BrowserError {
    // The driver appends its version and stack in further lines.
    let message = message.lines().next().unwrap_or_default().to_owned();
    let gone = ["disconnected", "not reachable", "session deleted", "tab crashed", "web view not found"];
    match status {
        ErrorStatus::InvalidSessionId | ErrorStatus::NoSuchWindow => BrowserError::Gone(message),
        _ if gone.iter().any(|sign| message.contains(sign)) => BrowserError::Gone(message),
        _ if message.contains("net::ERR") => BrowserError::Navigation(message),
        ErrorStatus::NoSuchElement
        | ErrorStatus::StaleElementReference
        | ErrorStatus::NoSuchFrame
        | ErrorStatus::DetachedShadowRoot => BrowserError::NotFound { target: command.to_owned() },
        ErrorStatus::ElementNotInteractable
        | ErrorStatus::ElementClickIntercepted
        | ErrorStatus::InvalidElementState => {
            BrowserError::NotInteractable { target: command.to_owned(), reason: message }
        }
        ErrorStatus::Timeout | ErrorStatus::ScriptTimeout => BrowserError::Timeout { command, after: Duration::ZERO },
        ErrorStatus::UnexpectedAlertOpen => BrowserError::Dialog { text: message },
        ErrorStatus::JavascriptError => BrowserError::Script(message),
        ErrorStatus::UnsupportedOperation | ErrorStatus::UnknownCommand => BrowserError::Unsupported(message),
        _ => BrowserError::Protocol(message),
    }
}
