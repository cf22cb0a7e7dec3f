//! What limits promise, watched at every statement that lets something begin, ends something or cancels a run. It is told from the rows of
//! steps and runs and from what was granted: never from the rows of slots, which the statements themselves go by.

use std::collections::{BTreeMap, BTreeSet};

use chrono::TimeDelta;
use valet_core::Timestamp;
use valet_core::id::{RunId, Seq};
use valet_core::limits::{LimitKey, LimitText};
use valet_core::run::Status;
use valet_core::transition::StepState;
use valet_engine::store::{OverWhy, RunOver};
use valet_protocol::api::WhenFull;

use super::Tables;
use super::audit::StepKey;
use super::limits::{LimitRecord, has_slot};

/// Who cancels a run, in its journal.
const BY: &str = "limit/";

/// A slot that a step was said to need.
#[derive(Clone)]
pub(super) struct Need {
    pub key: LimitKey,
    /// Once for its run.
    pub of_run: bool,
    pub since: Timestamp,
}

/// Runs, and steps of those that need a slot for each.
type Holders = BTreeSet<(RunId, Seq)>;

/// What was seen of limits so far.
#[derive(Default)]
pub(super) struct LimitsAudit {
    /// What live steps need.
    pub needed: BTreeMap<StepKey, Vec<Need>>,
    at_work: BTreeMap<LimitKey, Holders>,
    /// Runs that were at work while their limit gave slots for life, until they have ended.
    living: BTreeMap<LimitKey, BTreeSet<RunId>>,
    /// Steps of runs that waited when a later one of their key began.
    left_behind: BTreeSet<(LimitKey, StepKey)>,
    /// What limits said is to be cancelled.
    over: BTreeSet<(RunId, String, &'static str)>,
}

impl Tables {
    /// Steps that may be granted, or are, by the keys that they need.
    fn holders(&self) -> BTreeMap<LimitKey, Holders> {
        let mut holders: BTreeMap<LimitKey, Holders> = BTreeMap::new();
        for (at, needs) in &self.audit.limits.needed {
            if self.steps.get(at).is_some_and(|step| has_slot(step.state)) {
                for need in needs {
                    let seq = if need.of_run { Seq(0) } else { at.1 };
                    holders.entry(need.key.clone()).or_default().insert((at.0, seq));
                }
            }
        }
        holders
    }

    /// Who is at work when a limit goes over to slots for life has one, however many they are.
    pub(super) fn audit_put(&mut self, text: &LimitText) {
        let of_it = |key: &&LimitKey| key.tenant == text.tenant && key.limit == text.name;
        let keys: BTreeSet<LimitKey> = self.holders().keys().filter(of_it).cloned().collect();
        for key in keys
            .iter()
            .filter(|key| self.limit_of(key).is_some_and(LimitRecord::is_for_life))
            .cloned()
            .collect::<Vec<_>>()
        {
            self.audit_holders(&key);
        }
    }

    /// Before a key gives anything out: what is at work has its slot for life, and has no longer what the limit does not give.
    pub(super) fn audit_holders(&mut self, key: &LimitKey) {
        if self.limit_of(key).is_some_and(LimitRecord::is_for_life) {
            let runs = self.holders().remove(key).unwrap_or_default().into_iter().map(|(run, _)| run);
            self.audit.limits.living.entry(key.clone()).or_default().extend(runs);
        } else {
            self.audit.limits.living.remove(key);
        }
    }

    /// At no instant more is at work than a limit said when the last of it began, nor lives where slots are for life.
    pub(super) fn audit_limits(&mut self) {
        if self.audit.limits.needed.is_empty() && self.audit.limits.at_work.is_empty() {
            return;
        }
        let steps = &self.steps;
        self.audit.limits.needed.retain(|at, _| steps.contains_key(at));
        let holders = self.holders();
        let before = std::mem::take(&mut self.audit.limits.at_work);
        let none = Holders::new();
        for (key, now) in &holders {
            let Some(rule) = self.limit_of(key) else { continue };
            let Some(most) = rule.figures.most else { continue };
            let before = before.get(key).unwrap_or(&none);
            if !rule.is_for_life() {
                if now.len() > most as usize && !now.is_subset(before) {
                    self.audit.complain(None, format!("{} are at work under {key:?}", now.len()));
                }
                continue;
            }
            let runs = &self.runs;
            let living = self.audit.limits.living.entry(key.clone()).or_default();
            living.retain(|run| runs.get(run).is_some_and(|record| !record.ended));
            let mut begun = false;
            for holder in now {
                begun |= living.insert(holder.0) && !before.contains(holder);
            }
            let lives = living.len();
            if begun && lives > most as usize {
                self.audit.complain(None, format!("{lives} have begun and not ended under {key:?}"));
            }
        }
        self.audit.limits.at_work = holders;
    }

    /// Nothing of the run was granted, and nothing may be.
    fn has_not_begun(&self, run: RunId) -> bool {
        let queued = self.runs.get(&run).is_some_and(|record| !record.ended && record.row.status == Status::Queued);
        let let_in = |(_, step): (Seq, &super::StepRecord)| has_slot(step.state);
        queued && !self.audit.was_any_granted(run) && !self.steps_of(run).any(let_in)
    }

    /// Runs that wait for their first slot of the key: since when, and with which step.
    fn expectant(&self, key: &LimitKey) -> BTreeMap<RunId, (Timestamp, Seq)> {
        let mut came: BTreeMap<RunId, (Timestamp, Seq)> = BTreeMap::new();
        for (at, needs) in &self.audit.limits.needed {
            let waits = self.steps.get(at).is_some_and(|step| step.state == StepState::Blocked && !step.gated);
            for need in needs.iter().filter(|need| waits && need.key == *key) {
                let known = came.entry(at.0).or_insert((need.since, at.1));
                *known = (*known).min((need.since, at.1));
            }
        }
        came.retain(|run, _| self.has_not_begun(*run) && !self.has_its_life(key, *run));
        came
    }

    /// It has its slot of the key until it has ended, whatever was done of it.
    fn has_its_life(&self, key: &LimitKey, run: RunId) -> bool {
        self.limit_of(key).is_some_and(LimitRecord::is_for_life)
            && self.audit.limits.living.get(key).is_some_and(|living| living.contains(&run))
    }

    /// A later run of the key began while this one waited with the step that it still waits with.
    fn is_left_behind(&self, key: &LimitKey, run: RunId, expectant: &BTreeMap<RunId, (Timestamp, Seq)>) -> bool {
        let step = expectant.get(&run).map(|(_, seq)| (run, *seq));
        step.is_some_and(|step| self.audit.limits.left_behind.contains(&(key.clone(), step)))
    }

    /// A run is let in that did nothing yet: of those that come after one another only the last is, and once it is quiet.
    pub(super) fn audit_beginning(&mut self, at: StepKey, now: Timestamp) {
        if !self.has_not_begun(at.0) {
            return;
        }
        let needs = self.audit.limits.needed.get(&at).cloned().unwrap_or_default();
        for need in needs {
            let Some(debounce) = self.limit_of(&need.key).and_then(|rule| rule.figures.debounce) else { continue };
            if self.has_its_life(&need.key, at.0) {
                continue;
            }
            let expectant = self.expectant(&need.key);
            let came = expectant.get(&at.0).map_or(need.since, |(since, _)| *since);
            if let Some((later, _)) = expectant.iter().find(|(run, (since, _))| (*since, **run) > (came, at.0)) {
                let text = format!("it begins under {:?} though {later} came later", need.key);
                self.audit.complain(at.0, text);
            }
            let quiet = came + TimeDelta::milliseconds(debounce.quiet_ms as i64);
            if debounce.at_most_ms.is_none() && now < quiet {
                self.audit.complain(at.0, format!("it begins under {:?} before it is quiet", need.key));
            }
            if self.is_left_behind(&need.key, at.0, &expectant) {
                self.audit.complain(at.0, format!("it begins under {:?} after a later one did", need.key));
            }
            let of_others = |other: &StepKey| other.0 != at.0 && expectant.contains_key(&other.0);
            let needs = self.audit.limits.needed.iter().filter(|(other, _)| of_others(other));
            let needs = needs.filter(|(_, needs)| needs.iter().any(|other| other.key == need.key));
            let left: Vec<(LimitKey, StepKey)> = needs.map(|(other, _)| (need.key.clone(), *other)).collect();
            self.audit.limits.left_behind.extend(left);
        }
    }

    /// Who is to be cancelled is so for somebody else's sake, and nobody is spared who should be.
    pub(super) fn audit_over(&mut self, key: &LimitKey, over: &[RunOver]) {
        let Some(rule) = self.limit_of(key) else { return };
        let (figures, for_life) = (rule.figures, rule.is_for_life());
        let at_work = self.audit.limits.at_work.get(key).into_iter().flatten().map(|(run, _)| *run);
        let lives = |run: &RunId| self.runs.get(run).is_some_and(|record| !record.ended);
        let living = self.audit.limits.living.get(key).into_iter().flatten().copied().filter(lives);
        let begun: BTreeSet<RunId> = if for_life { living.collect() } else { at_work.collect() };
        let expectant = self.expectant(key);
        let is_full = figures.most.is_some_and(|most| begun.len() >= most as usize);
        let came = |run: RunId| self.runs.get(&run).map(|record| (record.identity.created_at, run));
        let is_replaced = |run: RunId| self.is_left_behind(key, run, &expectant);
        let mut complaints = Vec::new();
        for RunOver { run, why, .. } in over {
            let debounced = figures.debounce.is_some()
                && (is_replaced(*run)
                    || expectant.get(run).is_some_and(|(since, _)| {
                        expectant.iter().any(|(other, (at, _))| (*at, *other) > (*since, *run))
                    }));
            let later = || begun.iter().chain(expectant.keys()).any(|other| came(*other) > came(*run));
            let in_progress = figures.when_full == WhenFull::CancelInProgress && is_full && later();
            let rightly = match why {
                OverWhy::Full => figures.when_full == WhenFull::CancelNewest && is_full && !begun.contains(run),
                OverWhy::Replaced => debounced || in_progress,
                OverWhy::InProgress => in_progress,
                OverWhy::Expired => false,
            };
            if !rightly {
                complaints.push((*run, format!("it is cancelled as {why:?} under {key:?}, with {begun:?} at work")));
            }
        }
        let newest =
            expectant.iter().map(|(run, (since, _))| (*since, *run)).filter(|(_, run)| !is_replaced(*run)).max();
        for run in expectant.keys() {
            let full = figures.when_full == WhenFull::CancelNewest && is_full;
            let older = figures.debounce.is_some() && newest.map(|(_, newest)| newest) != Some(*run);
            if (full || older) && !over.iter().any(|one| one.run == *run) {
                complaints.push((*run, format!("it waits under {key:?}, which cancels it")));
            }
        }
        for (run, text) in complaints {
            self.audit.complain(run, text);
        }
        self.note_over(over);
    }

    /// Limits said that these are to be cancelled.
    pub(super) fn note_over(&mut self, over: &[RunOver]) {
        let said = over.iter().map(|one| (one.run, format!("{BY}{}", one.limit), one.why.reason()));
        self.audit.limits.over.extend(said);
    }

    /// A limit cancels a run only if it said so, and one that has begun only for a later one's sake.
    pub(super) fn audit_cancel(&mut self, run: RunId, by: &str, reason: &str) {
        if !by.starts_with(BY) {
            return;
        }
        if !self.was_over(run, by, reason) {
            self.audit.complain(run, format!("it is cancelled by {by} ({reason}), which never said so"));
        }
        if reason != OverWhy::InProgress.reason() && self.audit.was_any_granted(run) {
            self.audit.complain(run, format!("it is cancelled by {by} ({reason}) and had begun"));
        }
    }

    /// The limit of this name said that the run is to be cancelled.
    pub fn was_over(&self, run: RunId, by: &str, reason: &str) -> bool {
        self.audit.limits.over.iter().any(|(of, who, why)| *of == run && who == by && *why == reason)
    }
}
