//! `put_limit.sql`, `limits_now.sql`, `admit.sql` with its functions, `waiting_keys.sql`, and what commits, ticks and `tidy.sql` do
//! with slots.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use chrono::TimeDelta;
use valet_core::Timestamp;
use valet_core::id::{RunId, Seq};
use valet_core::limits::{LimitKey, LimitText, Slot};
use valet_core::run::{Reason, Status};
use valet_core::transition::{StepState, Transition};
use valet_engine::store::postgres::limits::LimitFigures;
use valet_engine::store::{Admitted, DueTicket, LimitsStamp, OverWhy, RunOver};

use super::audit::StepKey;
use super::{StepRecord, Tables};
use crate::variant::BrokenVariant;

/// Steps that one call looks at for one key.
const LOOKED_AT_MAX: usize = 200;
/// Keys that one look answers.
const WAITING_KEYS_MAX: usize = 1_000;

/// A limit's row.
pub(crate) struct LimitRecord {
    text: LimitText,
    figures: LimitFigures,
    version: i64,
}

/// What is known of a key beside its slots.
#[derive(Clone, Default)]
pub(crate) struct KeyRecord {
    /// `None`: it always was.
    pub full_at: Option<Timestamp>,
    pub turn: f64,
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
}

/// By step and limit.
pub(crate) type SlotAt = (RunId, Seq, String);

/// Who has the slots of a key, and whether some of them left theirs.
type Had = (BTreeSet<StepKey>, bool);

fn has_slot(state: StepState) -> bool {
    matches!(state, StepState::Ready | StepState::Running | StepState::Stopping)
}

impl Tables {
    pub fn put_limit(&mut self, text: &LimitText, figures: LimitFigures) {
        self.limit_versions += 1;
        let record = LimitRecord { text: text.clone(), figures, version: self.limit_versions };
        self.limits.insert((text.tenant.clone(), text.name.clone()), record);
    }

    pub fn has_limits(&self) -> bool {
        !self.limits.is_empty()
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
            self.admit_key(key, backlogged, now, &mut admitted);
        }
        self.audit_limits();
        admitted
    }

    fn admit_key(&mut self, key: &LimitKey, backlogged: &HashSet<String>, now: Timestamp, admitted: &mut Admitted) {
        let steps = &self.steps;
        self.slots.retain(|(run, seq, _), slot| slot.key != *key || !slot.held || steps.contains_key(&(*run, *seq)));
        for ((run, seq, _), slot) in self.slots.iter_mut().filter(|(_, slot)| slot.key == *key) {
            slot.held &= steps.get(&(*run, *seq)).is_some_and(|step| has_slot(step.state));
        }
        let holders: BTreeSet<RunId> =
            self.of_key(key).filter(|(_, s)| s.held && s.of_run).map(|(at, _)| at.0).collect();
        let beside = self.of_key(key).filter(|(at, slot)| !slot.held && holders.contains(&at.0));
        for at in beside.map(|(at, _)| (at.0, at.1)).collect::<Vec<_>>() {
            if self.slot_at(key, at.0, now).is_some_and(|free| free <= now) {
                self.admit_step(at, &key.limit, backlogged, now, admitted);
            }
        }
        let waits = |at: &SlotAt| {
            self.steps.get(&(at.0, at.1)).is_none_or(|step| step.state == StepState::Blocked && !step.gated)
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
                    return;
                }
                None => return,
            }
        }
        if !all_looked_at {
            admitted.again.push((key.clone(), std::time::Duration::ZERO));
        }
    }

    fn of_key(&self, key: &LimitKey) -> impl Iterator<Item = (&SlotAt, &SlotRecord)> {
        self.slots.iter().filter(move |(_, slot)| slot.key == *key)
    }

    /// When the key has a slot for a step of this run; `None`: nobody knows.
    fn slot_at(&self, key: &LimitKey, run: RunId, now: Timestamp) -> Option<Timestamp> {
        let Some(rule) = self.limits.get(&(key.tenant.clone(), key.limit.clone())) else { return Some(now) };
        if let Some(most) = rule.figures.most {
            let holders: BTreeSet<(RunId, Seq)> = self
                .of_key(key)
                .filter(|(at, slot)| {
                    slot.held && self.steps.get(&(at.0, at.1)).is_some_and(|step| has_slot(step.state))
                })
                .map(|(at, slot)| (at.0, if slot.of_run { Seq(0) } else { at.1 }))
                .collect();
            if holders.contains(&(run, Seq(0))) {
                return Some(now);
            }
            let one_more = u32::from(self.is_broken(BrokenVariant::AdmitOneMore));
            if holders.len() as u32 >= most + one_more {
                return None;
            }
        }
        let mut earliest = now;
        if let (Some(known), Some(rate)) = (self.limit_keys.get(key), rule.figures.rate)
            && let Some(full_at) = known.full_at
        {
            let every = every(rate.per_ms, rate.count);
            earliest = earliest.max(full_at - every * (rate.burst as i32 - 1));
        }
        Some(earliest)
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
        for (_, slot) in self.slots.range_mut((at.0, at.1, String::new())..(at.0, Seq(at.1.0 + 1), String::new())) {
            slot.held = true;
            let rule = self.limits.get(&(slot.key.tenant.clone(), slot.key.limit.clone()));
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

    pub fn waiting_keys(&self) -> Vec<LimitKey> {
        let mut had: BTreeMap<&LimitKey, Had> = BTreeMap::new();
        for ((run, seq, _), slot) in self.slots.iter().filter(|(_, slot)| slot.held) {
            let (holders, left_some) = had.entry(&slot.key).or_default();
            holders.insert((*run, if slot.of_run { Seq(0) } else { *seq }));
            *left_some |= self.steps.get(&(*run, *seq)).is_none_or(|step| !has_slot(step.state));
        }
        let may_have = |key: &&LimitKey| {
            let rule = self.limits.get(&(key.tenant.clone(), key.limit.clone()));
            let most = rule.and_then(|rule| rule.figures.most);
            let of = had.get(key);
            most.is_none_or(|most| of.is_none_or(|(holders, left)| *left || (holders.len() as u32) < most))
        };
        let waiting = self.slots.values().filter(|slot| !slot.held).map(|slot| &slot.key).filter(may_have);
        let left = had.iter().filter(|(_, (_, left_some))| *left_some).map(|(key, _)| *key);
        let keys: BTreeSet<&LimitKey> = waiting.chain(left).collect();
        keys.into_iter().take(WAITING_KEYS_MAX).cloned().collect()
    }

    pub fn expired_waits(&self, now: Timestamp) -> Vec<RunOver> {
        let over = |((run, ..), slot): (&SlotAt, &SlotRecord)| {
            let rule = self.limits.get(&(slot.key.tenant.clone(), slot.key.limit.clone()))?;
            let span = TimeDelta::milliseconds(rule.figures.expires_ms? as i64);
            let waits = self.runs.get(run).is_some_and(|run| run.row.status == Status::Queued && !run.row.paused);
            let over = RunOver { run: *run, limit: slot.key.limit.clone(), why: OverWhy::Expired };
            (waits && !slot.held && slot.since < now - span).then_some(over)
        };
        let mut all: Vec<RunOver> = self.slots.iter().filter_map(over).collect();
        all.dedup();
        all
    }

    pub(super) fn tidy_limits(&mut self, now: Timestamp) {
        let (slots, steps) = (&self.slots, &self.steps);
        self.limit_keys.retain(|key, known| {
            known.full_at.is_some_and(|at| at >= now) || slots.values().any(|slot| slot.key == *key)
        });
        self.slots.retain(|(run, seq, _), _| steps.contains_key(&(*run, *seq)));
    }

    /// At no instant more are granted than a limit says, whatever the slots' rows say.
    pub(super) fn audit_limits(&mut self) {
        if self.limits.is_empty() {
            return;
        }
        let mut granted: BTreeMap<&LimitKey, BTreeSet<(RunId, Seq)>> = BTreeMap::new();
        let at_work = |record: &StepRecord| record.lease.is_some();
        for (at, needs) in &self.audit.needed {
            if self.steps.get(at).is_some_and(at_work) {
                for (key, of_run) in needs {
                    granted.entry(key).or_default().insert((at.0, if *of_run { Seq(0) } else { at.1 }));
                }
            }
        }
        let over = granted.iter().find(|(key, holders)| {
            let rule = self.limits.get(&(key.tenant.clone(), key.limit.clone()));
            rule.and_then(|rule| rule.figures.most).is_some_and(|most| holders.len() as u32 > most)
        });
        if let Some(text) = over.map(|(key, holders)| format!("{} are at work under {key:?}", holders.len())) {
            self.audit.complain(None, text);
        }
    }
}

fn every(per_ms: u64, count: u32) -> TimeDelta {
    TimeDelta::microseconds(per_ms as i64 * 1_000 / i64::from(count))
}
