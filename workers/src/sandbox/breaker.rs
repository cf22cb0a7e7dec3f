//! When a provider that fails again and again is left alone. Time comes in as an argument.

use std::time::{Duration, Instant};

/// Failures in a row after which it is given a rest.
const FAILURES_MAX: u32 = 5;
/// The first rest; each further one is twice as long, up to the longest.
const REST_MIN: Duration = Duration::from_secs(5);
const REST_MAX: Duration = Duration::from_mins(2);

/// `closed → resting → trying → closed`, or back to resting.
#[derive(Debug)]
pub(super) struct Breaker {
    state: State,
    rest: Duration,
}

#[derive(Debug)]
enum State {
    /// Everybody may ask.
    Closed { failures: u32 },
    /// Nobody may, until then.
    Resting { until: Instant },
    /// One asks, to see. One that never says what came of it counts for nothing after a while.
    Trying { until: Instant },
}

impl Default for Breaker {
    fn default() -> Self {
        Self { state: State::Closed { failures: 0 }, rest: REST_MIN }
    }
}

impl Breaker {
    /// Whether the provider may be asked now; else in how long.
    pub fn enter(&mut self, now: Instant) -> Result<(), Duration> {
        if let Some(left) = self.resting(now) {
            return Err(left);
        }
        if !matches!(self.state, State::Closed { .. }) {
            self.state = State::Trying { until: now + self.rest };
        }
        Ok(())
    }

    /// How long it rests yet, as far as is known now.
    pub fn resting(&self, now: Instant) -> Option<Duration> {
        match self.state {
            State::Closed { .. } => None,
            State::Resting { until } | State::Trying { until } => {
                Some(until.saturating_duration_since(now)).filter(|left| !left.is_zero())
            }
        }
    }

    pub fn succeeded(&mut self) {
        *self = Self::default();
    }

    pub fn failed(&mut self, now: Instant) {
        match &mut self.state {
            State::Closed { failures } => {
                *failures += 1;
                if *failures >= FAILURES_MAX {
                    self.state = State::Resting { until: now + self.rest };
                }
            }
            // Those that were under way when it began to rest say nothing new.
            State::Resting { .. } => {}
            State::Trying { .. } => {
                self.rest = (self.rest * 2).min(REST_MAX);
                self.state = State::Resting { until: now + self.rest };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resting(now: Instant) -> Breaker {
        let mut breaker = Breaker::default();
        for _ in 0..FAILURES_MAX {
            breaker.enter(now).expect("it may be asked");
            breaker.failed(now);
        }
        breaker
    }

    #[test]
    fn failures_in_a_row_bring_a_rest_and_others_between_do_not() {
        let now = Instant::now();
        let mut breaker = Breaker::default();
        for _ in 0..3 {
            for _ in 1..FAILURES_MAX {
                breaker.failed(now);
            }
            breaker.succeeded();
        }
        assert_eq!(breaker.enter(now), Ok(()));
        assert_eq!(resting(now).enter(now), Err(REST_MIN));
    }

    #[test]
    fn after_a_rest_one_tries_and_what_comes_of_it_decides_for_all() {
        let now = Instant::now();
        let mut breaker = resting(now);
        let later = now + REST_MIN;
        assert_eq!(breaker.enter(later), Ok(()));
        assert_eq!(breaker.enter(later), Err(REST_MIN), "one is enough");
        breaker.failed(later);
        assert_eq!(breaker.enter(later), Err(REST_MIN * 2));
        let later = later + REST_MIN * 2;
        assert_eq!(breaker.enter(later), Ok(()));
        breaker.succeeded();
        assert_eq!((breaker.enter(later), breaker.enter(later)), (Ok(()), Ok(())));
    }

    #[test]
    fn a_trial_of_which_nothing_is_heard_is_followed_by_another() {
        let now = Instant::now();
        let mut breaker = resting(now);
        let later = now + REST_MIN;
        breaker.enter(later).expect("a trial");
        assert_eq!(breaker.enter(later + REST_MIN), Ok(()), "its worker was killed");
    }

    #[test]
    fn rests_grow_to_a_bound() {
        let mut now = Instant::now();
        let mut breaker = resting(now);
        for _ in 0..20 {
            now += breaker.resting(now).unwrap_or_default();
            breaker.enter(now).expect("a trial");
            breaker.failed(now);
        }
        assert_eq!(breaker.resting(now), Some(REST_MAX));
    }
}
