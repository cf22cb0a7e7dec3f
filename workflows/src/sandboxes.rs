//! The resources that runs of browsers hold, and what may become of them. Engines keep the rows ([`valet_core::resources`]), workers make
//! and end the things.

use valet_core::Registry;
use valet_core::resources::{Claim, ResourceKind, SANDBOX};

pub const REQUESTED: &str = "requested";
pub const STARTING: &str = "starting";
pub const READY: &str = "ready";
pub const IN_USE: &str = "in_use";
/// Kept while a person is asked.
pub const PARKED: &str = "parked";
pub const STOPPING: &str = "stopping";
pub const DESTROYED: &str = "destroyed";
pub const LOST: &str = "lost";

/// Labels of a sandbox: who made it, and on which machine if that is a worker's own.
pub const PROVIDER: &str = "provider";
pub const HOST: &str = "host";

/// A browser with all that belongs to it.
///
/// ```text
/// requested → starting → ready → in_use ⇄ parked → stopping → destroyed | lost
/// ```
/// From each state before it, it may be stopped; and it may be lost, which is found out later than it happens.
pub const SANDBOXES: ResourceKind = ResourceKind {
    name: SANDBOX,
    table: &[
        (REQUESTED, &[STARTING, READY, STOPPING, LOST]),
        (STARTING, &[READY, STOPPING, LOST]),
        (READY, &[IN_USE, STOPPING, LOST]),
        (IN_USE, &[PARKED, STOPPING, LOST]),
        (PARKED, &[IN_USE, STOPPING, LOST]),
        (STOPPING, &[DESTROYED, LOST]),
        (DESTROYED, &[]),
        (LOST, &[]),
    ],
    claim: None,
    left: STOPPING,
    given_up: Some(LOST),
    events: &[("captcha_detected", PARKED), ("step_started", IN_USE)],
};

/// The kind of a subject's account at a provider, with the browser that is its own.
pub const PROFILE: &str = "profile";
pub const IDLE: &str = "idle";
pub const LOCKED: &str = "locked";
pub const COOL_DOWN: &str = "cool_down";

/// ```text
/// idle → locked → in_use → cool_down → idle
/// ```
/// One that rests is idle once its rest is over; one whose holder is gone is free with the end of its lease.
pub const PROFILES: ResourceKind = ResourceKind {
    name: PROFILE,
    table: &[
        (IDLE, &[LOCKED]),
        (LOCKED, &[IN_USE, COOL_DOWN, IDLE]),
        (IN_USE, &[COOL_DOWN]),
        (COOL_DOWN, &[IDLE, LOCKED]),
    ],
    claim: Some(Claim { from: &[IDLE, COOL_DOWN], to: LOCKED, takes_over: true }),
    left: COOL_DOWN,
    given_up: None,
    events: &[],
};

#[must_use]
pub fn register(registry: Registry) -> Registry {
    registry.with_resource(SANDBOXES).with_resource(PROFILES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_say_what_they_must() {
        for kind in [SANDBOXES, PROFILES] {
            assert_eq!(kind.check(), Ok(()), "{}", kind.name);
        }
    }

    #[test]
    fn nothing_follows_the_end_and_nothing_but_the_end_follows_the_beginning_of_it() {
        assert_eq!(SANDBOXES.states().filter(|state| SANDBOXES.is_end(state)).collect::<Vec<_>>(), [DESTROYED, LOST]);
        assert_eq!(SANDBOXES.before(IN_USE), [READY, IN_USE, PARKED]);
        assert_eq!(SANDBOXES.before(DESTROYED), [STOPPING, DESTROYED]);
        assert_eq!(PROFILES.before(IN_USE), [LOCKED, IN_USE]);
    }
}
