//! The browser agent: what a step can do in a page, and its implementation over WebDriver.
//!
//! An agent reads pages as [`Snapshot`]s, carries out [`Action`]s that are plain data, and verifies what it wrote by reading it back. It decides
//! nothing about forms (see `form`) and never ends the browser: dropping an agent leaves the page as it is for the next holder.

mod act;
pub mod action;
mod action_log;
pub mod extract;
mod faults;
pub mod instruction;
mod limits;
mod pace;
mod reading;
mod session;
mod state;
mod take;
mod webdriver;

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use thiserror::Error;

pub use action::{Acted, Action, ActionKind, ActionValue, Instruction, Key, OptionChoice, Replayed, Selectors};
pub use action_log::ActionRecord;
pub use extract::{Extracted, ExtractedField, Provenance};
pub(crate) use faults::is_error_page;
pub use instruction::{Candidate, GrammarError, Unresolved, Words};
pub use limits::AgentLimits;
pub use pace::Pace;
pub use state::{SiteState, Unusable};
pub use take::{Fetched, Taken, Wanted};
pub use webdriver::WebDriverAgent;

use crate::form::Snapshot;

#[derive(Debug, Error)]
pub enum BrowserError {
    #[error("`{command}` was not answered within {after:?}")]
    Timeout { command: &'static str, after: Duration },
    /// The browser or its session is no more; only a new sandbox helps.
    #[error("the browser is gone: {0}")]
    Gone(String),
    /// Another holder took the browser over; this one must stop.
    #[error("another holder took this browser over")]
    StaleFence,
    /// The driver was replaced under this holder; the browser lives. Attach again and read the page: whether the last command was
    /// carried out is open.
    #[error("the browser has another driver; attach again")]
    DriverRestarted,
    /// It is not there, or no person could see it any more.
    #[error("{target} was not found on the page")]
    NotFound { target: String },
    /// The frame that held what was looked for went away, with all that is in it: read the page again.
    #[error("the frame {frame} is not on the page any more")]
    FrameGone { frame: String },
    #[error("{target} cannot be used: {reason}")]
    NotInteractable { target: String, reason: String },
    /// What was written is not what the page shows afterwards. The texts may be personal.
    #[error("the page did not take the value")]
    VerifyFailed { wanted: String, found: String },
    #[error("{0} is not supported")]
    Unsupported(String),
    /// The egress rule does not let the browser reach this host.
    #[error("the egress rule refuses {host}")]
    Blocked { host: String },
    #[error("cannot open the page: {0}")]
    Navigation(String),
    /// The page opened a dialog; it was dismissed.
    #[error("the page opened a dialog")]
    Dialog { text: String },
    #[error("the page's script failed: {0}")]
    Script(String),
    #[error("invalid {what}")]
    BadInput { what: &'static str },
    #[error("the instruction is not understood: {0}")]
    NotUnderstood(#[from] GrammarError),
    /// Nothing was done: several elements fit about equally well. Best first.
    #[error("several elements fit: {}", .candidates.iter().map(|one| format!("{} {:?}", one.role, one.name)).collect::<Vec<_>>().join(", "))]
    Ambiguous { candidates: Vec<Candidate> },
    #[error("the driver answered something unexpected: {0}")]
    Protocol(String),
}

impl BrowserError {
    /// Whether the same agent may go on after reading the page again.
    pub fn leaves_the_browser_usable(&self) -> bool {
        !matches!(self, Self::Gone(_) | Self::StaleFence | Self::DriverRestarted)
    }
}

/// A page that was opened.
#[derive(Clone, Debug)]
pub struct Page {
    pub url: String,
    pub title: String,
}

#[async_trait]
pub trait BrowserAgent: Send + Sync {
    /// Opens an `http` or `https` page and waits until it is quiet.
    async fn navigate(&self, url: &str) -> Result<Page, BrowserError>;

    async fn current_url(&self) -> Result<String, BrowserError>;

    /// Types into a text field and verifies it.
    async fn fill_field(&self, target: &Selectors, value: &str) -> Result<Acted, BrowserError>;

    async fn click_element(&self, target: &Selectors) -> Result<Acted, BrowserError>;

    /// `file` is a path on the browser's machine.
    async fn upload_file(&self, target: &Selectors, file: &Path) -> Result<Acted, BrowserError>;

    /// The named facts among those [`BrowserAgent::extract`] finds, by normalised label.
    async fn extract_data(&self, names: &[&str]) -> Result<Vec<ExtractedField>, BrowserError> {
        Ok(self.extract().await?.named(names))
    }

    /// What the page shows in the window, as PNG.
    async fn take_screenshot(&self) -> Result<Vec<u8>, BrowserError>;

    /// Carries out one action and verifies it. One in words ([`instruction`]) is looked for on the page as it is now.
    async fn act(&self, instruction: &Instruction) -> Result<Acted, BrowserError>;

    /// [`Self::act`] for an action that was kept: where its element is not where it was, the one that goes by its name now. What takes the
    /// place of the kept one is told.
    async fn replay(&self, action: &Action) -> Result<Replayed, BrowserError> {
        let lost = match self.act(&action.clone().into()).await {
            Ok(acted) => return Ok(Replayed { acted, healed: None }),
            Err(lost @ (BrowserError::NotFound { .. } | BrowserError::FrameGone { .. })) => lost,
            Err(error) => return Err(error),
        };
        let Some(healed) = instruction::heal(&self.snapshot().await?, action) else { return Err(lost) };
        let acted = self.act(&healed.clone().into()).await?;
        Ok(Replayed { acted, healed: Some(healed) })
    }

    /// [`Self::act`] in the document, of the page or of the target's frame, that was loaded at this time ([`Snapshot::loaded_at_of`]) and in no
    /// other: where another one has taken its place, nothing is touched and the answer is [`BrowserError::NotFound`].
    async fn act_on(&self, loaded_at: f64, instruction: &Instruction) -> Result<Acted, BrowserError>;

    /// Facts the page states about itself: structured data and labelled values.
    async fn extract(&self) -> Result<Extracted, BrowserError> {
        Ok(extract::extract(&self.snapshot().await?))
    }

    /// What could be done here: every visible, enabled control, button and link.
    async fn observe(&self) -> Result<Vec<Action>, BrowserError> {
        Ok(action::observe(&self.snapshot().await?))
    }

    /// Reads the page, with its frames and open shadow roots.
    async fn snapshot(&self) -> Result<Snapshot, BrowserError>;

    /// Waits until the page and its frames have loaded and stopped changing, and until what the page says it is loading is there, within the
    /// bounds of [`AgentLimits`]; a page that never rests is taken as it is.
    async fn settle(&self) -> Result<(), BrowserError>;

    /// What dialogs of the page said since this was last asked; they were dismissed.
    async fn take_dialogs(&self) -> Vec<String> {
        Vec::new()
    }

    fn limits(&self) -> AgentLimits {
        AgentLimits::default()
    }

    /// Visible text of the page, bounded.
    async fn text_excerpt(&self) -> Result<String, BrowserError> {
        Ok(self.snapshot().await?.text)
    }
}
