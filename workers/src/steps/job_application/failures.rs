//! Errors of sandboxes and browsers as ends of a step.

use valet_workflows::job_application::steps::SANDBOX_LOST;

use crate::browser::BrowserError;
use crate::runtime::StepError;
use crate::sandbox::SandboxError;

pub(super) fn sandbox_error(error: SandboxError) -> StepError {
    match error {
        SandboxError::StaleFence { .. } => StepError::HandedBack,
        error if let Some(again_in) = error.again_in() => StepError::retry_after("sandbox", error, again_in),
        error if error.is_retryable() => StepError::retry("sandbox", error),
        error @ (SandboxError::Auth { .. } | SandboxError::Quota { .. } | SandboxError::Unsupported { .. }) => {
            StepError::fail("provider_refused", error)
        }
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
