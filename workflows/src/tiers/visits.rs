//! When a visit to a site may begin, under the pace, the hours and the daily share of its policy.

use chrono::{Duration, NaiveTime};
use valet_core::Timestamp;
use valet_core::tiers::SiteState;

use super::hours::{on_day, utc};
use super::rules::SiteRule;

/// A time for one visit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    pub begins_at: Timestamp,
    /// Visits of its day, with this one.
    pub visits: u32,
}

/// `None`: the policy does not pace its visits. Times are given in order, so that only the latest need be known.
pub(super) fn slot(rule: &SiteRule, site: &SiteState, now: Timestamp) -> Option<Slot> {
    if rule.pace.is_none() && rule.max_per_day.is_none() {
        return None;
    }
    let offset = rule.hours.map_or_else(utc, |hours| hours.offset());
    let day = |at: Timestamp| at.with_timezone(&offset).date_naive();
    let open = |at: Timestamp| rule.hours.map_or(at, |hours| hours.opens(at));
    let last = site.last_visit_at;
    let after_last = last.map(|last| last + rule.pace.unwrap_or_default());
    let mut begins_at = open(after_last.map_or(now, |after| after.max(now)));
    let of_its_day = |at: Timestamp| if last.map(day) == Some(day(at)) { site.visits } else { 0 };
    if rule.max_per_day.is_some_and(|most| of_its_day(begins_at) >= most) {
        let tomorrow = begins_at.with_timezone(&offset) + Duration::days(1);
        begins_at = open(on_day(tomorrow, NaiveTime::MIN, offset));
    }
    Some(Slot { begins_at, visits: of_its_day(begins_at).saturating_add(1) })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("an instant")
    }

    /// The times that visits are given which ask one after the other.
    fn asked(rule: &Value, times: &[&str]) -> Vec<String> {
        let rule = SiteRule::read("*", rule).expect("a policy");
        let mut site = SiteState::default();
        let mut given = Vec::new();
        for time in times {
            let slot = slot(&rule, &site, at(time)).expect("a paced policy");
            site.last_visit_at = Some(slot.begins_at);
            site.visits = slot.visits;
            given.push(slot.begins_at.format("%dT%H:%M:%S").to_string());
        }
        given
    }

    #[test]
    fn visits_keep_their_distance() {
        let times = ["2026-11-22T10:00:00Z"; 3];
        assert_eq!(asked(&json!({ "pace_s": 30 }), &times), ["22T10:00:00", "22T10:00:30", "22T10:01:00"]);
        let late = ["2026-11-22T10:00:00Z", "2026-11-22T11:00:00Z"];
        assert_eq!(asked(&json!({ "pace_s": 30 }), &late), ["22T10:00:00", "22T11:00:00"]);
    }

    #[test]
    fn a_full_day_leaves_the_rest_to_the_next() {
        let times = ["2026-11-22T10:00:00Z"; 5];
        let given = asked(&json!({ "max_per_day": 2 }), &times);
        assert_eq!(given, ["22T10:00:00", "22T10:00:00", "23T00:00:00", "23T00:00:00", "24T00:00:00"]);
        let hours = json!({ "max_per_day": 1, "hours": { "from": "08:00", "to": "18:00", "utc_offset": "-05:00" } });
        assert_eq!(asked(&hours, &times[..3]), ["22T13:00:00", "23T13:00:00", "24T13:00:00"]);
    }

    #[test]
    fn a_pace_over_midnight_counts_for_the_day_that_it_leads_to() {
        let rule = json!({ "pace_s": 3600, "max_per_day": 2 });
        let given = asked(&rule, &["2026-11-22T23:30:00Z"; 4]);
        assert_eq!(given, ["22T23:30:00", "23T00:30:00", "23T01:30:00", "24T00:00:00"]);
    }

    #[test]
    fn whatever_is_asked_when_every_promise_of_the_policy_is_kept() {
        for seed in 1..=200_u64 {
            let mut draw = super::super::router::tests::Draw(seed);
            let (pace, most) = (draw.below(4_000), 1 + draw.below(5) as u32);
            let hours =
                json!({ "from": format!("{:02}:00", draw.below(12)), "to": format!("{:02}:30", 12 + draw.below(12)) });
            let value = json!({ "pace_s": pace, "max_per_day": most, "hours": hours });
            let rule = SiteRule::read("*", &value).expect("a policy");
            let (mut site, mut now) = (SiteState::default(), at("2026-11-22T00:00:00Z"));
            let mut given: Vec<Timestamp> = Vec::new();
            for _ in 0..40 {
                now += Duration::seconds(draw.below(7_200) as i64);
                let slot = slot(&rule, &site, now).expect("a paced policy");
                assert!(slot.begins_at >= now && rule.hours.expect("hours").is_open(slot.begins_at), "seed {seed}");
                let distance = given.last().map(|last| slot.begins_at - *last);
                assert!(distance.is_none_or(|d| d >= Duration::seconds(pace as i64)), "seed {seed}: {distance:?}");
                given.push(slot.begins_at);
                let today = given.iter().filter(|at| at.date_naive() == slot.begins_at.date_naive()).count();
                assert!(today <= most as usize && today == slot.visits as usize, "seed {seed}: {today} of {most}");
                site = SiteState { last_visit_at: Some(slot.begins_at), visits: slot.visits, ..site };
            }
        }
    }
}
