//! The agent over WebDriver, through the sandbox's gate.
//!
//! The client is made persistent right after every attach, so that dropping it never ends the session. A WebDriver client works on one
//! command at a time and knows no timeout: after one of ours it is dropped and the session attached anew.

use std::path::Path;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use serde_json::json;
use tokio::sync::Mutex;

use super::action_log::{ActionLog, ActionRecord};
use super::faults::{is_error_page, is_refused_by_proxy};
use super::instruction::{self, Unresolved};
use super::session::{Link, Session};
use super::{
    Acted, Action, ActionKind, ActionValue, AgentLimits, BrowserAgent, BrowserError, Instruction, Page, Selectors,
};
use crate::form::Snapshot;
use crate::gate::forward::REFUSED_TITLE;
use crate::sandbox::Attachment;

/// Dialogs in the way of opening a page that are dismissed; a page that opens more does nothing else.
const DIALOGS_MAX: usize = 5;

const ADDRESS_JS: &str = concat!(
    include_str!("loading.js"),
    "return [isErrorPage() ? document.documentURI : location.href, document.title, (document.body || {}).innerText || '']"
);

/// Milliseconds; seconds and dates are both allowed.
const RETRY_AFTER_JS: &str = "
    const request = new XMLHttpRequest();
    request.open('HEAD', location.href, false);
    request.send();
    const told = (request.getResponseHeader('Retry-After') || '').trim();
    const ms = /^[0-9]+$/.test(told) ? Number(told) * 1000 : Date.parse(told) - Date.now();
    return ms >= 0 ? Math.round(ms) : null";

pub struct WebDriverAgent {
    pub(super) attachment: Attachment,
    pub(super) limits: AgentLimits,
    link: Mutex<Link>,
    log: ActionLog,
}

impl WebDriverAgent {
    /// Attaches to the sandbox's session and makes sure that it answers.
    pub async fn attach(attachment: Attachment, limits: AgentLimits) -> Result<Self, BrowserError> {
        let agent = Self { attachment, limits, link: Mutex::default(), log: ActionLog::begin() };
        let mut session = agent.session().await;
        session.client().await?;
        drop(session);
        Ok(agent)
    }

    /// What was done since this was last asked.
    pub fn take_log(&self) -> Vec<ActionRecord> {
        self.log.take()
    }

    /// Commands sent to the driver so far: each costs some milliseconds, which is why a page is read by few.
    pub async fn round_trips(&self) -> u64 {
        self.session().await.link.round_trips
    }

    /// The document on top as HTML, as it is now.
    pub async fn page_source(&self) -> Result<String, BrowserError> {
        let bound = self.limits.command;
        let mut session = self.session().await;
        session.enter(&[]).await?;
        session.command("source", bound, |client| async move { client.source().await }).await
    }

    /// How long the page's site wants to be left alone, where it says so (RFC 9110 §10.2.3). Only the answer's head tells, which the page
    /// does not know: it is asked for once more.
    pub async fn retry_after(&self) -> Option<Duration> {
        let mut session = self.session().await;
        session.enter(&[]).await.ok()?;
        let told = session.script("retry_after", RETRY_AFTER_JS, Vec::new()).await.ok()?;
        told.as_u64().map(Duration::from_millis)
    }

    pub fn attachment(&self) -> &Attachment {
        &self.attachment
    }

    pub(super) async fn session(&self) -> Session<'_> {
        Session { agent: self, link: self.link.lock().await, document: None }
    }
}

impl Session<'_> {
    /// Opens the page. One whose text is there while something in it never ends loading is open.
    pub(super) async fn open(&mut self, url: &url::Url) -> Result<(), BrowserError> {
        let bound = self.limits().navigation;
        let before = self.document_now().await.map(|(loaded_at, _)| loaded_at);
        let mut dialogs = 0;
        loop {
            let opened = self
                .command("navigate", bound, |client| {
                    let url = url.clone();
                    async move { client.goto(url.as_str()).await }
                })
                .await;
            let error = match opened {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            match error {
                // It belongs to the page that was there before, or to this one; it is dismissed by now.
                BrowserError::Dialog { .. } if dialogs < DIALOGS_MAX => dialogs += 1,
                BrowserError::Timeout { .. } => {
                    let now = self.document_now().await;
                    let open =
                        now.is_some_and(|(loaded_at, parsed)| parsed && before.is_some() && before != Some(loaded_at));
                    return if open { Ok(()) } else { Err(error) };
                }
                error => return Err(error),
            }
        }
    }

    async fn carry_out(&mut self, instruction: &Instruction) -> Result<Acted, BrowserError> {
        let words = match instruction {
            Instruction::Action(action) => return self.act_logged(action).await,
            Instruction::Words(words) => words,
        };
        let command = instruction::parse(words)?;
        let page = self.read_page().await?;
        let actions = instruction::resolve(&page, &command).map_err(|why| unresolved(why, &command.name))?;
        let mut last = Acted { verified: true, complaint: String::new() };
        for action in &actions {
            last = self.act_logged(action).await?;
        }
        Ok(last)
    }

    async fn act_logged(&mut self, action: &Action) -> Result<Acted, BrowserError> {
        let begun = Instant::now();
        let acted = self.act(action).await;
        self.agent.log.add(action, begun, acted.as_ref());
        acted
    }

    /// When the document on top was loaded, and whether all of its text has come; `None` where nothing answers.
    async fn document_now(&mut self) -> Option<(f64, bool)> {
        self.enter_top().await.ok()?;
        let now = self.dom("document", &[]).await.ok()?;
        Some((now["loaded_at"].as_f64()?, now["parsed"] == json!(true)))
    }
}

#[async_trait]
impl BrowserAgent for WebDriverAgent {
    async fn navigate(&self, url: &str) -> Result<Page, BrowserError> {
        let parsed = url::Url::parse(url).map_err(|_| BrowserError::BadInput { what: "address" })?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(BrowserError::BadInput { what: "address" });
        }
        let mut session = self.session().await;
        let host = parsed.host_str().unwrap_or_default().to_owned();
        session.open(&parsed).await.map_err(|error| match error {
            BrowserError::Navigation(reason) if is_refused_by_proxy(&reason) => {
                BrowserError::Blocked { host: host.clone() }
            }
            error => error,
        })?;
        session.settle().await?;
        session.enter(&[]).await?;
        let shown = session.script("address", ADDRESS_JS, Vec::new()).await?;
        let text = |at: usize| shown[at].as_str().unwrap_or_default().to_owned();
        // The driver tells of most such pages itself, but not of endless redirects.
        if is_error_page(&text(0)) {
            let reason: String = text(2).split_whitespace().collect::<Vec<_>>().join(" ").chars().take(200).collect();
            return Err(BrowserError::Navigation(reason));
        }
        if text(1) == REFUSED_TITLE {
            let host = url::Url::parse(&text(0)).ok().and_then(|url| url.host_str().map(ToOwned::to_owned));
            return Err(BrowserError::Blocked { host: host.unwrap_or_default() });
        }
        Ok(Page { url: text(0), title: text(1) })
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
        self.session().await.carry_out(instruction).await
    }

    async fn act_on(&self, loaded_at: f64, instruction: &Instruction) -> Result<Acted, BrowserError> {
        let mut session = self.session().await;
        session.document = Some(loaded_at);
        session.carry_out(instruction).await
    }

    async fn snapshot(&self) -> Result<Snapshot, BrowserError> {
        self.session().await.read_page().await
    }

    async fn settle(&self) -> Result<(), BrowserError> {
        self.session().await.settle().await
    }

    async fn take_dialogs(&self) -> Vec<String> {
        std::mem::take(&mut self.session().await.link.dialogs)
    }

    fn limits(&self) -> AgentLimits {
        self.limits
    }
}

fn unresolved(why: Unresolved, name: &str) -> BrowserError {
    match why {
        Unresolved::Ambiguous(candidates) => BrowserError::Ambiguous { candidates },
        Unresolved::NotFound(_) => BrowserError::NotFound { target: format!("{name:?}") },
        Unresolved::Unfit(found) => {
            BrowserError::NotInteractable { target: found.name, reason: "it does not take this value".into() }
        }
    }
}
