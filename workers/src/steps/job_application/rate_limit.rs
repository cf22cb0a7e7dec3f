//! A site that wants fewer requests: everybody leaves it alone for as long as it says.

use std::time::Duration;

use valet_protocol::worker::TierQuestion;
use valet_workflows::job_application::steps::RATE_LIMITED;
use valet_workflows::tiers::Site;

use crate::browser::{BrowserAgent as _, WebDriverAgent};
use crate::runtime::{StepContext, StepError};

/// A site that says "too many requests" counts them by the minute as a rule.
const COOL_DOWN: Duration = Duration::from_mins(2);
/// Said in error: a site is asked again after this.
const COOL_DOWN_MAX: Duration = Duration::from_hours(24);
/// A browser is kept open for a site for so long; then another goes there later.
const KEEP_OPEN_MAX: Duration = Duration::from_mins(2);

/// Tells the engine, and ends the attempt.
pub(in crate::steps) async fn leave_alone(
    ctx: &StepContext,
    agent: &WebDriverAgent,
    job_url: Option<&str>,
) -> StepError {
    let said = agent.retry_after().await;
    let wait = said.unwrap_or(COOL_DOWN).clamp(Duration::from_secs(1), COOL_DOWN_MAX);
    let here = agent.current_url().await.unwrap_or_default();
    let mut sites: Vec<Site> = [Some(here.as_str()), job_url].into_iter().flatten().filter_map(Site::of).collect();
    sites.dedup();
    let why = if said.is_some() { "it said for how long" } else { "too many requests" };
    for site in sites {
        let what =
            TierQuestion::CoolDown { for_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX), why: why.to_owned() };
        match ctx.tiers(&site.name(), 0, what).await {
            Ok(_) => {}
            Err(error @ StepError::HandedBack) => return error,
            Err(error) => {
                tracing::warn!(run = %ctx.run(), site = site.name(), %error, "others are not told that the site wants quiet");
            }
        }
    }
    let message = format!("the site wants fewer requests: it is left alone for {} s", wait.as_secs());
    if wait <= KEEP_OPEN_MAX {
        StepError::retry_after(RATE_LIMITED, message, wait)
    } else {
        StepError::fail(RATE_LIMITED, message)
    }
}
