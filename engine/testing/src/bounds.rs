//! Every bound of the kit, with its unit in the name and its reason.

use std::time::Duration;

/// A run with more transitions than this is taken for one that does not end; an author may allow more.
pub const TRANSITIONS_MAX: usize = 2_000;

/// What an attempt takes. Anything above zero, so that no two attempts share an instant.
pub const ATTEMPT_TAKES: Duration = Duration::from_millis(10);

/// Times that a contract's operator lets a parked step try again; then the run waits for a better one.
pub const OPERATOR_RETRIES_MAX: u32 = 3;

/// Violations of a contract that its test lists.
pub const VIOLATIONS_LISTED_MAX: usize = 20;
