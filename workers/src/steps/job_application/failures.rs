//! Errors of sandboxes and browsers as ends of a step.

use valet_workflows::job_application::steps::SANDBOX_LOST;

use crate::browser::BrowserError;
use crate::runtime::StepError;
use crate::sandbox::SandboxError;

pub(super) fn sandbox_error(error: SandboxError) -> StepError {
    match error {
        SandboxError::StaleFence { .. } => StepError::HandedBack,
        error if error.is_disk_full() => {
            let why = format!("the disk of this machine is full: free some of it, or lower its sandboxes; {error}");
            StepError::retry("disk_full", why)
        }
        error if let Some(again_in) = error.again_in() => StepError::retry_after("sandbox", error, again_in),
        error if error.is_retryable() => StepError::retry("sandbox", error),
        error @ (SandboxError::Auth { .. } | SandboxError::Quota { .. } | SandboxError::Unsupported { .. }) => {
            StepError::fail("provider_refused", error)
        }
        error @ SandboxError::InvalidRequest(_) => StepError::fail("invalid_request", error),
        error => StepError::fail(SANDBOX_LOST, error),
    }
}

pub(in crate::steps) fn browser_error(error: BrowserError) -> StepError {
    match error {
        BrowserError::StaleFence => StepError::HandedBack,
        BrowserError::Gone(_) => StepError::fail(SANDBOX_LOST, error),
        BrowserError::Blocked { .. } => StepError::fail("egress_refused", error),
        error => StepError::retry("browser", error),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use uuid::Uuid;

    use super::*;
    use crate::sandbox::{FailureClass, SandboxId};

    #[test]
    fn a_full_disk_is_told_as_what_it_is_and_speaks_against_no_provider() {
        let full = |kind: io::ErrorKind| SandboxError::Io {
            id: SandboxId(Uuid::nil()),
            action: "make the folder of",
            source: kind.into(),
        };
        assert_eq!(full(io::ErrorKind::StorageFull).class(), FailureClass::Capacity);
        assert_eq!(full(io::ErrorKind::PermissionDenied).class(), FailureClass::Provider);
        let told = format!("{:?}", sandbox_error(full(io::ErrorKind::StorageFull)));
        assert!(told.contains("disk_full") && told.contains("free some of it"), "{told}");
    }
}
