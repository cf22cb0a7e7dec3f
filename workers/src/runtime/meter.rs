//! The metrics of a worker: their names and labels in one place. No label holds an id or anything of a user's.

use std::time::Duration;

use metrics::{counter, gauge, histogram};
use valet_core::step::Outcome;

pub(super) fn claimed(answer: &'static str) {
    counter!("valet_worker_claims_total", "answer" => answer).increment(1);
}

pub(super) fn finished(answer: &'static str) {
    counter!("valet_worker_finishes_total", "answer" => answer).increment(1);
}

pub(super) fn handed_over() {
    counter!("valet_worker_hand_overs_total").increment(1);
}

pub(super) fn tried_again(call: &'static str) {
    counter!("valet_worker_call_retries_total", "call" => call).increment(1);
}

pub(super) fn heartbeat(answer: &'static str) {
    counter!("valet_worker_heartbeats_total", "answer" => answer).increment(1);
}

pub(super) fn step_ended(step: &str, outcome: &'static str, took: Duration) {
    counter!("valet_worker_steps_total", "step" => step.to_owned(), "outcome" => outcome).increment(1);
    histogram!("valet_worker_step_seconds", "step" => step.to_owned()).record(took.as_secs_f64());
}

pub(super) fn batch_begun(step: &str, size: usize) {
    histogram!("valet_worker_batch_size", "step" => step.to_owned()).record(size as f64);
}

pub(super) fn slots(free: usize, all: u32) {
    gauge!("valet_worker_slots_free").set(free as f64);
    gauge!("valet_worker_slots").set(all);
}

/// The word for an outcome, as it is on the wire.
pub(super) fn outcome_word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Done { .. } => "done",
        Outcome::Retry { .. } => "retry",
        Outcome::Fail { .. } => "fail",
        Outcome::Blocked { .. } => "blocked",
        Outcome::Cancelled => "cancelled",
        Outcome::HandedBack => "handed_back",
        Outcome::Lost => "lost",
    }
}
