//! Reading a page until it says something: pages built by scripts show their parts one after the other.

use std::time::{Duration, Instant};

use super::applicant::Applicant;
use super::page_kind::PageKind;
use super::plan::plan;
use super::snapshot::Snapshot;
use crate::browser::{BrowserAgent, BrowserError};

const POLL: Duration = Duration::from_millis(150);
/// Readings that fall between two documents, or on a dialog, before the page is given up: each dialog ends one.
const FAILURES_MAX: usize = 5;

/// Waits until the page rests and reads it; one that shows nothing to go on with is looked at again, for [`crate::browser::AgentLimits::loading`]
/// at most, and then taken as it is.
pub async fn read_page(agent: &dyn BrowserAgent) -> Result<Snapshot, BrowserError> {
    let begun = Instant::now();
    let mut failures = 0;
    loop {
        agent.settle().await?;
        match agent.snapshot().await {
            Ok(page) if says_something(&page) || begun.elapsed() >= agent.limits().loading => return Ok(page),
            Ok(_) => {}
            Err(error) if !is_passing(&error) || failures == FAILURES_MAX => return Err(error),
            Err(_) => failures += 1,
        }
        tokio::time::sleep(POLL).await;
    }
}

/// One reading; `None` where the page was between two documents or behind a dialog.
pub(super) async fn read_once(agent: &dyn BrowserAgent) -> Result<Option<Snapshot>, BrowserError> {
    agent.settle().await?;
    match agent.snapshot().await {
        Ok(page) => Ok(Some(page)),
        Err(error) if is_passing(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Documents and frames come and go; a browser that does not answer in time will not do so the next moment either.
fn is_passing(error: &BrowserError) -> bool {
    matches!(
        error,
        BrowserError::Dialog { .. }
            | BrowserError::NotFound { .. }
            | BrowserError::FrameGone { .. }
            | BrowserError::Script(_)
            | BrowserError::Protocol(_)
    )
}

fn says_something(page: &Snapshot) -> bool {
    let plan = plan(page, &Applicant::default());
    plan.page.kind != PageKind::Unknown || plan.next.is_some()
}
