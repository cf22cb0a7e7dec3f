//! One look at a schedule: which of its instants are due, and what becomes of each.

use std::time::Duration;

use valet_core::Timestamp;
use valet_core::id::RunId;

use super::{Overlap, When};
use crate::bounds::{FIRES_PER_LOOK_MAX, FIRES_WAITING_MAX};

/// A schedule with something to do, as it stands.
#[derive(Clone, Debug)]
pub struct Standing {
    pub when: When,
    pub overlap: Overlap,
    /// How late an instant may still start its run.
    pub catch_up: Duration,
    /// The next instant, if there is one.
    pub next_at: Option<Timestamp>,
    /// Instants that wait for a run to end, were asked for by hand or are filled in: oldest first.
    pub waiting: Vec<Waiting>,
    /// Runs of earlier instants that have not ended.
    pub live: Vec<LiveRun>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waiting {
    pub at: Timestamp,
    pub overlap: Overlap,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveRun {
    pub run: RunId,
    /// It is on its way to its end already.
    pub closing: bool,
}

/// What follows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    pub next_at: Option<Timestamp>,
    /// Instants from the first to the second were too late to be caught up.
    pub missed: Option<(Timestamp, Timestamp)>,
    pub fires: Vec<Planned>,
    pub cancel: Vec<RunId>,
}

/// What becomes of one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planned {
    pub at: Timestamp,
    pub overlap: Overlap,
    /// Not among those that waited.
    pub is_new: bool,
    pub fate: Fate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Start,
    Wait,
    /// Passed over, with the reason's word.
    Skip(&'static str),
}

/// The run before it has not ended.
pub const STILL_RUNNING: &str = "still_running";
/// A later instant takes its place.
pub const SUPERSEDED: &str = "superseded";
/// Too many wait.
pub const QUEUE_FULL: &str = "queue_full";

/// What follows from how a schedule stands at this instant.
pub fn plan(standing: &Standing, now: Timestamp) -> Plan {
    let mut plan = Plan::default();
    let due = due(standing, now, &mut plan);
    let waiting = standing.waiting.iter().map(|waiting| (*waiting, false));
    let new = due.into_iter().map(|at| (Waiting { at, overlap: standing.overlap }, true));
    let candidates: Vec<(Waiting, bool)> = waiting.chain(new).collect();
    let newest_that_cancels = candidates.iter().rposition(|(one, _)| one.overlap == Overlap::CancelOld);
    let mut is_free = standing.live.is_empty();
    let mut waits = 0;
    for (place, (Waiting { at, overlap }, is_new)) in candidates.into_iter().enumerate() {
        let fate = match overlap {
            Overlap::Allow => Fate::Start,
            Overlap::CancelOld if newest_that_cancels != Some(place) => Fate::Skip(SUPERSEDED),
            _ if is_free => Fate::Start,
            Overlap::Skip => Fate::Skip(STILL_RUNNING),
            Overlap::Queue if waits >= FIRES_WAITING_MAX => Fate::Skip(QUEUE_FULL),
            Overlap::Queue => Fate::Wait,
            Overlap::CancelOld => {
                plan.cancel = standing.live.iter().filter(|live| !live.closing).map(|live| live.run).collect();
                Fate::Wait
            }
        };
        is_free &= fate != Fate::Start;
        waits += usize::from(fate == Fate::Wait);
        if is_new || fate != Fate::Wait {
            plan.fires.push(Planned { at, overlap, is_new, fate });
        }
    }
    plan
}

/// The instants that are due and not too late, some at a time; what comes after them is the plan's next.
fn due(standing: &Standing, now: Timestamp, plan: &mut Plan) -> Vec<Timestamp> {
    plan.next_at = standing.next_at;
    let Some(first) = standing.next_at.filter(|next| *next <= now) else { return Vec::new() };
    let oldest = now.checked_sub_signed(chrono::TimeDelta::from_std(standing.catch_up).unwrap_or_default());
    let in_time = |at: Timestamp| oldest.is_none_or(|oldest| at >= oldest);
    let mut next = Some(first);
    if !in_time(first) {
        // The one before the first that is in time: whatever lies between is passed over at once.
        next = oldest.and_then(|oldest| standing.when.after(oldest - chrono::TimeDelta::microseconds(1)));
        let until = next.filter(|next| *next <= now).or(oldest).unwrap_or(now);
        plan.missed = Some((first, until));
    }
    let mut due = Vec::new();
    while let Some(at) = next.filter(|at| *at <= now && due.len() < FIRES_PER_LOOK_MAX) {
        due.push(at);
        next = standing.when.after(at);
    }
    plan.next_at = next;
    due
}

#[cfg(test)]
mod tests {
    use super::super::Cron;
    use super::*;

    fn at(text: &str) -> Timestamp {
        format!("2026-05-04T{text}:00Z").parse().expect("an instant")
    }

    fn hourly(overlap: Overlap, next: &str) -> Standing {
        let cron = Cron::parse("0 * * * *", "UTC", at("00:00")).expect("an expression");
        Standing {
            when: When::Cron(Box::new(cron)),
            overlap,
            catch_up: Duration::from_hours(3),
            next_at: Some(at(next)),
            waiting: Vec::new(),
            live: Vec::new(),
        }
    }

    fn live(closing: bool) -> LiveRun {
        LiveRun { run: RunId(uuid::Uuid::from_u128(7)), closing }
    }

    fn fates(plan: &Plan) -> Vec<(Timestamp, Fate)> {
        plan.fires.iter().map(|fire| (fire.at, fire.fate)).collect()
    }

    #[test]
    fn an_instant_starts_once_it_is_due_and_the_next_follows_it() {
        let early = plan(&hourly(Overlap::Skip, "10:00"), at("09:59"));
        assert_eq!(early, Plan { next_at: Some(at("10:00")), ..Plan::default() });
        let due = plan(&hourly(Overlap::Skip, "10:00"), at("10:00"));
        assert_eq!((fates(&due), due.next_at), (vec![(at("10:00"), Fate::Start)], Some(at("11:00"))));
    }

    #[test]
    fn what_was_missed_is_caught_up_within_its_window_and_named_beyond_it() {
        let late = plan(&hourly(Overlap::Allow, "02:00"), at("10:30"));
        let started = ["08:00", "09:00", "10:00"].map(|text| (at(text), Fate::Start));
        assert_eq!(fates(&late), started);
        assert_eq!((late.missed, late.next_at), (Some((at("02:00"), at("08:00"))), Some(at("11:00"))));
    }

    #[test]
    fn once_is_once_and_too_late_is_missed() {
        let once = |now| plan(&Standing { when: When::Once(at("10:00")), ..hourly(Overlap::Skip, "10:00") }, at(now));
        let in_time = once("12:59");
        assert_eq!((fates(&in_time), in_time.next_at), (vec![(at("10:00"), Fate::Start)], None));
        let late = once("13:01");
        assert_eq!((fates(&late), late.next_at), (Vec::new(), None));
        assert_eq!(late.missed, Some((at("10:00"), at("10:01"))));
    }

    #[test]
    fn a_run_that_has_not_ended_decides_by_the_overlap() {
        let with = |overlap| Standing { live: vec![live(false)], ..hourly(overlap, "09:00") };
        let check = |overlap, expected: [Fate; 2], cancels: usize| {
            let plan = plan(&with(overlap), at("10:00"));
            assert_eq!(fates(&plan), [(at("09:00"), expected[0]), (at("10:00"), expected[1])], "{overlap:?}");
            assert_eq!(plan.cancel.len(), cancels, "{overlap:?}");
        };
        check(Overlap::Allow, [Fate::Start; 2], 0);
        check(Overlap::Skip, [Fate::Skip(STILL_RUNNING); 2], 0);
        check(Overlap::Queue, [Fate::Wait; 2], 0);
        check(Overlap::CancelOld, [Fate::Skip(SUPERSEDED), Fate::Wait], 1);
    }

    #[test]
    fn of_several_at_once_one_starts_unless_they_may_overlap() {
        let check = |overlap, expected: [Fate; 2]| {
            let plan = plan(&hourly(overlap, "09:00"), at("10:00"));
            assert_eq!(fates(&plan), [(at("09:00"), expected[0]), (at("10:00"), expected[1])], "{overlap:?}");
        };
        check(Overlap::Allow, [Fate::Start; 2]);
        check(Overlap::Skip, [Fate::Start, Fate::Skip(STILL_RUNNING)]);
        check(Overlap::Queue, [Fate::Start, Fate::Wait]);
        check(Overlap::CancelOld, [Fate::Skip(SUPERSEDED), Fate::Start]);
    }

    #[test]
    fn those_that_wait_go_first_and_one_that_still_waits_is_not_told_again() {
        let waiting = |overlap, text| Waiting { at: at(text), overlap };
        let standing = Standing {
            waiting: vec![waiting(Overlap::Queue, "07:00"), waiting(Overlap::Queue, "08:00")],
            ..hourly(Overlap::Queue, "11:00")
        };
        let free = plan(&standing, at("10:00"));
        assert_eq!(fates(&free), [(at("07:00"), Fate::Start)]);
        let busy = plan(&Standing { live: vec![live(true)], ..standing }, at("10:00"));
        assert_eq!(fates(&busy), []);
    }

    #[test]
    fn a_run_that_is_ending_is_not_cancelled_again() {
        let waiting = vec![Waiting { at: at("09:00"), overlap: Overlap::CancelOld }];
        let standing = Standing { waiting, live: vec![live(true)], ..hourly(Overlap::CancelOld, "11:00") };
        assert_eq!(plan(&standing, at("10:00")).cancel, []);
    }

    #[test]
    fn one_look_takes_some_and_the_next_goes_on() {
        let mut standing = hourly(Overlap::Allow, "00:00");
        let cron = Cron::parse("* * * * * *", "UTC", at("00:00")).expect("an expression");
        standing.when = When::Cron(Box::new(cron));
        let first = plan(&standing, at("01:00"));
        assert_eq!(first.fires.len(), FIRES_PER_LOOK_MAX);
        let last = first.fires.last().expect("some").at;
        assert_eq!(first.next_at, Some(last + chrono::TimeDelta::seconds(1)));
    }
}
