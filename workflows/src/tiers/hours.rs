//! Hours in which a site may be visited, by the clock of a fixed distance to UTC.

use chrono::{DateTime, Duration, FixedOffset, NaiveTime, Offset as _, Utc};
use serde_json::Value;
use valet_core::Timestamp;

/// Whether it is open at an instant, and when next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hours {
    from: NaiveTime,
    /// Not before the end of the day if it is midnight; before `from`: of the next day.
    to: NaiveTime,
    offset: FixedOffset,
}

/// What is written: `{"from": "08:00", "to": "18:30", "utc_offset": "+01:00"}`.
pub(super) const HOW: &str =
    "must be {\"from\": \"08:00\", \"to\": \"18:30\"}, perhaps with \"utc_offset\": \"+01:00\"";

impl Hours {
    pub(super) fn read(value: &Value) -> Option<Self> {
        let fields = value.as_object()?;
        if fields.keys().any(|key| !["from", "to", "utc_offset"].contains(&key.as_str())) {
            return None;
        }
        let time = |name: &str| NaiveTime::parse_from_str(fields.get(name)?.as_str()?, "%H:%M").ok();
        let offset = match fields.get("utc_offset") {
            Some(offset) => offset.as_str()?.parse().ok()?,
            None => utc(),
        };
        let (from, to) = (time("from")?, time("to")?);
        (from != to).then_some(Self { from, to, offset })
    }

    pub(super) fn offset(&self) -> FixedOffset {
        self.offset
    }

    pub fn is_open(&self, at: Timestamp) -> bool {
        let time = at.with_timezone(&self.offset).time();
        if self.from < self.to { time >= self.from && time < self.to } else { time >= self.from || time < self.to }
    }

    /// The first instant from `at` on at which it is open.
    pub fn opens(&self, at: Timestamp) -> Timestamp {
        if self.is_open(at) {
            return at;
        }
        let local = at.with_timezone(&self.offset);
        let today = on_day(local, self.from, self.offset);
        if today > at { today } else { on_day(local + Duration::days(1), self.from, self.offset) }
    }
}

pub(super) fn utc() -> FixedOffset {
    Utc.fix()
}

/// A time of the day of `day`. A fixed distance to UTC has every time once.
pub(super) fn on_day(day: DateTime<FixedOffset>, time: NaiveTime, offset: FixedOffset) -> Timestamp {
    let local = day.date_naive().and_time(time);
    local.and_local_timezone(offset).earliest().unwrap_or(day).to_utc()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("an instant")
    }

    fn opens(hours: &Value, from: &str) -> String {
        Hours::read(hours).expect("hours").opens(at(from)).format("%dT%H:%M").to_string()
    }

    #[test]
    fn a_closed_site_opens_at_its_own_morning() {
        let day = json!({ "from": "08:00", "to": "18:30", "utc_offset": "+01:00" });
        assert_eq!(opens(&day, "2026-11-22T06:59:00Z"), "22T07:00");
        assert_eq!(opens(&day, "2026-11-22T07:00:00Z"), "22T07:00");
        assert_eq!(opens(&day, "2026-11-22T17:29:00Z"), "22T17:29");
        assert_eq!(opens(&day, "2026-11-22T17:30:00Z"), "23T07:00");
        let night = json!({ "from": "22:00", "to": "06:00" });
        assert_eq!(opens(&night, "2026-11-22T05:59:00Z"), "22T05:59");
        assert_eq!(opens(&night, "2026-11-22T06:00:00Z"), "22T22:00");
        assert_eq!(opens(&night, "2026-11-22T23:00:00Z"), "22T23:00");
        let to_midnight = json!({ "from": "20:00", "to": "00:00" });
        assert_eq!(opens(&to_midnight, "2026-11-22T23:59:00Z"), "22T23:59");
        assert_eq!(opens(&to_midnight, "2026-11-23T00:00:00Z"), "23T20:00");
    }

    #[test]
    fn what_are_no_hours_is_refused() {
        for wrong in [
            json!("08:00"),
            json!({ "from": "08:00" }),
            json!({ "from": "8", "to": "18:00" }),
            json!({ "from": "08:00", "to": "08:00" }),
            json!({ "from": "08:00", "to": "18:00", "utc_offset": "Berlin" }),
            json!({ "from": "08:00", "to": "18:00", "zone": "+01:00" }),
        ] {
            assert_eq!(Hours::read(&wrong), None, "{wrong}");
        }
    }
}
