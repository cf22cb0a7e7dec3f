//! Every bound of the simulation, with its unit in the name and its reason.

use std::time::Duration;

/// Simulated time after the last fault in which every run must end. Longest road: a dead worker's lease (8 s), several
/// times an operator's round, then clean-ups, again with retries.
pub(crate) const QUIET_WITHIN: Duration = Duration::from_mins(4);
/// How long live tables may take to empty after the last run ended: a dead engine's shards (8 s), its replacement (6 s), and
/// rounds of the inbox sweep.
pub(crate) const TIDY_WITHIN: Duration = Duration::from_secs(30);
/// How often the end is looked for.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(250);
/// A worker's patience with one request.
pub(crate) const REQUEST_PATIENCE: Duration = Duration::from_secs(2);
/// Longest stay of a killed engine's last statements on the wire.
pub(crate) const DYING_MS_MAX: u64 = 40;
/// Lines of trace in a report.
pub(crate) const TRACE_LINES_MAX: usize = 120;
/// Violations kept of one seed: the first is what counts.
pub(crate) const VIOLATIONS_KEPT_MAX: usize = 8;
/// A second short of its lease a worker suspends (engine/README.md, session).
pub(crate) const SUSPEND_BEFORE: Duration = Duration::from_secs(1);
