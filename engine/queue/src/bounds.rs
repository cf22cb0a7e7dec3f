//! Every bound of the ticket queue, with its unit in the name and its reason above it.

use std::time::Duration;

/// Tickets in one fetch. Lua's `unpack` fails near 8,000; above a hundred the round trip no longer dominates.
pub const MAX_BATCH: usize = 128;

/// Tickets one puller may hold or still has to acknowledge. Above it the puller fetches nothing, so a Redis that is
/// away, or a caller that never acks, cannot grow the process; and an orphan sweep of one dead worker stays far below
/// Lua's `unpack` limit.
pub const MAX_HELD: usize = 4_096;

/// Tickets in one MULTI. A larger push is split, so that Redis never stands still for long (1,000 take about 3 ms).
pub(crate) const MAX_PUSH_CHUNK: usize = 1_000;

/// Acknowledgements in one script call.
pub(crate) const MAX_ACK_BATCH: usize = 512;

/// One connection attempt. Loopback and a local network answer in a millisecond; a dead address must not eat a push.
pub(crate) const CONNECT_LIMIT: Duration = Duration::from_millis(700);

/// A whole push, depth or epoch call: connect, send, answer, and one repeat on a fresh connection.
pub(crate) const COMMAND_LIMIT: Duration = Duration::from_millis(1_500);

/// An answer on the pulling side. A stall of Redis below it is waited out; the redis crate's 500 ms would kill
/// the apalis worker instead. A connection that went silent without closing is noticed after twice this time.
pub(crate) const PULL_ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// Interval of the fallback poll while tickets flow; bounds what a lost wake-up costs under load.
pub(crate) const POLL_ACTIVE: Duration = Duration::from_millis(5);

/// How long after the last ticket the short interval is kept.
pub(crate) const POLL_ACTIVE_FOR: Duration = Duration::from_secs(1);

/// The longest interval of the fallback poll: what a lost wake-up costs at most on an idle queue.
pub(crate) const POLL_IDLE: Duration = Duration::from_millis(500);

/// First and longest pause before a failed apalis worker or a lost subscription is started again. Jitter adds up to as
/// much again, so the longest is one second and tickets flow within two of Redis being back.
pub(crate) const RESTART_MIN: Duration = Duration::from_millis(50);
pub(crate) const RESTART_MAX: Duration = Duration::from_millis(500);

/// A worker that ran this long was healthy: its next failure starts again at the shortest pause.
pub(crate) const HEALTHY_AFTER: Duration = Duration::from_secs(5);

/// How long `stop` waits for acknowledgements and for its own clean-up.
pub(crate) const STOP_LIMIT: Duration = Duration::from_secs(2);

/// How often the subscription is pinged: the one connection that may be silent for hours would otherwise not notice
/// a peer that vanished without closing.
pub(crate) const PING_EVERY: Duration = Duration::from_secs(10);

/// Worker heartbeat, and how many may be missed before others take a worker's tickets back. apalis compares the clocks
/// of different machines in whole seconds, so the product is also the clock skew that is survived.
pub(crate) const HEARTBEAT: Duration = Duration::from_secs(10);
pub(crate) const HEARTBEATS_MISSED: u32 = 6;

/// Life of a worker's metadata key after its last heartbeat: apalis never deletes it.
pub(crate) const METADATA_SECONDS: i64 = 600;

/// Life of what a queue of one worker holds after the last push: the worker may have ended, and what a live one has lost is
/// pushed again.
pub(crate) const PASSING_SECONDS: i64 = 3_600;
