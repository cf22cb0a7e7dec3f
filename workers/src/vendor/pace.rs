//! No more requests than a vendor takes: who comes too early waits its turn.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// So many at once, then one `every` so often.
pub struct Pace {
    every: Duration,
    burst: u32,
    /// When the bucket will be full again.
    full_at: Mutex<Option<Instant>>,
    first: tokio::sync::Mutex<()>,
}

impl Pace {
    pub fn new(every: Duration, burst: u32) -> Self {
        Self { every, burst: burst.max(1), full_at: Mutex::default(), first: tokio::sync::Mutex::default() }
    }

    /// Whoever gives up while it waits takes no turn.
    pub async fn turn(&self) {
        // One waits at a time, the others behind it: where the machine stood still for a while they are not let through together.
        let _first = self.first.lock().await;
        while let Err(at) = self.take() {
            tokio::time::sleep_until(at).await;
        }
    }

    /// When to look again, if it is too early.
    fn take(&self) -> Result<(), Instant> {
        let now = Instant::now();
        let mut full_at = self.full_at.lock();
        let full = full_at.map_or(now, |full| full.max(now));
        match full.checked_sub(self.every * (self.burst - 1)) {
            Some(at) if at > now => Err(at),
            _ => {
                *full_at = Some(full + self.every);
                Ok(())
            }
        }
    }

    /// The vendor wants quiet: nobody is let through before that.
    pub fn pause(&self, pause: Duration) {
        let until = Instant::now() + pause + self.every * (self.burst - 1);
        let mut full_at = self.full_at.lock();
        *full_at = Some(full_at.map_or(until, |full| full.max(until)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_goes_at_once_and_the_rest_in_turn() {
        let pace = Pace::new(Duration::from_secs(1), 3);
        let begun = Instant::now();
        let mut went = Vec::new();
        for _ in 0..5 {
            pace.turn().await;
            went.push(begun.elapsed().as_secs());
        }
        assert_eq!(went, [0, 0, 0, 1, 2]);
        tokio::time::sleep(Duration::from_mins(1)).await;
        let rested = Instant::now();
        for _ in 0..4 {
            pace.turn().await;
        }
        assert_eq!(rested.elapsed().as_secs(), 1, "no more than a burst is saved up");
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_waited_while_the_machine_stood_still_go_in_turn_all_the_same() {
        let pace = Pace::new(Duration::from_secs(1), 1);
        let begun = Instant::now();
        let went = futures::future::join_all((0..4).map(|_| async {
            pace.turn().await;
            begun.elapsed().as_secs()
        }));
        let stall = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            tokio::time::advance(Duration::from_secs(10)).await;
        };
        assert_eq!(tokio::join!(went, stall).0, [0, 10, 11, 12]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_vendor_that_wants_quiet_has_it() {
        let pace = Pace::new(Duration::from_secs(1), 3);
        pace.turn().await;
        pace.pause(Duration::from_secs(30));
        let begun = Instant::now();
        pace.turn().await;
        assert_eq!(begun.elapsed().as_secs(), 30);
    }
}
