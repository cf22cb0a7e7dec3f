//! How many requests a vendor takes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// A bucket for each key, which fills again with time.
pub struct Limit {
    burst: f64,
    per_s: f64,
    left: Mutex<BTreeMap<String, (f64, Instant)>>,
}

impl Limit {
    pub fn new(burst: u32, per_s: f64) -> Self {
        Self { burst: f64::from(burst), per_s, left: Mutex::default() }
    }

    /// Takes one; in how long there is one, if there is none.
    pub fn take(&self, key: &str) -> Result<(), Duration> {
        let now = Instant::now();
        let mut left = self.left.lock();
        let (tokens, at) = left.entry(key.to_owned()).or_insert((self.burst, now));
        *tokens = (*tokens + now.duration_since(*at).as_secs_f64() * self.per_s).min(self.burst);
        *at = now;
        if *tokens >= 1.0 {
            *tokens -= 1.0;
            return Ok(());
        }
        Err(Duration::from_secs_f64((1.0 - *tokens) / self.per_s))
    }
}
