//! How a handler says that its step did not succeed, and how other errors become one of these.

use std::fmt;
use std::time::Duration;

use valet_core::step::Failure;

use super::bounds::FAILURE_TEXT_CHARS_MAX;
use super::session::Halted;
use super::transport::TransportError;

/// The closed set of ways in which a handler ends other than with an output.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StepError {
    /// Another attempt may succeed; after the policy's back-off, or after `after`.
    #[error("{failure}")]
    Retry { failure: Failure, after: Option<Duration> },
    /// Trying again will not help.
    #[error("{0}")]
    Fail(Failure),
    /// The site or a limit refuses us; the workflow code decides.
    #[error("blocked: {0}")]
    Blocked(Failure),
    /// Nothing was done; the step is given back and uses no attempt.
    #[error("handed back")]
    HandedBack,
}

impl StepError {
    /// A failure that another attempt may not meet. `error` is shown with `{}`; see [`OrStepError`] for its whole chain.
    pub fn retry(code: impl Into<String>, error: impl fmt::Display) -> Self {
        Self::Retry { failure: failure(code, error), after: None }
    }

    pub fn retry_after(code: impl Into<String>, error: impl fmt::Display, after: Duration) -> Self {
        Self::Retry { failure: failure(code, error), after: Some(after) }
    }

    pub fn fail(code: impl Into<String>, message: impl fmt::Display) -> Self {
        Self::Fail(failure(code, message))
    }

    pub fn blocked(code: impl Into<String>, message: impl fmt::Display) -> Self {
        Self::Blocked(failure(code, message))
    }

    /// Adds evidence for the workflow code or the operator.
    pub fn with_details<T: serde::Serialize>(self, details: &T) -> Self {
        match self {
            Self::Retry { failure, after } => Self::Retry { failure: failure.with_details(details), after },
            Self::Fail(failure) => Self::Fail(failure.with_details(details)),
            Self::Blocked(failure) => Self::Blocked(failure.with_details(details)),
            Self::HandedBack => Self::HandedBack,
        }
    }
}

/// A failure whose text has a bound.
pub(super) fn failure(code: impl Into<String>, message: impl fmt::Display) -> Failure {
    Failure::new(code, message.to_string().chars().take(FAILURE_TEXT_CHARS_MAX).collect::<String>())
}

/// Who may not act does not: what was not begun is given back.
impl From<Halted> for StepError {
    fn from(_: Halted) -> Self {
        Self::HandedBack
    }
}

/// A blob or effect call that failed after its own retries.
impl From<TransportError> for StepError {
    fn from(error: TransportError) -> Self {
        match error {
            TransportError::Rejected { .. } => Self::fail("engine_rejected", error),
            _ => Self::retry("engine_unreachable", error),
        }
    }
}

/// Turns any error into a [`StepError`] where it is met: `page.click().await.or_retry("click_failed")?`.
pub trait OrStepError<T> {
    fn or_retry(self, code: &str) -> Result<T, StepError>;
    fn or_fail(self, code: &str) -> Result<T, StepError>;
    fn or_blocked(self, code: &str) -> Result<T, StepError>;
}

impl<T, E: std::error::Error> OrStepError<T> for Result<T, E> {
    fn or_retry(self, code: &str) -> Result<T, StepError> {
        self.map_err(|error| StepError::retry(code, Chain(&error)))
    }

    fn or_fail(self, code: &str) -> Result<T, StepError> {
        self.map_err(|error| StepError::fail(code, Chain(&error)))
    }

    fn or_blocked(self, code: &str) -> Result<T, StepError> {
        self.map_err(|error| StepError::blocked(code, Chain(&error)))
    }
}

/// An error with its sources, on one line.
pub(super) struct Chain<'a>(pub &'a dyn std::error::Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the page is gone")]
    struct Outer(#[source] std::fmt::Error);

    #[test]
    fn an_error_keeps_its_sources_and_its_text_has_a_bound() {
        let met: Result<(), _> = Err(Outer(std::fmt::Error));
        let StepError::Retry { failure, after: None } = met.or_retry("gone").unwrap_err() else {
            panic!("not a retry")
        };
        assert_eq!(failure.code, "gone");
        assert!(failure.message.starts_with("the page is gone: an error occurred"), "{}", failure.message);

        let StepError::Fail(long) = StepError::fail("long", "x".repeat(100_000)) else { panic!("not a fail") };
        assert_eq!(long.message.len(), FAILURE_TEXT_CHARS_MAX);
    }
}
