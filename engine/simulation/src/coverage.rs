//! What seeds met: a simulation that never sees a thing shows nothing about it.

use valet_core::decide::HOST_GONE;
use valet_core::journal::{AttemptEnd, Entry, HumanOutcome, Op, Resolution, RunOutcome};
use valet_core::step::StepFailure;

/// Kinds of journal entries that enough seeds must meet; a run's timeout is left out, no workflow has one yet.
pub const ENTRY_KINDS: [&str; 47] = [
    "started",
    "op_step",
    "op_sleep",
    "op_wait",
    "op_human",
    "op_child",
    "op_finally",
    "op_finally_now",
    "op_log",
    "op_emit",
    "op_status",
    "dropped",
    "step_done",
    "step_failed",
    "step_exhausted",
    "step_blocked",
    "step_in_doubt",
    "step_not_started",
    "step_host_gone",
    "timer_fired",
    "signal_taken",
    "wait_timed_out",
    "human_answered",
    "human_rejected",
    "human_timed_out",
    "child_ended",
    "held",
    "released",
    "attempt_failed",
    "attempt_lost",
    "attempt_handed_back",
    "step_stopped",
    "started_in_time",
    "signal_kept",
    "paused",
    "unpaused",
    "cancel_requested",
    "retry_requested",
    "input_changed",
    "skipped",
    "killed",
    "killed_with_cleanup",
    "stuck",
    "mended",
    "closing_succeeded",
    "closing_failed",
    "closing_cancelled",
];

/// The word for an entry in [`ENTRY_KINDS`].
pub(crate) fn kind(entry: &Entry) -> &'static str {
    match entry {
        Entry::Started { .. } => "started",
        Entry::Op { op, .. } => operation(op),
        Entry::Dropped { .. } => "dropped",
        Entry::Resolved { with, .. } => resolution(with),
        Entry::Held { .. } => "held",
        Entry::Released => "released",
        Entry::AttemptEnded { why: AttemptEnd::Failed(_), .. } => "attempt_failed",
        Entry::AttemptEnded { why: AttemptEnd::Lost, .. } => "attempt_lost",
        Entry::AttemptEnded { why: AttemptEnd::HandedBack, .. } => "attempt_handed_back",
        Entry::StepStopped { .. } => "step_stopped",
        Entry::StartedInTime { .. } => "started_in_time",
        Entry::SignalKept { .. } => "signal_kept",
        Entry::Paused { .. } => "paused",
        Entry::Unpaused { .. } => "unpaused",
        Entry::CancelRequested { .. } => "cancel_requested",
        Entry::RetryRequested { .. } => "retry_requested",
        Entry::InputChanged { .. } => "input_changed",
        Entry::Skipped { .. } => "skipped",
        Entry::Killed { cleanup: true, .. } => "killed_with_cleanup",
        Entry::Killed { cleanup: false, .. } => "killed",
        Entry::Stuck { .. } => "stuck",
        Entry::Mended { .. } => "mended",
        Entry::Closing { outcome: RunOutcome::Succeeded { .. } } => "closing_succeeded",
        Entry::Closing { outcome: RunOutcome::Failed { .. } } => "closing_failed",
        Entry::Closing { outcome: RunOutcome::Cancelled { .. } } => "closing_cancelled",
        Entry::Closing { outcome: RunOutcome::TimedOut { .. } } => "closing_timed_out",
        Entry::FinalizerStarted { .. } => "finalizer_started",
        Entry::Ended => "ended",
    }
}

fn operation(op: &Op) -> &'static str {
    match op {
        Op::Step(_) => "op_step",
        Op::Sleep { .. } => "op_sleep",
        Op::Wait { .. } => "op_wait",
        Op::Human { .. } => "op_human",
        Op::Child { .. } => "op_child",
        Op::Finally(_) => "op_finally",
        Op::FinallyNow { .. } => "op_finally_now",
        Op::Log { .. } => "op_log",
        Op::Emit { .. } => "op_emit",
        Op::Status { .. } => "op_status",
    }
}

fn resolution(with: &Resolution) -> &'static str {
    match with {
        Resolution::StepDone { .. } => "step_done",
        Resolution::StepFailed { failure, .. } => match failure {
            StepFailure::Failed(_) => "step_failed",
            StepFailure::Exhausted(_) => "step_exhausted",
            StepFailure::Blocked(_) => "step_blocked",
            StepFailure::InDoubt(_) => "step_in_doubt",
            StepFailure::NotStarted(why) if why.code == HOST_GONE => "step_host_gone",
            StepFailure::NotStarted(_) => "step_not_started",
            StepFailure::BadOutput(_) => "step_bad_output",
        },
        Resolution::TimerFired => "timer_fired",
        Resolution::SignalTaken => "signal_taken",
        Resolution::WaitTimedOut => "wait_timed_out",
        Resolution::Human(HumanOutcome::Answered { .. }) => "human_answered",
        Resolution::Human(HumanOutcome::Rejected { .. }) => "human_rejected",
        Resolution::Human(HumanOutcome::TimedOut) => "human_timed_out",
        Resolution::ChildEnded { .. } => "child_ended",
    }
}
