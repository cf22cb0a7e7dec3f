//! The visitor that a site knows already: what it kept in the subject's last browser is put into the next one, so that who signed in once
//! need not sign in again.
//!
//! It is kept as an item of the subject, sealed, by the site's name; older versions stay for a while. Nothing that goes wrong with it stops
//! an application: without it a site asks who one is.

use std::time::Duration;

use serde_json::Value;
use tokio::time::timeout;
use valet_workflows::tiers::Site;

use super::Browsers;
use super::failures::browser_error;
use crate::browser::{BrowserAgent as _, BrowserError, SiteState, WebDriverAgent};
use crate::form::{self, ObstacleKind, Snapshot};
use crate::gate::state::unix_ms;
use crate::runtime::{StepContext, StepError};

/// As items of a subject are called.
const KIND: &str = "browser_state";
/// Sites end a session that was not used for longer.
const OLDEST: Duration = Duration::from_hours(30 * 24);
/// What an item may have.
const STATE_BYTES_MAX: usize = 500 * 1024;
/// An application waits no longer for either.
const MOVE_MAX: Duration = Duration::from_secs(10);

/// The site whose state was put into this browser, by this step.
#[derive(Default)]
pub(super) struct Known(Option<String>);

impl Browsers {
    /// Before the first page of a new browser.
    pub(super) async fn make_known(
        &self,
        ctx: &StepContext,
        agent: &WebDriverAgent,
        job_url: &str,
    ) -> Result<Known, StepError> {
        let Some(site) = Site::of(job_url).map(|site| site.name()).filter(|_| self.keeps_states) else {
            return Ok(Known::default());
        };
        // One that shows a page has its own state, which is newer.
        if agent.current_url().await.map_err(browser_error)?.starts_with("http") {
            return Ok(Known::default());
        }
        let Some(kept) = ctx.item(KIND, &site).await?.filter(|kept| !kept.is_null()) else {
            told("none");
            return Ok(Known::default());
        };
        let state = match SiteState::read(kept, &site, now(), OLDEST) {
            Ok(state) => state,
            Err(why) => {
                tracing::warn!(run = %ctx.run(), site, %why, "the state that a site had in the last browser is not used");
                told("unusable");
                ctx.keep_item(KIND, &site, Value::Null).await?;
                return Ok(Known::default());
            }
        };
        match within(agent.put_state(&state)).await {
            Ok(()) => {
                told("put");
                Ok(Known(Some(site)))
            }
            Err(error @ (BrowserError::StaleFence | BrowserError::Gone(_))) => Err(browser_error(error)),
            Err(error) => {
                tracing::warn!(run = %ctx.run(), site, %error, "the browser does not take what the site had in the last one");
                told("failed");
                Ok(Known::default())
            }
        }
    }

    /// A site that asks who one is all the same has ended what it kept.
    pub(super) async fn doubt_known(
        &self,
        ctx: &StepContext,
        page: &Snapshot,
        known: &mut Known,
    ) -> Result<(), StepError> {
        if known.0.is_none() || !form::obstacle(page).is_some_and(|asked| asked.kind == ObstacleKind::Login) {
            return Ok(());
        }
        let Some(site) = known.0.take() else { return Ok(()) };
        told("stale");
        ctx.keep_item(KIND, &site, Value::Null).await
    }

    /// After a page that the visitor got to.
    pub(super) async fn keep_state(&self, ctx: &StepContext, agent: &WebDriverAgent) {
        if !self.keeps_states {
            return;
        }
        let state = match within(agent.take_state(now())).await {
            Ok(Some(state)) if !state.is_empty() => state,
            Ok(_) => return,
            Err(error) => {
                tracing::info!(run = %ctx.run(), %error, "what the site keeps in the browser is not known");
                return;
            }
        };
        let Some(site) = state.site() else { return };
        let Some(kept) = [state.clone(), state.without_storage()].into_iter().find_map(fitting) else {
            tracing::warn!(run = %ctx.run(), site, "the site keeps too much in the browser: it is not kept");
            return told("too_large");
        };
        match ctx.keep_item(KIND, &site, kept).await {
            Ok(()) => told("kept"),
            Err(error) => {
                tracing::info!(run = %ctx.run(), site, %error, "what the site keeps in the browser is not kept");
            }
        }
    }
}

fn fitting(state: SiteState) -> Option<Value> {
    let kept = serde_json::to_value(state).ok()?;
    (kept.to_string().len() <= STATE_BYTES_MAX).then_some(kept)
}

async fn within<T>(work: impl Future<Output = Result<T, BrowserError>>) -> Result<T, BrowserError> {
    timeout(MOVE_MAX, work).await.unwrap_or(Err(BrowserError::Timeout { command: "site state", after: MOVE_MAX }))
}

fn told(what: &'static str) {
    metrics::counter!("valet_site_states_total", "what" => what).increment(1);
}

/// Compared with what sites and other machines say, so the wall's clock.
fn now() -> Duration {
    Duration::from_millis(unix_ms())
}
