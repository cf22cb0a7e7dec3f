//! Every bound of the harness, with its reason.

use std::time::Duration;

/// A condition is looked at this often while a test waits for it.
pub const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A process of a debug build may start on a machine that compiles at the same time.
pub const START_MAX: Duration = Duration::from_mins(1);

/// A process that was told to end: a worker drains for up to 30 s, then its steps get a grace.
pub const END_MAX: Duration = Duration::from_mins(1);

/// A killed process is gone when the kernel says so.
pub const KILLED_MAX: Duration = Duration::from_secs(10);

/// One request; longer than the engine's own patience with a commit, so that its answer is seen.
pub const REQUEST_MAX: Duration = Duration::from_secs(45);

/// All runs of a load, with crashes on the way: leases of killed workers last 8 s each.
pub const LOAD_MAX: Duration = Duration::from_mins(2);

/// Something that the engine does at once, or with its next tick.
pub const SOON: Duration = Duration::from_secs(20);

/// An event stream that is silent for this long has lost its run.
pub const STREAM_MAX: Duration = Duration::from_mins(1);

/// Lines of each log that a failed test prints.
pub const LOG_LINES_SHOWN: usize = 40;

/// Ports of engines: below Linux's default ephemeral range (32768..), so that no outgoing connection takes the port of an
/// engine while it restarts, and apart from those of the private servers.
pub const PORTS: std::ops::Range<u16> = 12_000..20_000;
/// How many are tried before giving up.
pub const PORT_DRAWS: usize = 200;
