//! Every bound of benchmarks, with its unit and its reason.

use std::time::Duration;

/// A round that takes longer hangs.
pub const ROUND_MAX: Duration = Duration::from_mins(30);

/// How long a process may take to start: Postgres may have to replay its log before an engine is ready.
pub const START_MAX: Duration = Duration::from_mins(1);

/// One request of the load. A saturated engine answers late.
pub const REQUEST_MAX: Duration = Duration::from_mins(1);

/// Times that a request which was not answered, or with 429 or 503, is sent again.
pub const REPEATS_MAX: u32 = 100;

/// Between two of them.
pub const REPEAT_AFTER: Duration = Duration::from_millis(100);

/// Between two looks at whether runs are live. Each is one look into an index.
pub const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Between two looks that count rows.
pub const COUNT_EVERY: Duration = Duration::from_millis(250);

/// Runs that warm caches and plans up before the first round.
pub const WARM_UP_RUNS: u32 = 500;

/// Memory is read after so long a rest: what a burst left is given back by then.
pub const SETTLE: Duration = Duration::from_secs(5);

/// An idle engine ticks slowly after ten quiet ticks.
pub const QUIET_AFTER: Duration = Duration::from_secs(15);

/// Redis answers one INFO in so long.
pub const REDIS_ANSWER_MAX: Duration = Duration::from_secs(10);
