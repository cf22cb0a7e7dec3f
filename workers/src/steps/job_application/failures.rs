//! Errors of sandboxes and browsers as ends of a step.

use std::time::Duration;

use valet_workflows::job_application::steps::SANDBOX_LOST;

use crate::browser::BrowserError;
use crate::runtime::StepError;
use crate::sandbox::SandboxError;

/// A parked browser is a browser: room comes when a run ends.
const CAPACITY_AGAIN: Duration = Duration::from_secs(5);

pub(super) fn sandbox_error(error: SandboxError) -> StepError {
    match error {
        SandboxError::StaleFence { .. } => StepError::HandedBack,
        // Others end soon; until then the attempt costs nothing.
        SandboxError::Full { .. } => StepError::retry_after("no_capacity", error, CAPACITY_AGAIN),
        error if error.is_retryable() => StepError::retry("sandbox", error),
        error @ SandboxError::InvalidRequest(_) => StepError::fail("invalid_request", error),
        error => StepError::fail(SANDBOX_LOST, error),
    }
}

pub(super) fn browser_error(error: BrowserError) -> StepError {
    match error {
        BrowserError::StaleFence => StepError::HandedBack,
        BrowserError::Gone(_) => StepError::fail(SANDBOX_LOST, error),
        BrowserError::Blocked { .. } => StepError::fail("egress_refused", error),
        error => StepError::retry("browser", error),
    }
}
