//! `put_limit.sql`, `remove_limit.sql`, `limits_now.sql`, `admit.sql` with its functions, `waiting_keys.sql`, `expired_waits.sql`, and
//! what commits, ticks and `tidy.sql` do with slots.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use chrono::TimeDelta;
use valet_core::Timestamp;
use valet_core::id::{RunId, Seq};
use valet_core::limits::{LimitKey, LimitText, Slot};
use valet_core::run::{Reason, Status};
use valet_core::transition::{StepState, Transition};
use valet_engine::store::postgres::limits::LimitFigures;
use valet_engine::store::{Admitted, DueTicket, LimitsStamp, OverWhy, RunOver};
use valet_protocol::api::{SlotHold, WhenFull};

use super::Tables;
use super::audit::StepKey;
use crate::variant::BrokenVariant;

/// Steps that one call looks at for one key.
const LOOKED_AT_MAX: usize = 200;
/// Runs that one call cancels for one reason.
const OVER_MAX: usize = 200;
/// Keys that one look answers.
const WAITING_KEYS_MAX: usize = 1_000;

/// A limit's row.
pub(crate) struct LimitRecord {
    pub text: LimitText,
    pub figures: LimitFigures,
    version: i64,
}

impl LimitRecord {
    pub fn is_for_life(&self) -> bool {
        self.figures.hold == SlotHold::Live
    }
}

/// What is known of a key beside its slots.
#[derive(Clone, Default)]
pub(crate) struct KeyRecord {
    /// `None`: it always was.
    pub full_at: Option<Timestamp>,
    pub turn: f64,
    /// Since when runs come after one another, none of which has begun.
    pub quiet_from: Option<Timestamp>,
}

/// A slot that a step needs.
#[derive(Clone)]
pub(crate) struct SlotRecord {
    pub key: LimitKey,
    pub of_run: bool,
    pub priority: i16,
    pub share: Option<String>,
    pub turn: f64,
    pub since: Timestamp,
    pub held: bool,
    /// A later run of the key began while this one waited to.
    pub replaced: bool,
}

/// A run that waits to begin.
#[derive(Clone, Copy)]
struct ToBegin {
    since: Timestamp,
    run: RunId,
    replaced: bool,
}

/// By step and limit.
pub(crate) type SlotAt = (RunId, Seq, String);

/// Who has the slots of a key, and whether some of them left theirs.
type Had = (BTreeSet<StepKey>, bool);

pub(super) fn has_slot(state: StepState) -> bool {
    matches!(state, StepState::Ready | StepState::Running | StepState::Stopping)
}

impl Tables {
    pub fn put_limit(&mut self, text: &LimitText, figures: LimitFigures) {
        self.limit_versions += 1;
        let record = LimitRecord { text: text.clone(), figures, version: self.limit_versions };
        if record.is_for_life() {
            // Who has a slot at this instant has it for life from here on.
            let of_it = |slot: &SlotRecord| slot.key.tenant == text.tenant && slot.key.limit == text.name;
            let has = |at: &SlotAt| self.steps.get(&(at.0, at.1)).is_some_and(|step| has_slot(step.state));
            let held = self.slots.iter().filter(|(at, slot)| slot.held && of_it(slot) && has(at));
            self.slots_of_life.extend(held.map(|(at, slot)| (slot.key.clone(), at.0)).collect::<Vec<_>>());
        }
        self.limits.insert((text.tenant.clone(), text.name.clone()), record);
        self.audit_put(text);
    }

    pub fn remove_limit(&mut self, tenant: &str, name: &str) -> bool {
        self.limits.remove(&(tenant.to_owned(), name.to_owned())).is_some()
    }

    /// By now, or before.
    pub fn had_limits(&self) -> bool {
        self.limit_versions > 0
    }

    pub(super) fn limit_of(&self, key: &LimitKey) -> Option<&LimitRecord> {
        self.limits.get(&(key.tenant.clone(), key.limit.clone()))
    }

    pub fn limit_texts(&self) -> Vec<LimitText> {
        self.limits.values().map(|record| record.text.clone()).collect()
    }

    pub(super) fn limits_stamp(&self) -> Option<LimitsStamp> {
        let waits = self.slots.values().any(|slot| !slot.held);
        let version = self.limits.values().map(|record| record.version).max().unwrap_or_default();
        let stamp = LimitsStamp { count: self.limits.len() as u32, version };
        (waits || !self.limits.is_empty()).then_some(stamp)
    }

    pub(super) fn needs_slots(&self, (run, seq): StepKey) -> bool {
        self.slots_of((run, seq)).next().is_some()
    }

    pub(super) fn slots_of(&self, (run, seq): StepKey) -> impl Iterator<Item = (&SlotAt, &SlotRecord)> {
        self.slots.range((run, seq, String::new())..(run, Seq(seq.0 + 1), String::new()))
    }

    /// As a load tells them.
    pub(super) fn stored_slots(&self, at: StepKey) -> Vec<Slot> {
        let slot = |slot: &SlotRecord| Slot {
            limit: slot.key.limit.clone(),
            key: slot.key.key.clone(),
            of_run: slot.of_run,
            share: None,
            turn: 0.0,
        };
        self.slots_of(at).map(|(_, record)| slot(record)).collect()
    }

    /// Keys whose slots backed-off steps left.
    pub(super) fn left_keys(&self, again: &[StepKey]) -> Vec<LimitKey> {
        let keys: BTreeSet<&LimitKey> =
            again.iter().flat_map(|at| self.slots_of(*at)).map(|(_, slot)| &slot.key).collect();
        keys.into_iter().cloned().collect()
    }

    /// The rows that a statement adds, by what was there before it.
    pub(super) fn new_slots(&self, ok: &[&Transition]) -> Vec<(SlotAt, SlotRecord)> {
        let mut rows: Vec<(SlotAt, SlotRecord, f64)> = Vec::new();
        for transition in ok {
            let run = transition.run();
            rows.extend(transition.slots.iter().map(|row| {
                let record = SlotRecord {
                    key: LimitKey::of(&transition.identity.tenant, &row.slot),
                    of_run: row.slot.of_run,
                    priority: row.priority,
                    share: row.slot.share.clone(),
                    turn: 0.0,
                    since: transition.chunk.at,
                    held: row.held,
                    replaced: false,
                };
                ((run, row.seq, row.slot.limit.clone()), record, row.slot.turn)
            }));
        }
        rows.sort_by(|(a, ..), (b, ..)| a.cmp(b));
        let mut numbers: BTreeMap<(LimitKey, String), u32> = BTreeMap::new();
        let mut added = Vec::with_capacity(rows.len());
        for (at, mut record, turn) in rows {
            if let Some(share) = &record.share {
                let number = numbers.entry((record.key.clone(), share.clone())).or_default();
                *number += 1;
                let come_to = self.limit_keys.get(&record.key).map_or(0.0, |known| known.turn);
                let last = self.slots.values().filter(|slot| slot.key == record.key && slot.share == record.share);
                let last = last.map(|slot| slot.turn).fold(0.0, f64::max);
                record.turn = f64::max(come_to, last) + turn * f64::from(*number);
            }
            added.push((at, record));
        }
        added
    }

    pub fn admit(&mut self, keys: &[LimitKey], backlogged: &HashSet<String>, now: Timestamp) -> Admitted {
        let mut admitted = Admitted::default();
        for key in keys.iter().collect::<BTreeSet<_>>() {
            self.forget_slots(key);
            self.audit_holders(key);
            self.admit_key(key, backlogged, now, &mut admitted);
            self.audit_limits();
            let over = self.runs_over(key);
            self.audit_over(key, &over);
            admitted.over.extend(over);
        }
        admitted
    }

    /// What ended is forgotten, what left its slot waits again, and who is at work has its slot for life where the limit says so.
    fn forget_slots(&mut self, key: &LimitKey) {
        let steps = &self.steps;
        self.slots.retain(|(run, seq, _), slot| slot.key != *key || !slot.held || steps.contains_key(&(*run, *seq)));
        for ((run, seq, _), slot) in self.slots.iter_mut().filter(|(_, slot)| slot.key == *key) {
            slot.held &= steps.get(&(*run, *seq)).is_some_and(|step| has_slot(step.state));
        }
        let for_life = self.limit_of(key).is_some_and(LimitRecord::is_for_life);
        let held: Vec<RunId> = self.of_key(key).filter(|(_, slot)| slot.held).map(|(at, _)| at.0).collect();
        let forgets = self.is_broken(BrokenVariant::ForgetLiveSlot);
        let runs = &self.runs;
        self.slots_of_life.retain(|(of, run)| {
            let lives = runs.get(run).is_some_and(|record| !record.ended) && (!forgets || held.contains(run));
            of != key || (for_life && lives)
        });
        if for_life {
            self.slots_of_life.extend(held.into_iter().map(|run| (key.clone(), run)));
        }
    }

    fn admit_key(&mut self, key: &LimitKey, backlogged: &HashSet<String>, now: Timestamp, admitted: &mut Admitted) {
        let debounced = self.limit_of(key).is_some_and(|rule| rule.figures.debounce.is_some());
        let newest = if debounced { self.newest_to_begin(key).map(|newest| newest.run) } else { None };
        if debounced {
            let waiting = self.waiting_to_begin(key);
            if let Some(first) = waiting.iter().filter(|one| !one.replaced).map(|one| one.since).min() {
                self.limit_keys.entry(key.clone()).or_default().quiet_from.get_or_insert(first);
            }
        }
        let holders: BTreeSet<RunId> = self
            .of_key(key)
            .filter(|(_, s)| s.held && s.of_run)
            .map(|(at, _)| at.0)
            .chain(self.lives(key).map(|(_, run)| *run))
            .collect();
        let beside = self.of_key(key).filter(|(at, slot)| !slot.held && holders.contains(&at.0));
        for at in beside.map(|(at, _)| (at.0, at.1)).collect::<Vec<_>>() {
            if self.slot_at(key, at.0, now).is_some_and(|free| free <= now) {
                self.admit_step(at, &key.limit, backlogged, now, admitted);
            }
        }
        let waits = |at: &SlotAt| {
            let waits =
                self.steps.get(&(at.0, at.1)).is_none_or(|step| step.state == StepState::Blocked && !step.gated);
            waits && (!debounced || newest == Some(at.0) || !self.waits_to_begin(at.0))
        };
        let mut waiting: Vec<(&SlotAt, &SlotRecord)> =
            self.of_key(key).filter(|(at, slot)| !slot.held && waits(at)).collect();
        waiting.sort_by(|(a, one), (b, other)| {
            let turns = one.turn.total_cmp(&other.turn);
            other.priority.cmp(&one.priority).then(turns).then(one.since.cmp(&other.since)).then(a.cmp(b))
        });
        let waiting: Vec<StepKey> = waiting.into_iter().take(LOOKED_AT_MAX).map(|(at, _)| (at.0, at.1)).collect();
        let all_looked_at = waiting.len() < LOOKED_AT_MAX;
        for at in waiting {
            match self.slot_at(key, at.0, now) {
                Some(free) if free <= now => self.admit_step(at, &key.limit, backlogged, now, admitted),
                Some(free) => {
                    admitted.again.push((key.clone(), (free - now).to_std().unwrap_or_default()));
                    if !debounced {
                        return;
                    }
                }
                None if debounced => {}
                None => return,
            }
        }
        if !all_looked_at {
            admitted.again.push((key.clone(), std::time::Duration::ZERO));
        }
    }

    pub(super) fn of_key(&self, key: &LimitKey) -> impl Iterator<Item = (&SlotAt, &SlotRecord)> {
        self.slots.iter().filter(move |(_, slot)| slot.key == *key)
    }

    /// Runs that have their slot for life.
    fn lives(&self, key: &LimitKey) -> impl Iterator<Item = &(LimitKey, RunId)> {
        self.slots_of_life.iter().filter(move |(of, _)| of == key)
    }

    /// Nothing of the run was done yet, and nothing of it is let in.
    pub(super) fn waits_to_begin(&self, run: RunId) -> bool {
        let queued = self.runs.get(&run).is_some_and(|record| !record.ended && record.row.status == Status::Queued);
        queued && !self.steps_of(run).any(|(_, step)| has_slot(step.state))
    }

    /// By when they came. What is paused does not wait.
    fn waiting_to_begin(&self, key: &LimitKey) -> Vec<ToBegin> {
        let mut first: BTreeMap<RunId, (Timestamp, Seq, bool)> = BTreeMap::new();
        let waits = |(run, seq, _): &SlotAt| {
            self.steps.get(&(*run, *seq)).is_some_and(|step| step.state == StepState::Blocked && !step.gated)
        };
        for (at, slot) in self.of_key(key).filter(|(at, slot)| !slot.held && waits(at)) {
            let row = (slot.since, at.1, slot.replaced);
            let known = first.entry(at.0).or_insert(row);
            *known = (*known).min(row);
        }
        // Who has its slot for life began, whatever was done of it.
        let lives: BTreeSet<RunId> = self.lives(key).map(|(_, run)| *run).collect();
        let begins = first.into_iter().filter(|(run, _)| !lives.contains(run) && self.waits_to_begin(*run));
        let mut all: Vec<ToBegin> =
            begins.map(|(run, (since, _, replaced))| ToBegin { since, run, replaced }).collect();
        all.sort_by_key(|one| (one.since, one.run));
        all
    }

    fn newest_to_begin(&self, key: &LimitKey) -> Option<ToBegin> {
        self.waiting_to_begin(key).into_iter().rfind(|one| !one.replaced)
    }

    /// Runs that have a slot of the key.
    fn runs_with_slot(&self, key: &LimitKey, rule: &LimitRecord) -> BTreeSet<RunId> {
        if rule.is_for_life() {
            let lives = |run: &RunId| self.runs.get(run).is_some_and(|record| !record.ended);
            return self.lives(key).map(|(_, run)| *run).filter(lives).collect();
        }
        let has = |at: &SlotAt| self.steps.get(&(at.0, at.1)).is_some_and(|step| has_slot(step.state));
        self.of_key(key).filter(|(at, slot)| slot.held && has(at)).map(|(at, _)| at.0).collect()
    }

    /// When the key has a slot for a step of this run; `None`: nobody knows.
    fn slot_at(&self, key: &LimitKey, run: RunId, now: Timestamp) -> Option<Timestamp> {
        let Some(rule) = self.limit_of(key) else { return Some(now) };
        if let Some(most) = rule.figures.most {
            let holders: BTreeSet<(RunId, Seq)> = if rule.text.step.is_none() {
                self.runs_with_slot(key, rule).into_iter().map(|run| (run, Seq(0))).collect()
            } else {
                self.of_key(key)
                    .filter(|(at, slot)| {
                        slot.held && self.steps.get(&(at.0, at.1)).is_some_and(|step| has_slot(step.state))
                    })
                    .map(|(at, slot)| (at.0, if slot.of_run { Seq(0) } else { at.1 }))
                    .collect()
            };
            if holders.contains(&(run, Seq(0))) {
                return Some(now);
            }
            let one_more = u32::from(self.is_broken(BrokenVariant::AdmitOneMore));
            if holders.len() as u32 >= most + one_more {
                return None;
            }
        }
        let mut earliest = now;
        let known = self.limit_keys.get(key);
        if let (Some(full_at), Some(rate)) = (known.and_then(|known| known.full_at), rule.figures.rate) {
            let every = every(rate.per_ms, rate.count);
            earliest = earliest.max(full_at - every * (rate.burst as i32 - 1));
        }
        if let Some(debounce) = rule.figures.debounce.filter(|_| !self.is_broken(BrokenVariant::SkipQuiet)) {
            let ms = |ms: u64| TimeDelta::milliseconds(ms as i64);
            match self.newest_to_begin(key) {
                Some(newest) if newest.run == run => {
                    let quiet = newest.since + ms(debounce.quiet_ms);
                    let first = known.and_then(|known| known.quiet_from).zip(debounce.at_most_ms);
                    earliest = earliest.max(first.map_or(quiet, |(from, most)| quiet.min(from + ms(most))));
                }
                _ if self.waiting_to_begin(key).iter().any(|one| one.run == run) => return None,
                _ => {}
            }
        }
        Some(earliest)
    }

    /// Runs that are to be cancelled for others of the key.
    fn runs_over(&self, key: &LimitKey) -> Vec<RunOver> {
        let Some(rule) = self.limit_of(key) else { return Vec::new() };
        let over = |why| move |run| RunOver { run, limit: key.limit.clone(), why };
        let waiting = self.waiting_to_begin(key);
        let with_slot = self.runs_with_slot(key, rule);
        let is_full = rule.figures.most.is_some_and(|most| with_slot.len() as u32 >= most);
        let mut all = Vec::new();
        if rule.figures.debounce.is_some() {
            let newest = self.newest_to_begin(key).map(|newest| newest.run);
            let older = waiting.iter().rev().map(|one| one.run).filter(|run| Some(*run) != newest);
            all.extend(older.take(OVER_MAX).map(over(OverWhy::Replaced)));
        }
        match rule.figures.when_full {
            WhenFull::CancelNewest if is_full => {
                all.extend(waiting.iter().rev().map(|one| one.run).take(OVER_MAX).map(over(OverWhy::Full)));
                if self.is_broken(BrokenVariant::DismissBegun) && !waiting.is_empty() {
                    all.extend(with_slot.into_iter().map(over(OverWhy::InProgress)));
                }
            }
            WhenFull::CancelInProgress if is_full && !waiting.is_empty() => {
                let came = |run: RunId| self.runs.get(&run).map(|record| (record.identity.created_at, run));
                let waiting = waiting.iter().map(|one| (came(one.run), one.run, OverWhy::Replaced));
                let with_slot = with_slot.into_iter().map(|run| (came(run), run, OverWhy::InProgress));
                let mut both: Vec<_> = waiting.chain(with_slot).collect();
                both.sort_by_key(|(came, ..)| *came);
                if !self.is_broken(BrokenVariant::CancelTheNewest) {
                    both.reverse();
                }
                let most = rule.figures.most.unwrap_or_default() as usize;
                all.extend(both.into_iter().skip(most).take(OVER_MAX).map(|(_, run, why)| over(why)(run)));
            }
            WhenFull::Queue | WhenFull::CancelNewest | WhenFull::CancelInProgress => {}
        }
        all
    }

    fn admit_step(
        &mut self,
        at: StepKey,
        but_not: &str,
        backlogged: &HashSet<String>,
        now: Timestamp,
        admitted: &mut Admitted,
    ) {
        let Some(step) = self.steps.get(&at) else {
            self.slots.retain(|(run, seq, _), _| (*run, *seq) != at);
            return;
        };
        let others = self.slots_of(at).filter(|((.., limit), _)| limit != but_not);
        let lacks =
            others.map(|(_, slot)| self.slot_at(&slot.key, at.0, now)).any(|free| free.is_none_or(|free| free > now));
        let lacks = lacks && !self.is_broken(BrokenVariant::AdmitByOneLimit);
        if step.state != StepState::Blocked || step.gated || self.holds_step(at.0, &step.queue) || lacks {
            return;
        }
        let name = step.name.clone();
        if self.waits_to_begin(at.0) {
            self.begin_run(at, now);
        }
        for (_, slot) in self.slots.range_mut((at.0, at.1, String::new())..(at.0, Seq(at.1.0 + 1), String::new())) {
            slot.held = true;
            let rule = self.limits.get(&(slot.key.tenant.clone(), slot.key.limit.clone()));
            if rule.is_some_and(LimitRecord::is_for_life) {
                self.slots_of_life.insert((slot.key.clone(), at.0));
            }
            let Some(rule) = rule.filter(|rule| slot.share.is_some() || rule.figures.rate.is_some()) else { continue };
            let known = self.limit_keys.entry(slot.key.clone()).or_default();
            known.turn = known.turn.max(slot.turn);
            if let Some(rate) = rule.figures.rate {
                let from = known.full_at.map_or(now, |full_at| full_at.max(now));
                known.full_at = Some(from + every(rate.per_ms, rate.count));
            }
        }
        let Some(step) = self.steps.get_mut(&at) else { return };
        step.state = StepState::Ready;
        if backlogged.contains(&step.queue) {
            step.ticketed_at = None;
            admitted.backlog = true;
        } else {
            step.ticketed_at = Some(now);
            let (queue, prefers, attempt) = (step.queue.clone(), step.prefers(), step.attempt);
            admitted.tickets.push(DueTicket { queue, prefers, run: at.0, seq: at.1, attempt });
        }
        let Some(run) = self.runs.get_mut(&at.0) else { return };
        let shows = matches!(
            run.row.reason,
            Some(Reason::Limit { seq, .. } | Reason::BackingOff { seq, .. }) if seq == at.1
        );
        if shows && matches!(run.row.status, Status::Queued | Status::Waiting | Status::Running) {
            run.row.status = Status::Running;
            run.row.reason = Some(Reason::Step { name, seq: at.1 });
        }
    }

    /// All that wait with a debounced run that begins never do.
    fn begin_run(&mut self, at: StepKey, now: Timestamp) {
        self.audit_beginning(at, now);
        let keys: Vec<LimitKey> = self.slots_of(at).map(|(_, slot)| slot.key.clone()).collect();
        for key in keys {
            let debounces = self.limit_of(&key).is_some_and(|rule| rule.figures.debounce.is_some());
            if !debounces || self.lives(&key).any(|(_, run)| *run == at.0) {
                continue;
            }
            let others = self.waiting_to_begin(&key).into_iter().filter(|one| !one.replaced && one.run != at.0);
            let others: BTreeSet<RunId> = others.map(|one| one.run).collect();
            for ((run, ..), slot) in self.slots.iter_mut().filter(|(_, slot)| slot.key == key && !slot.held) {
                slot.replaced |= others.contains(run);
            }
            if let Some(known) = self.limit_keys.get_mut(&key) {
                known.quiet_from = None;
            }
        }
    }

    pub fn waiting_keys(&self) -> Vec<LimitKey> {
        let mut had: BTreeMap<&LimitKey, Had> = BTreeMap::new();
        for ((run, seq, _), slot) in self.slots.iter().filter(|(_, slot)| slot.held) {
            let (holders, left_some) = had.entry(&slot.key).or_default();
            holders.insert((*run, if slot.of_run { Seq(0) } else { *seq }));
            *left_some |= self.steps.get(&(*run, *seq)).is_none_or(|step| !has_slot(step.state));
        }
        let may_have = |key: &&LimitKey| {
            let Some(rule) = self.limit_of(key) else { return true };
            // Who has the key's slot as a run may lack it for one of its steps.
            let of_runs = self.of_key(key).filter(|(_, slot)| slot.held && slot.of_run).map(|(at, _)| at.0);
            let lives = self.lives(key).map(|(_, run)| *run).filter(|_| rule.is_for_life());
            let holders: BTreeSet<RunId> = of_runs.chain(lives).collect();
            let lacks = |at: &SlotAt| {
                let step = self.steps.get(&(at.0, at.1));
                holders.contains(&at.0) && step.is_some_and(|step| step.state == StepState::Blocked && !step.gated)
            };
            if self.of_key(key).any(|(at, slot)| !slot.held && lacks(at)) {
                return true;
            }
            if rule.figures.when_full != WhenFull::Queue || rule.figures.debounce.is_some() {
                return true;
            }
            let Some(most) = rule.figures.most else { return true };
            if rule.is_for_life() {
                return (self.runs_with_slot(key, rule).len() as u32) < most;
            }
            had.get(key).is_none_or(|(holders, left)| *left || (holders.len() as u32) < most)
        };
        let waiting = self.slots.values().filter(|slot| !slot.held).map(|slot| &slot.key).filter(may_have);
        let left = had.iter().filter(|(_, (_, left_some))| *left_some).map(|(key, _)| *key);
        let keys: BTreeSet<&LimitKey> = waiting.chain(left).collect();
        keys.into_iter().take(WAITING_KEYS_MAX).cloned().collect()
    }

    pub fn keys_of_life(&self, ended: &[RunId]) -> Vec<LimitKey> {
        let of = self.slots_of_life.iter().filter(|(_, run)| ended.contains(run)).map(|(key, _)| key.clone());
        of.collect::<BTreeSet<_>>().into_iter().collect()
    }

    pub fn expired_waits(&mut self, now: Timestamp) -> Vec<RunOver> {
        let over = |((run, ..), slot): (&SlotAt, &SlotRecord)| {
            let rule = self.limits.get(&(slot.key.tenant.clone(), slot.key.limit.clone()))?;
            let span = TimeDelta::milliseconds(rule.figures.expires_ms? as i64);
            let waits = self.runs.get(run).is_some_and(|run| run.row.status == Status::Queued && !run.row.paused);
            let over = RunOver { run: *run, limit: slot.key.limit.clone(), why: OverWhy::Expired };
            (waits && !slot.held && slot.since < now - span).then_some(over)
        };
        let mut all: Vec<RunOver> = self.slots.iter().filter_map(over).collect();
        all.sort_by(|a, b| (a.run, &a.limit).cmp(&(b.run, &b.limit)));
        all.dedup();
        self.note_over(&all);
        all
    }

    pub(super) fn tidy_limits(&mut self, now: Timestamp) {
        let (slots, steps) = (&self.slots, &self.steps);
        self.limit_keys.retain(|key, known| {
            known.full_at.is_some_and(|at| at >= now) || slots.values().any(|slot| slot.key == *key)
        });
        self.slots.retain(|(run, seq, _), _| steps.contains_key(&(*run, *seq)));
        let runs = &self.runs;
        self.slots_of_life.retain(|(_, run)| runs.get(run).is_some_and(|record| !record.ended));
    }
}

fn every(per_ms: u64, count: u32) -> TimeDelta {
    TimeDelta::microseconds(per_ms as i64 * 1_000 / i64::from(count))
}
