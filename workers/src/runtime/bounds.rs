//! Every bound of the worker runtime, with its unit in the name and its reason above it.

use std::time::Duration;

/// Slots of one worker, at most: each may hold a browser, a heartbeat lists all of them, and more are more processes.
pub const SLOTS_MAX: u32 = 4_096;

/// Queues of one worker, at most: each has a puller with a connection of its own.
pub const QUEUES_MAX: usize = valet_core::bounds::WORKER_QUEUES_MAX;

/// Time a cancelled handler gets to put things in order before its future is dropped.
pub const GRACE: Duration = Duration::from_secs(5);

/// Time that running steps get to end by themselves once the worker drains.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// Time after the grace of a drain for the last finishes to be answered; what is not by then is left to the lease.
pub(super) const LAST_FINISHES: Duration = Duration::from_secs(10);

/// A worker suspends this long before its lease may end: the spread between its clock and the database's, and the time
/// an action that has just begun may take.
pub(super) const SUSPEND_EARLY: Duration = Duration::from_secs(1);

/// Requests of one kind in flight to one engine: enough to hide the round trip, few enough that batches form.
pub const REQUESTS_IN_FLIGHT: usize = 3;

/// A claim, finish or effect call. An engine that needs longer is stuck, and another will answer.
pub(super) const CALL_LIMIT: Duration = Duration::from_secs(10);

/// A heartbeat call. Several must fit into a lease, so that one stuck engine does not suspend the worker.
pub(super) const HEARTBEAT_LIMIT: Duration = Duration::from_secs(2);

/// Opening or closing a session.
pub(super) const SESSION_LIMIT: Duration = Duration::from_secs(5);

/// A file of some dozen megabytes over a slow line.
pub(super) const BLOB_LIMIT: Duration = Duration::from_mins(1);

/// Tries of a blob call, or of one for a subject's item, over all engines; then the step's own retries take over.
pub(super) const BLOB_TRIES: usize = 4;

/// Shortest and longest pause between two tries of the same message.
pub(super) const BACKOFF_MIN: Duration = Duration::from_millis(50);
pub(super) const BACKOFF_MAX: Duration = Duration::from_secs(2);

/// How long an engine that failed is only asked when no other is left.
pub(super) const ENGINE_AVOIDED: Duration = Duration::from_secs(2);

/// Shortest time between two heartbeats, so that nudges and failing engines cannot make a storm of them.
pub(super) const HEARTBEAT_MIN: Duration = Duration::from_millis(100);

/// Progress details of one step: a summary for people and for the next attempt, not a document.
pub const PROGRESS_BYTES_MAX: usize = 64 * 1024;

/// Progress in one heartbeat; what is left goes with the next. Heartbeats must stay quick, they keep the leases.
pub(super) const HEARTBEAT_PROGRESS_BYTES_MAX: usize = 1024 * 1024;

/// Text of a failure. Chains of errors of a browser can be pages long.
pub(super) const FAILURE_TEXT_CHARS_MAX: usize = 4_000;

/// An answer of an engine: a batch of grants with their inputs, with room for a single large one.
pub(super) const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A blob that is read into memory.
pub const BLOB_BYTES_MAX: usize = 128 * 1024 * 1024;

/// What one finish costs besides its payload, roughly and rather too much: ids, names and punctuation.
pub(super) const FINISH_FRAME_BYTES: usize = 512;

/// What one claim costs, roughly and rather too much.
pub(super) const CLAIM_BYTES: usize = 256;

/// What an aborted task gets to come to its next await. One that does not blocks its thread.
pub(super) const ABORT_LIMIT: Duration = Duration::from_secs(1);

/// How long a step waits for others that are done with it, at most: its slot and its lease are held meanwhile.
pub(super) const BATCH_WAIT_MAX: Duration = Duration::from_mins(1);

/// Inputs of a batch. One step more may lie above it.
pub(super) const GATHERED_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Kinds of costs that one attempt names, one less than a finish may carry: the rest is summed as `other`.
pub const COSTS_MAX: usize = 31;
