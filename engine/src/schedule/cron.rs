//! Cron expressions in a time zone: five fields, or six with the seconds first.
//!
//! When clocks change, expressions that name one time of day run once on that day: what falls into the hour that is left out runs at
//! the first instant after it, what falls into the hour that comes twice runs in its first pass. Expressions that run more often
//! follow the clock on the wall: nothing in the hour that is left out, and both passes of the one that comes twice.

use std::str::FromStr as _;

use chrono::{SecondsFormat, TimeDelta, Utc};
use chrono_tz::{TZ_VARIANTS, Tz};
use croner::parser::{CronParser, Seconds, Year};
use valet_core::Timestamp;

use crate::bounds::CRON_BYTES_MAX;

/// An expression with its zone.
#[derive(Clone, Debug)]
pub struct Cron {
    pattern: croner::Cron,
    zone: Tz,
}

/// What is wrong with one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CronFault {
    #[error(
        "{0}; write minute, hour, day of month, month, day of week, as in `30 9 * * MON-FRI`; six fields begin with seconds"
    )]
    Expression(String),
    #[error("no such day comes: this expression never runs")]
    Never,
    #[error("there is no such time zone; use a name of the IANA database, as in `{0}`")]
    Zone(&'static str),
}

impl Cron {
    /// `from`: some instant after it must fit.
    pub fn parse(expression: &str, zone: &str, from: Timestamp) -> Result<Self, CronFault> {
        let zone = self::zone(zone)?;
        if expression.len() > CRON_BYTES_MAX {
            return Err(CronFault::Expression(format!("an expression has at most {CRON_BYTES_MAX} bytes")));
        }
        let parser = CronParser::builder().seconds(Seconds::Optional).year(Year::Disallowed).build();
        let pattern = parser.parse(expression).map_err(|error| CronFault::Expression(error.to_string()))?;
        let cron = Self { pattern, zone };
        if cron.after(from).is_none() {
            return Err(CronFault::Never);
        }
        Ok(cron)
    }

    /// The first instant after this one.
    pub fn after(&self, at: Timestamp) -> Option<Timestamp> {
        let mut from = at;
        // Time goes on, whatever the library makes of a change of clocks.
        for _ in 0..3 {
            let next = self.pattern.find_next_occurrence(&from.with_timezone(&self.zone), false).ok()?;
            let next = next.with_timezone(&Utc);
            if next > at {
                return Some(next);
            }
            from = at + TimeDelta::seconds(1);
        }
        None
    }
}

/// The zone of this name.
pub fn zone(name: &str) -> Result<Tz, CronFault> {
    Tz::from_str(name).map_err(|_| CronFault::Zone(like(name)))
}

/// As clocks there show it, with their distance from UTC.
pub fn local(at: Timestamp, zone: Tz) -> String {
    at.with_timezone(&zone).to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// What was meant, perhaps.
fn like(name: &str) -> &'static str {
    let wanted = name.trim().replace(' ', "_");
    let city = |zone: &str| zone.rsplit('/').next().is_some_and(|city| city.eq_ignore_ascii_case(&wanted));
    let found = TZ_VARIANTS.iter().map(|zone| zone.name());
    found.into_iter().find(|zone| zone.eq_ignore_ascii_case(&wanted) || city(zone)).unwrap_or("Europe/Berlin")
}

#[cfg(test)]
mod tests {
    use chrono::{Datelike as _, MappedLocalTime, NaiveDate, TimeZone as _, Timelike as _};
    use rand::rngs::StdRng;
    use rand::{RngExt as _, SeedableRng as _};

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("an instant")
    }

    fn parse(expression: &str, zone: &str) -> Result<Cron, CronFault> {
        Cron::parse(expression, zone, at("2026-01-01T00:00:00Z"))
    }

    /// The instants after `from`, as clocks there show them.
    fn check(expression: &str, zone: &str, from: &str, expected: &[&str]) {
        let cron = parse(expression, zone).expect("an expression");
        let mut instant = at(from);
        let shown = expected.iter().map(|_| {
            instant = cron.after(instant).expect("there is one");
            local(instant, cron.zone)
        });
        assert_eq!(shown.collect::<Vec<_>>(), expected, "{expression} in {zone}");
    }

    #[test]
    fn a_time_of_day_that_is_left_out_runs_right_after_it() {
        check(
            "30 2 * * *",
            "Europe/Berlin",
            "2026-03-28T00:00:00Z",
            &["2026-03-28T02:30:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"],
        );
    }

    #[test]
    fn a_time_of_day_that_comes_twice_runs_once() {
        check(
            "30 2 * * *",
            "Europe/Berlin",
            "2026-10-24T12:00:00Z",
            &["2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"],
        );
    }

    #[test]
    fn what_runs_often_follows_the_clock_on_the_wall() {
        check(
            "*/30 * * * *",
            "America/New_York",
            "2026-03-08T06:00:00Z",
            &["2026-03-08T01:30:00-05:00", "2026-03-08T03:00:00-04:00", "2026-03-08T03:30:00-04:00"],
        );
        check(
            "*/30 * * * *",
            "America/New_York",
            "2026-11-01T05:00:00Z",
            &[
                "2026-11-01T01:30:00-04:00",
                "2026-11-01T01:00:00-05:00",
                "2026-11-01T01:30:00-05:00",
                "2026-11-01T02:00:00-05:00",
            ],
        );
    }

    #[test]
    fn nicknames_seconds_and_last_days_are_understood() {
        check("@daily", "UTC", "2026-01-01T00:00:00Z", &["2026-01-02T00:00:00Z"]);
        check("*/20 * * * * *", "UTC", "2026-01-01T00:00:00.5Z", &["2026-01-01T00:00:20Z", "2026-01-01T00:00:40Z"]);
        check("0 9 L * *", "Asia/Kolkata", "2026-02-01T00:00:00Z", &["2026-02-28T09:00:00+05:30"]);
    }

    #[test]
    fn what_is_wrong_is_told_with_what_would_be_right() {
        for expression in ["", "* * *", "61 * * * *", "* * * * * * 2027", "every day", "0 9 * * MON-"] {
            assert!(matches!(parse(expression, "UTC"), Err(CronFault::Expression(_))), "{expression}");
        }
        assert_eq!(parse("0 0 31 2 *", "UTC").unwrap_err(), CronFault::Never);
        assert_eq!(parse("0 0 * * *", "berlin").unwrap_err(), CronFault::Zone("Europe/Berlin"));
        assert_eq!(parse("0 0 * * *", "America/new york").unwrap_err(), CronFault::Zone("America/New_York"));
        let long = format!("{} * * * *", vec!["1"; 200].join(","));
        assert!(matches!(parse(&long, "UTC"), Err(CronFault::Expression(_))));
    }

    /// The second implementation: fields as sets, asked minute by minute.
    #[derive(Clone, Debug)]
    struct Fields {
        minutes: Vec<u32>,
        hours: Vec<u32>,
        days: Option<Vec<u32>>,
        months: Option<Vec<u32>>,
        weekdays: Option<Vec<u32>>,
    }

    impl Fields {
        fn expression(&self) -> String {
            let list = |values: &[u32]| values.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
            let or_all = |values: &Option<Vec<u32>>| values.as_ref().map_or_else(|| "*".to_owned(), |some| list(some));
            let (days, months, weekdays) = (or_all(&self.days), or_all(&self.months), or_all(&self.weekdays));
            format!("{} {} {days} {months} {weekdays}", list(&self.minutes), list(&self.hours))
        }

        fn has_day(&self, date: NaiveDate) -> bool {
            let holds = |values: &Option<Vec<u32>>, value: u32| values.as_ref().map(|some| some.contains(&value));
            let weekday = date.weekday().num_days_from_sunday();
            let day = match (holds(&self.days, date.day()), holds(&self.weekdays, weekday)) {
                // Both are named: either will do.
                (Some(day), Some(weekday)) => day || weekday,
                (day, weekday) => day.unwrap_or(true) && weekday.unwrap_or(true),
            };
            day && holds(&self.months, date.month()).unwrap_or(true)
        }

        fn is_one_time_of_day(&self) -> bool {
            self.minutes.len() == 1 && self.hours.len() == 1
        }

        /// All instants of `(from, until]`.
        fn between(&self, zone: Tz, from: Timestamp, until: Timestamp) -> Vec<Timestamp> {
            let mut found = Vec::new();
            let mut minute = from + TimeDelta::minutes(1);
            while minute <= until {
                let local = minute.with_timezone(&zone);
                let on_wall = self.minutes.contains(&local.minute()) && self.hours.contains(&local.hour());
                if self.has_day(local.date_naive()) && (on_wall || self.is_one_time_of_day()) {
                    let is_it = if self.is_one_time_of_day() { self.once(zone, &local) == minute } else { on_wall };
                    if is_it {
                        found.push(minute);
                    }
                }
                minute += TimeDelta::minutes(1);
            }
            found
        }

        /// The one instant of this day.
        fn once(&self, zone: Tz, day: &chrono::DateTime<Tz>) -> Timestamp {
            let mut wall = day.date_naive().and_hms_opt(self.hours[0], self.minutes[0], 0).expect("a time of day");
            loop {
                match zone.from_local_datetime(&wall) {
                    MappedLocalTime::Single(instant) | MappedLocalTime::Ambiguous(instant, _) => {
                        return instant.with_timezone(&Utc);
                    }
                    MappedLocalTime::None => wall += TimeDelta::minutes(1),
                }
            }
        }
    }

    fn some(dice: &mut StdRng, range: std::ops::RangeInclusive<u32>, most: usize) -> Vec<u32> {
        let count = dice.random_range(1..=most);
        let mut values: Vec<u32> = (0..count).map(|_| dice.random_range(range.clone())).collect();
        values.sort_unstable();
        values.dedup();
        values
    }

    fn fields(dice: &mut StdRng) -> Fields {
        let (minutes, hours) = if dice.random_bool(0.4) {
            // Where clocks change.
            (some(dice, 0..=59, 1), some(dice, 0..=4, 1))
        } else {
            (some(dice, 0..=59, 3), some(dice, 0..=23, 6))
        };
        let mut or_all = |range, most| dice.random_bool(0.5).then(|| some(dice, range, most));
        Fields { minutes, hours, days: or_all(1..=28, 5), months: or_all(1..=12, 6), weekdays: or_all(0..=6, 3) }
    }

    /// Around changes of clocks in both directions, of an hour and of half an hour, at midnight and at two.
    #[test]
    fn instants_are_those_of_a_second_implementation() {
        const ZONES: [&str; 6] =
            ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Havana", "Asia/Kolkata"];
        const BEGINS: [&str; 7] = [
            "2026-03-06T00:00:00Z",
            "2026-03-27T00:00:00Z",
            "2026-04-03T00:00:00Z",
            "2026-10-02T00:00:00Z",
            "2026-10-23T00:00:00Z",
            "2026-10-30T00:00:00Z",
            "2026-12-30T00:00:00Z",
        ];
        let mut instants = 0;
        for seed in 0..500 {
            let dice = &mut StdRng::seed_from_u64(seed);
            let fields = fields(dice);
            let zone = zone(ZONES[dice.random_range(0..ZONES.len())]).expect("a zone");
            let from = at(BEGINS[dice.random_range(0..BEGINS.len())]);
            let until = from + TimeDelta::days(4);
            let cron = Cron::parse(&fields.expression(), zone.name(), from).expect("it runs some day");
            let told: Vec<Timestamp> = std::iter::successors(cron.after(from), |instant| cron.after(*instant))
                .take_while(|instant| *instant <= until)
                .collect();
            assert_eq!(told, fields.between(zone, from, until), "seed {seed}: {} in {zone}", fields.expression());
            instants += told.len();
        }
        assert!(instants > 1_000, "only {instants} instants: does it compare anything?");
    }
}
