//! Waiting for a condition, never for time to pass.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::bounds::LOOK_EVERY;

/// Looks until `look` answers `Ok`. Its `Err` says how things stand and is shown when the deadline passes.
///
/// # Panics
/// When `limit` is over, with what was waited for and how things stood.
#[track_caller]
pub fn until<T, L>(what: &str, limit: Duration, look: L) -> impl Future<Output = T>
where
    L: AsyncFnMut() -> Result<T, String>,
{
    let place = std::panic::Location::caller();
    let what = what.to_owned();
    let mut look = look;
    async move {
        let started = Instant::now();
        loop {
            let stands = match look().await {
                Ok(found) => return found,
                Err(stands) => stands,
            };
            assert!(started.elapsed() < limit, "{place}: waited {limit:?} for {what}; it stands so: {stands}");
            sleep(LOOK_EVERY).await;
        }
    }
}

/// [`until`] for a yes-or-no question.
#[track_caller]
pub fn until_true(what: &str, limit: Duration, look: impl AsyncFnMut() -> bool) -> impl Future<Output = ()> {
    let mut look = look;
    until(what, limit, async move || if look().await { Ok(()) } else { Err("not yet".to_owned()) })
}
