//! One attempt: a handler runs under its time limit, its panics are caught, and how it ended becomes an [`Outcome`].
//!
//! The one place where panics, time limits, stops and errors are folded into outcomes.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tracing::Instrument;
use valet_core::payload::Payload;
use valet_core::step::Outcome;
use valet_protocol::worker::Grant;

use super::context::StepContext;
use super::core::Core;
use super::hold::{Hold, StopReason};
use super::meter;
use super::step_error::{StepError, failure};

/// How the handler ended, before it is judged.
enum Ended {
    Returned(Result<Payload, StepError>),
    Panicked(String),
    TimedOut {
        limit_ms: u64,
    },
    /// The handler said nothing for too long.
    Silent {
        limit_ms: u64,
    },
    /// It had to stop, and its grace ran out.
    Dropped,
}

/// Runs the step that was granted. `None`: nobody will take the result, the session ended.
pub(super) async fn run(core: &Core, grant: Grant, hold: &Arc<Hold>) -> Option<Outcome> {
    let name = grant.name.clone();
    let span = tracing::info_span!(
        "step",
        worker = core.config.name,
        run = %hold.run,
        seq = %hold.seq,
        attempt = %hold.attempt,
        step = name
    );
    async {
        let began = tokio::time::Instant::now();
        let ended = handle(core, grant, hold).await;
        let outcome = judge(ended, hold)?;
        let word = meter::outcome_word(&outcome);
        meter::step_ended(&name, word, began.elapsed());
        let ms = began.elapsed().as_millis() as u64;
        tracing::debug!(outcome = word, ms, "attempt ended");
        if let Outcome::Retry { error, .. } | Outcome::Fail { error } = &outcome {
            // The message may hold what a page says; the code is ours.
            tracing::info!(outcome = word, code = error.code, ms, "attempt failed");
            tracing::debug!(message = error.message, "why the attempt failed");
        }
        Some(outcome)
    }
    .instrument(span)
    .await
}

async fn handle(core: &Core, grant: Grant, hold: &Arc<Hold>) -> Ended {
    let Some(handler) = core.handlers.get(&grant.name).cloned() else {
        let message = format!("worker `{}` has no handler for the step `{}`", core.config.name, grant.name);
        return Ended::Returned(Err(StepError::retry("unknown_step", message)));
    };
    let limit_ms = grant.timeout_ms;
    let silence_ms = grant.heartbeat_timeout_ms;
    let input = grant.input.clone();
    let ctx = StepContext::new(grant, Arc::clone(hold), Arc::clone(&core.engines));
    let mut work = AssertUnwindSafe(async move { handler.run(ctx, input).await }).catch_unwind().boxed();
    let ended = tokio::select! {
        biased;
        returned = &mut work => returned.map_or_else(|panic| Ended::Panicked(panic_text(panic.as_ref())), Ended::Returned),
        () = hold.stopped() => match tokio::time::timeout(core.config.grace, &mut work).await {
            Ok(Ok(returned)) => Ended::Returned(returned),
            Ok(Err(panic)) => Ended::Panicked(panic_text(panic.as_ref())),
            Err(_) => Ended::Dropped,
        },
        () = hold.took_longer_than(Duration::from_millis(limit_ms)) => Ended::TimedOut { limit_ms },
        limit_ms = silent(hold, silence_ms) => Ended::Silent { limit_ms },
    };
    // What a handler keeps may panic when it is dropped; that must not cost the slot.
    if let Err(panic) = std::panic::catch_unwind(AssertUnwindSafe(|| drop(work))) {
        tracing::warn!(panic = panic_text(panic.as_ref()), "a handler panicked while it was dropped");
    }
    ended
}

/// Waits until the handler said nothing for as long as it may; for ever where it may be silent.
async fn silent(hold: &Hold, limit_ms: Option<u64>) -> u64 {
    let Some(limit_ms) = limit_ms else { return std::future::pending().await };
    hold.silent_for(Duration::from_millis(limit_ms)).await;
    limit_ms
}

fn judge(ended: Ended, hold: &Hold) -> Option<Outcome> {
    let stop = hold.stop_reason();
    if stop == Some(StopReason::SessionEnded) {
        return None;
    }
    Some(match ended {
        Ended::Returned(Ok(output)) => Outcome::Done { output },
        Ended::Returned(Err(StepError::Fail(error))) => Outcome::Fail { error },
        Ended::Returned(Err(StepError::Blocked(reason))) => Outcome::Blocked { reason },
        // A handler that says what became of its effect is believed. Otherwise a retry after a stop is how it stopped.
        Ended::Returned(Err(StepError::Retry { failure: error, after })) if stop.is_none() || hold.effect_begun() => {
            Outcome::Retry { error, after_ms: after.map(|after| after.as_millis() as u64) }
        }
        Ended::Panicked(text) => {
            tracing::warn!(panic = text, "the handler panicked");
            unsaid(hold, Outcome::Retry { error: failure("panicked", text), after_ms: None })
        }
        Ended::TimedOut { limit_ms } => {
            let error = failure("timed_out", format_args!("the attempt took longer than {limit_ms} ms"));
            unsaid(hold, Outcome::Retry { error, after_ms: None })
        }
        Ended::Silent { limit_ms } => {
            let message =
                format_args!("the handler said nothing for {limit_ms} ms: neither progress nor that it is alive");
            unsaid(hold, Outcome::Retry { error: failure("heartbeat_timeout", message), after_ms: None })
        }
        Ended::Returned(Err(StepError::Retry { .. } | StepError::HandedBack)) | Ended::Dropped => {
            unsaid(hold, if stop == Some(StopReason::Told) { Outcome::Cancelled } else { Outcome::HandedBack })
        }
    })
}

/// The outcome of an attempt whose handler did not say what became of its effect. If the effect had begun it may have
/// happened: then the step must not be tried again as if nothing had been done.
fn unsaid(hold: &Hold, otherwise: Outcome) -> Outcome {
    if !hold.effect_begun() {
        return otherwise;
    }
    let why = meter::outcome_word(&otherwise);
    let message = format!("the attempt ended ({why}) after its effect had begun: whether it happened is not known");
    Outcome::Fail { error: failure("in_doubt", message) }
}

pub(super) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "the handler panicked without a message".to_owned())
}
