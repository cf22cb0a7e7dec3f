//! Instants and durations for people.

use std::time::Duration;

use chrono::TimeDelta;
use valet_core::Timestamp;

const MINUTE_S: i64 = 60;
const HOUR_S: i64 = 60 * MINUTE_S;
const DAY_S: i64 = 24 * HOUR_S;

/// An instant that somebody names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    At(Timestamp),
    Ago(Duration),
}

impl When {
    pub fn at(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::Ago(ago) => {
                now.checked_sub_signed(TimeDelta::from_std(ago).unwrap_or(TimeDelta::MAX)).unwrap_or_default()
            }
        }
    }
}

/// `2026-11-21T08:00:00Z`, or how long ago: `12h`.
pub fn instant_or_ago(text: &str) -> Result<When, String> {
    let wrong = |_| format!("`{text}` is no instant: write it like 2026-11-21T08:00:00Z, or how long ago, such as 12h");
    text.parse().map(When::At).or_else(|_| lasting(text).map(When::Ago)).map_err(|error: String| wrong(error))
}

/// `3 min ago`, `in 2 h`, `now`.
pub fn relative(at: Timestamp, now: Timestamp) -> String {
    let seconds = (now - at).num_seconds();
    let (past, size) = (seconds >= 0, seconds.abs());
    let text = match size {
        0 => return "now".to_owned(),
        s if s < MINUTE_S => format!("{s} s"),
        s if s < HOUR_S => format!("{} min", s / MINUTE_S),
        s if s < 2 * DAY_S => format!("{} h", s / HOUR_S),
        s => format!("{} days", s / DAY_S),
    };
    if past { format!("{text} ago") } else { format!("in {text}") }
}

/// How long: `30d`, `12h`, `90m`, `45s`.
pub fn lasting(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no length of time: write a whole number with s, m, h or d, such as 30d");
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let unit_s = match unit {
        "s" => 1,
        "m" => MINUTE_S,
        "h" => HOUR_S,
        "d" => DAY_S,
        _ => return Err(wrong()),
    };
    number.checked_mul(unit_s as u64).map(Duration::from_secs).ok_or_else(wrong)
}

/// `2026-11-21 06:28:09 UTC (3 min ago)`
pub fn full(at: Timestamp, now: Timestamp) -> String {
    format!("{} UTC ({})", at.format("%Y-%m-%d %H:%M:%S"), relative(at, now))
}

/// `12 ms`, `3.4 s`, `2 min 5 s`, `3 h 20 min`.
pub fn took(time: Duration) -> String {
    let (ms, s) = (time.as_millis(), time.as_secs());
    if ms < 1_000 {
        format!("{ms} ms")
    } else if s < 60 {
        format!("{:.1} s", time.as_secs_f64())
    } else if s < 3_600 {
        format!("{} min {} s", s / 60, s % 60)
    } else {
        format!("{} h {} min", s / 3_600, (s % 3_600) / 60)
    }
}

/// From one instant to another; nothing if the clocks disagree about which came first.
pub fn between(from: Timestamp, to: Timestamp) -> Duration {
    TimeDelta::to_std(&(to - from)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_one_or_so_long_ago() {
        let now: Timestamp = "2026-11-21T08:00:00Z".parse().unwrap();
        let at = |text| instant_or_ago(text).unwrap().at(now).to_rfc3339();
        assert_eq!(at("2026-11-20T01:02:03Z"), "2026-11-20T01:02:03+00:00");
        assert_eq!(at("2026-11-20T01:02:03+02:00"), "2026-11-19T23:02:03+00:00");
        assert_eq!(at("90m"), "2026-11-21T06:30:00+00:00");
        assert_eq!(at("9999999999999d"), "1970-01-01T00:00:00+00:00");
        for wrong in ["", "yesterday", "2026-11-20", "12"] {
            assert!(instant_or_ago(wrong).unwrap_err().contains("no instant"), "{wrong}");
        }
    }

    fn at(s: i64) -> Timestamp {
        chrono::DateTime::from_timestamp(1_800_000_000 + s, 0).unwrap()
    }

    #[test]
    fn instants_are_told_from_now_in_both_directions() {
        let cases = [(0, "now"), (-5, "5 s ago"), (59, "in 59 s"), (-60, "1 min ago"), (-7_199, "1 h ago")];
        for (offset, text) in cases {
            assert_eq!(relative(at(offset), at(0)), text);
        }
        assert_eq!(relative(at(-3 * DAY_S), at(0)), "3 days ago");
        assert_eq!(full(at(-60), at(0)), "2027-01-15 07:59:00 UTC (1 min ago)");
    }

    #[test]
    fn durations_are_short_and_a_clock_that_is_behind_gives_none() {
        let cases =
            [(12, "12 ms"), (1_000, "1.0 s"), (59_940, "59.9 s"), (125_000, "2 min 5 s"), (12_000_000, "3 h 20 min")];
        for (ms, text) in cases {
            assert_eq!(took(Duration::from_millis(ms)), text);
        }
        assert_eq!(between(at(5), at(0)), Duration::ZERO);
    }

    #[test]
    fn lengths_of_time_have_a_unit() {
        for (text, seconds) in [("45s", 45), ("90m", 5_400), ("12h", 43_200), ("30d", 2_592_000)] {
            assert_eq!(lasting(text), Ok(Duration::from_secs(seconds)));
        }
        for text in ["", "d", "30", "-1d", "1.5h", "30 d", "30D", "é", "99999999999999999999d", "9999999999999999d"] {
            assert!(lasting(text).is_err(), "{text}");
        }
    }
}
