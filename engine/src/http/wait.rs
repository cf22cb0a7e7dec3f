//! Requests that wait: how long they may, and until when.

use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout_at};
use valet_core::id::RunId;

use super::run_view::{self, Standing};
use super::{App, Fault};
use crate::bounds::{EVENT_POLL, WAIT_MAX};
use crate::watches::Watch;

/// Between two looks at a run that another engine may have ended.
const LOOK_EVERY_MAX: Duration = Duration::from_secs(2);

/// `30s`, `500ms`, or a number of seconds; more than nothing, at most a minute.
pub(super) fn read(text: &str) -> Result<Duration, Fault> {
    let (number, millis) = match text.strip_suffix("ms") {
        Some(number) => (number, 1),
        None => (text.strip_suffix('s').unwrap_or(text), 1_000),
    };
    let digits = !number.is_empty() && number.len() <= 6 && number.bytes().all(|byte| byte.is_ascii_digit());
    let wait = number.parse().ok().filter(|_| digits).map(|number: u64| Duration::from_millis(number * millis));
    wait.filter(|wait| !wait.is_zero() && *wait <= WAIT_MAX).ok_or_else(|| {
        let detail = format!("wait like `30s`, `500ms` or `30`, for at most {} s", WAIT_MAX.as_secs());
        Fault::bad_request("invalid_wait", detail).at("wait")
    })
}

/// The run once it ended, or as it stands at the deadline; `None` while the database is away then. With `unbegun` the watch is older than
/// the run, so that nothing needs to be looked at before it tells.
pub(super) async fn for_end(
    app: &App,
    tenant: &str,
    run: RunId,
    mut watch: Watch,
    unbegun: bool,
    deadline: Instant,
) -> Option<Standing> {
    let (mut told, mut pause) = (false, EVENT_POLL);
    if unbegun {
        told = timeout_at(deadline.min(Instant::now() + pause), watch.ended()).await.is_ok();
    }
    loop {
        let found = run_view::standing(app, tenant, run).await;
        let is_over = Instant::now() >= deadline;
        match found {
            Ok(Some(standing)) if is_over || standing.record.ended_at.is_some() => return Some(standing),
            Ok(None) => return None,
            Ok(Some(_)) => {}
            // The wait outlives an outage.
            Err(error) => {
                tracing::warn!(%error, "a request that waits for a run finds the database away");
                if is_over {
                    return None;
                }
            }
        }
        // Another engine may end it: then a look finds it.
        let look = deadline.min(Instant::now() + pause);
        if told {
            // And the database was away then.
            sleep_until(look).await;
        } else {
            told = timeout_at(look, watch.ended()).await.is_ok();
        }
        pause = (pause * 2).min(LOOK_EVERY_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_seconds_or_milliseconds_up_to_a_minute() {
        for (text, millis) in [("30s", 30_000), ("500ms", 500), ("7", 7_000), ("60s", 60_000), ("60000ms", 60_000)] {
            assert_eq!(read(text).unwrap(), Duration::from_millis(millis), "{text}");
        }
        for text in
            ["", "s", "ms", "0", "0s", "0ms", "61s", "60001ms", "1m", "-1", "+1", "1.5s", "1 s", "30S", "9999999999999"]
        {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
