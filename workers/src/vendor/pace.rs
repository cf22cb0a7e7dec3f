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
}

impl Pace {
    pub fn new(every: Duration, burst: u32) -> Self {
        Self { every, burst: burst.max(1), full_at: Mutex::new(None) }
    }

    pub async fn turn(&self) {
        let at = {
            let now = Instant::now();
            let mut full_at = self.full_at.lock();
            let full = full_at.map_or(now, |full| full.max(now));
            *full_at = Some(full + self.every);
            full.checked_sub(self.every * (self.burst - 1)).map_or(now, |at| at.max(now))
        };
        tokio::time::sleep_until(at).await;
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
    async fn a_vendor_that_wants_quiet_has_it() {
        let pace = Pace::new(Duration::from_secs(1), 3);
        pace.turn().await;
        pace.pause(Duration::from_secs(30));
        let begun = Instant::now();
        pace.turn().await;
        assert_eq!(begun.elapsed().as_secs(), 30);
    }
}
