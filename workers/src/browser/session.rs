//! The agent's session while one operation has it to itself: commands under their bounds, frames entered, elements found.
//!
//! A frame that goes away leaves the driver in the document on top without an error; so whatever is looked for in a frame is looked for
//! together with how deep the frame is.

use std::time::{Duration, Instant};

use ::webdriver::command::{SwitchToFrameParameters, VoidWebDriverExtensionCommand, WebDriverCommand};
use ::webdriver::common::FrameId;
use fantoccini::Client;
use fantoccini::elements::Element;
use fantoccini::error::CmdError;
use fantoccini::wd::TimeoutConfiguration;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use tokio::sync::MutexGuard;

use super::faults::{from_command, is_discarded};
use super::webdriver::WebDriverAgent;
use super::{AgentLimits, BrowserError, Selectors};

const DOM_JS: &str = concat!(include_str!("loading.js"), include_str!("dom.js"));
/// Texts of dialogs that are kept until somebody asks; a page that opens more has said enough.
const DIALOGS_KEPT_MAX: usize = 8;
/// The driver's own script bound; the gate's and the agent's are longer.
const SCRIPT_MAX: Duration = Duration::from_secs(45);
/// The driver's own bound for a page, below the gate's.
const PAGE_LOAD_MAX: Duration = Duration::from_secs(75);

/// The one command that a frame which is gone does not hinder.
const TO_TOP: &str = "switch to the top";

/// The client and the frame it is in; `None` where unknown.
#[derive(Default)]
pub(super) struct Link {
    pub client: Option<Client>,
    pub frame: Option<Vec<String>>,
    /// Characters and presses at a person's pace so far.
    pub paced: u64,
    /// Commands sent so far.
    pub round_trips: u64,
    /// What dialogs said; they are dismissed by whatever command meets them.
    pub dialogs: Vec<String>,
    /// The document that was waited for in vain: its signs of loading are decoration.
    pub waited: Option<f64>,
}

pub(super) struct Session<'a> {
    pub agent: &'a WebDriverAgent,
    pub link: MutexGuard<'a, Link>,
    /// When the only document was loaded in which elements are to be found.
    pub document: Option<f64>,
}

/// An element and the reference scripts take it by.
#[derive(Clone)]
pub(super) struct Found {
    pub element: Element,
    pub reference: Value,
}

impl Session<'_> {
    pub fn limits(&self) -> &AgentLimits {
        &self.agent.limits
    }

    pub async fn client(&mut self) -> Result<Client, BrowserError> {
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
        let bound = self.agent.limits.attach;
        let probe = async {
            client.title().await?;
            client.update_timeouts(self.driver_timeouts()).await
        };
        match tokio::time::timeout(bound, probe).await {
            Err(_) => return Err(BrowserError::Timeout { command: "attach", after: bound }),
            Ok(Err(error)) => match from_command("attach", &error) {
                // A dialog or a closed frame: the session lives.
                BrowserError::Gone(reason) => return Err(BrowserError::Gone(reason)),
                lost @ (BrowserError::StaleFence | BrowserError::DriverRestarted) => return Err(lost),
                _ => {}
            },
            Ok(Ok(())) => {}
        }
        self.link.client = Some(client.clone());
        self.link.frame = None;
        Ok(client)
    }

    /// The driver gives up before the agent does: only so is it free for the next command, and its answer the more precise one.
    fn driver_timeouts(&self) -> TimeoutConfiguration {
        let limits = &self.agent.limits;
        let page_load = PAGE_LOAD_MAX.min(limits.navigation * 4 / 5);
        TimeoutConfiguration::new(Some(SCRIPT_MAX.min(limits.command * 4 / 5)), Some(page_load), Some(Duration::ZERO))
    }

    /// One WebDriver command under its bound.
    pub async fn command<T, F, Work>(&mut self, name: &'static str, bound: Duration, work: F) -> Result<T, BrowserError>
    where
        F: FnOnce(Client) -> Work,
        Work: Future<Output = Result<T, CmdError>>,
    {
        let client = self.client().await?;
        self.link.round_trips += 1;
        let begun = Instant::now();
        match tokio::time::timeout(bound, work(client)).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => {
                // Were it the tab, the way back to the top says so.
                if is_discarded(&error) && name != TO_TOP && self.link.frame.as_ref().is_none_or(|at| !at.is_empty()) {
                    let frame = self.link.frame.take().unwrap_or_default();
                    return Err(BrowserError::FrameGone { frame: frame.join(" > ") });
                }
                let error = match from_command(name, &error) {
                    BrowserError::Timeout { command, .. } => BrowserError::Timeout { command, after: begun.elapsed() },
                    error => error,
                };
                if !error.leaves_the_browser_usable() {
                    self.link.client = None;
                }
                if let BrowserError::Dialog { text } = &error
                    && self.link.dialogs.len() < DIALOGS_KEPT_MAX
                {
                    self.link.dialogs.push(text.clone());
                }
                Err(error)
            }
            Err(_) => {
                self.link.client = None;
                Err(BrowserError::Timeout { command: name, after: bound })
            }
        }
    }

    pub async fn script(
        &mut self,
        name: &'static str,
        script: &'static str,
        arguments: Vec<Value>,
    ) -> Result<Value, BrowserError> {
        let bound = self.agent.limits.command;
        self.command(name, bound, |client| async move { client.execute(script, arguments).await }).await
    }

    pub async fn dom(&mut self, operation: &'static str, operands: &[&Value]) -> Result<Value, BrowserError> {
        let arguments =
            std::iter::once(json!(operation)).chain(operands.iter().map(|value| (*value).clone())).collect();
        self.script(operation, DOM_JS, arguments).await
    }

    /// The one element the selectors find, with its frame entered and itself scrolled to, and how it is.
    pub async fn find(&mut self, target: &Selectors) -> Result<(Found, Value), BrowserError> {
        let document = json!(self.document);
        // A frame may have gone since it was entered: then it is entered anew from the top, once.
        for _ in 0..2 {
            self.enter(&target.frame).await?;
            // One command finds the element and looks at the document, so that no other can come between: its elements die with it.
            let answer = self.dom("find", &[&json!(target.candidates), &document, &json!(target.frame.len())]).await;
            if matches!(answer, Err(BrowserError::FrameGone { .. })) {
                continue;
            }
            let answer = answer?;
            if answer["lost"] == json!(true) {
                self.link.frame = None;
                continue;
            }
            let missing = || BrowserError::NotFound { target: target.to_string() };
            let found = self.found(answer["element"].clone()).await?.ok_or_else(missing)?;
            return Ok((found, answer["state"].clone()));
        }
        Err(BrowserError::FrameGone { frame: target.frame.join(" > ") })
    }

    pub async fn found(&mut self, reference: Value) -> Result<Option<Found>, BrowserError> {
        let Some(id) = reference.as_object().and_then(|object| object.values().next()).and_then(Value::as_str) else {
            return Ok(None);
        };
        let element = Element::from_element_id(self.client().await?, id.to_owned().into());
        Ok(Some(Found { element, reference }))
    }

    pub async fn enter_top(&mut self) -> Result<(), BrowserError> {
        self.link.frame = None;
        let bound = self.agent.limits.command;
        let top = || SwitchToFrameParameters { id: FrameId::Top };
        let switch = move |client: Client| async move {
            client.issue_cmd(WebDriverCommand::<VoidWebDriverExtensionCommand>::SwitchToFrame(top())).await
        };
        self.command(TO_TOP, bound, switch).await?;
        self.link.frame = Some(Vec::new());
        Ok(())
    }

    /// From the document it is in into one of its frames.
    pub async fn enter_child(&mut self, frame: Found) -> Result<(), BrowserError> {
        self.link.frame = None;
        let bound = self.agent.limits.command;
        self.command("switch frame", bound, move |_| async move { frame.element.enter_frame().await }).await.map(drop)
    }

    pub async fn enter(&mut self, frame: &[String]) -> Result<(), BrowserError> {
        if self.link.frame.as_deref() == Some(frame) {
            return Ok(());
        }
        // On top it is for sure; in a frame the driver may be no more, without having said so.
        if self.link.frame.as_ref().is_none_or(|at| !at.is_empty()) {
            self.enter_top().await?;
        }
        for (depth, selector) in frame.iter().enumerate() {
            let gone = || BrowserError::FrameGone { frame: frame.join(" > ") };
            let answer = self.dom("find", &[&json!([selector]), &Value::Null, &json!(depth)]).await?;
            let child = self.found(answer["element"].clone()).await?.ok_or_else(gone)?;
            self.enter_child(child).await.map_err(|error| match error {
                BrowserError::NotFound { .. } | BrowserError::FrameGone { .. } => gone(),
                error => error,
            })?;
            self.link.frame = Some(frame[..=depth].to_vec());
        }
        Ok(())
    }
}
