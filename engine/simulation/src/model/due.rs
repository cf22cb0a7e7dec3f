//! `tick.sql`, `backlogged_queues.sql`, `top_up.sql`, `lost_tickets.sql`, `free_places.sql`, `left_tickets.sql`, `tidy.sql`.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use chrono::TimeDelta;
use valet_core::Timestamp;
use valet_core::id::{Attempt, RunId, SHARDS, Seq, SessionId};
use valet_core::run::Status;
use valet_core::transition::{StepState, Unserved};
use valet_engine::bounds::TIMERS_PER_TICK_MAX;
use valet_engine::pauses::{PauseScope, Paused};
use valet_engine::store::{Due, DueTicket, FreePlaces, LostStep, QueueWorkers, SessionKind};

use super::audit::StepKey;
use super::{RunRecord, SessionRecord, ShardRecord, StepRecord, Tables};
use crate::variant::BrokenVariant;

/// Messages, and attempts, that one tick answers.
const DUE_MAX: usize = 1_000;
/// Stuck runs that one tick tries with a newer build, and runs to which it has something delivered that an older one held up.
const TRIED_MAX: usize = 20;
const REVIVED_MAX: usize = 100;
/// Tickets made anew by one statement.
const TICKETS_MAX: usize = 2_000;

impl Tables {
    pub fn tick(&mut self, engine: SessionId, lease: Duration, build: i64, now: Timestamp) -> Due {
        // Everything is read before anything is written, as in the statement.
        let queues = self.queue_workers(now);
        let unserved = self.may_be_unserved();
        let me = self.sessions.get_mut(&engine).map(|record| {
            record.seen_at = now;
            record.expires_at = now + lease;
        });
        let mine = self.take_shards(engine, lease, now, me.is_some());
        let mut due = Due { shards: me.map(|()| mine.len() as u32), queues, ..Due::default() };
        self.sweep(&mine, now, &mut due);
        let again = self.ready_again(&mine, now);
        let (blocked, ready): (Vec<StepKey>, Vec<StepKey>) =
            again.iter().partition(|at| self.steps.get(*at).is_some_and(|step| step.state == StepState::Blocked));
        due.slot_keys = self.left_keys(&blocked);
        due.limits = self.limits_stamp();
        due.slots_of_life = due.limits.is_some() && !self.slots_of_life.is_empty();
        let owned = |run: &RunId| mine.contains(&run.shard());
        let mut timers: Vec<_> = self
            .timers
            .iter()
            .filter(|((run, _), (at, unserved))| {
                owned(run) && *at <= now && unserved.as_ref().is_none_or(|unserved| self.is_unserved(unserved, now))
            })
            .map(|(key, (at, _))| (*at, *key))
            .collect();
        timers.sort_unstable();
        due.timers = timers.into_iter().map(|(_, key)| key).take(TIMERS_PER_TICK_MAX).collect();
        let late = now - TimeDelta::seconds(1);
        let mut inbox: Vec<_> = self.inbox.iter().filter(|((to, ..), mail)| owned(to) && mail.sent_at < late).collect();
        inbox.sort_by_key(|((_, _, number), mail)| (mail.sent_at, *number));
        due.inbox = inbox.into_iter().map(|(key, _)| *key).take(DUE_MAX).collect();
        due.revivable = self.revivable(build);
        due.pauses.clone_from(&self.pauses);
        let queues: BTreeSet<&String> = ready.iter().filter_map(|key| Some(&self.steps.get(key)?.queue)).collect();
        due.ready_queues = queues.into_iter().cloned().collect();
        // Two statements more, if there is something for them to do.
        self.show_again(&again);
        if unserved {
            self.show_unserved(now);
        }
        due
    }

    fn is_unserved(&self, unserved: &Unserved, now: Timestamp) -> bool {
        let since = now - TimeDelta::milliseconds(unserved.ms as i64);
        !self.sessions.iter().any(|(id, record)| {
            unserved.session.is_none_or(|session| session == *id)
                && record.kind == SessionKind::Worker
                && record.queues.contains(&unserved.queue)
                && (record.expires_at > now || record.seen_at > since)
        })
    }

    fn revivable(&self, build: i64) -> Vec<RunId> {
        let waits = |(run, record): (&RunId, &RunRecord)| {
            let needs = record.row.waits_for_build.filter(|needs| *needs <= build)?;
            let is_stuck = record.row.status == Status::Stuck;
            (is_stuck || !self.holds_run(*run)).then_some((needs, *run, is_stuck))
        };
        let mut found: Vec<_> = self.live_runs().filter_map(waits).collect();
        found.sort_unstable();
        let (stuck, held): (Vec<_>, Vec<_>) = found.into_iter().partition(|(.., is_stuck)| *is_stuck);
        stuck.into_iter().take(TRIED_MAX).chain(held.into_iter().take(REVIVED_MAX)).map(|(_, run, _)| run).collect()
    }

    fn take_shards(&mut self, engine: SessionId, lease: Duration, now: Timestamp, lives: bool) -> HashSet<i16> {
        let live = self
            .sessions
            .iter()
            .filter(|(id, record)| record.kind == SessionKind::Engine && (record.expires_at > now || **id == engine))
            .count()
            .max(1);
        let most = (SHARDS as usize).div_ceil(live);
        let is_mine = |shard: &ShardRecord| shard.owner == Some(engine);
        let is_free = |shard: &ShardRecord| shard.expires_at.is_none_or(|at| at < now);
        let held = (0..SHARDS).filter(|n| is_mine(&self.shards[*n as usize]));
        let free = (0..SHARDS).filter(|n| !is_mine(&self.shards[*n as usize]) && is_free(&self.shards[*n as usize]));
        let mine: HashSet<i16> = held.chain(free).take(most).collect();
        for (n, shard) in self.shards.iter_mut().enumerate() {
            if !mine.contains(&(n as i16)) {
                if shard.owner == Some(engine) {
                    shard.expires_at = Some(now);
                }
            } else if lives {
                *shard = ShardRecord { owner: Some(engine), expires_at: Some(now + lease) };
            }
        }
        mine
    }

    /// Attempts whose session ended or whose time is long over, and grants that their workers do not list.
    fn sweep(&mut self, mine: &HashSet<i16>, now: Timestamp, due: &mut Due) {
        if self.is_broken(BrokenVariant::SkipSweep) {
            return;
        }
        let granted = self.steps.iter().filter_map(|(key, record)| Some((key, record, record.lease?)));
        let (mut found, mut swept) = (0, Vec::new());
        for ((run, seq), record, lease) in granted {
            let lost = self.is_lost(&lease, now);
            if found == DUE_MAX || !mine.contains(&run.shard()) || !(lost || record.missed >= 2) {
                continue;
            }
            found += 1;
            let step = LostStep {
                run: *run,
                seq: *seq,
                attempt: record.attempt,
                lease: lease.id,
                effect_begun: record.effect_begun,
            };
            let unknown = self.session_lives(lease.session, now) && record.missed >= 2 && !lease.is_overdue(now);
            if unknown {
                due.unknown.push(step);
            } else {
                due.lost.push(step);
            }
            swept.extend((!self.session_lives(lease.session, now)).then_some(lease.session));
        }
        for session in swept {
            if let Some(record) = self.sessions.get_mut(&session) {
                record.swept = true;
            }
        }
    }

    fn ready_again(&mut self, mine: &HashSet<i16>, now: Timestamp) -> Vec<StepKey> {
        let is_due = |(key, record): (&StepKey, &StepRecord)| {
            let due = matches!(record.state, StepState::BackingOff(_)) && record.available_at <= now;
            (due && mine.contains(&key.0.shard())).then_some(*key)
        };
        let due: Vec<StepKey> = self.steps.iter().filter_map(is_due).take(DUE_MAX).collect();
        for at in &due {
            let blocked = self.needs_slots(*at) && !self.is_broken(BrokenVariant::ReadyWithoutSlot);
            if let Some(record) = self.steps.get_mut(at) {
                record.state = if blocked { StepState::Blocked } else { StepState::Ready };
                record.ticketed_at = None;
            }
        }
        due
    }

    fn queue_workers(&self, now: Timestamp) -> Vec<QueueWorkers> {
        let mut queues: BTreeMap<&str, QueueWorkers> = BTreeMap::new();
        let live =
            self.sessions.values().filter(|r| r.kind == SessionKind::Worker && r.expires_at > now && !r.draining);
        for record in live {
            for queue in &record.queues {
                let known = queues.entry(queue).or_insert_with(|| QueueWorkers {
                    queue: queue.clone(),
                    workers: 0,
                    slots: 0,
                    free_slots: 0,
                });
                known.workers += 1;
                known.slots += record.slots;
                known.free_slots += record.free_slots;
            }
        }
        let mut all: Vec<QueueWorkers> = queues.into_values().collect();
        let wanting = |record: &&StepRecord| record.state == StepState::Ready && record.wants.is_some();
        let own: BTreeSet<(&String, Option<SessionId>)> =
            self.steps.values().filter(wanting).map(|record| (&record.queue, record.wants)).collect();
        for (queue, wanted) in own {
            let worker = wanted.and_then(|session| self.sessions.get(&session));
            if let Some(worker) = worker.filter(|worker| worker.expires_at > now && !worker.draining) {
                let (slots, free_slots) = (worker.slots, worker.free_slots);
                all.push(QueueWorkers { queue: queue.clone(), workers: 1, slots, free_slots });
            }
        }
        all
    }

    pub fn backlogged_queues(&self) -> Vec<String> {
        let waits = |((run, _), record): &(&(RunId, Seq), &StepRecord)| {
            let waits = record.state == StepState::Ready && record.ticketed_at.is_none() && !record.gated;
            waits && !self.holds_step(*run, &record.queue)
        };
        let queues: BTreeSet<&String> = self.steps.iter().filter(waits).map(|(_, record)| &record.queue).collect();
        queues.into_iter().cloned().collect()
    }

    pub fn top_up(&mut self, queue: &str, most: u32, now: Timestamp) -> Vec<DueTicket> {
        let held = self.held_steps();
        let waits = |key: &(RunId, Seq), record: &StepRecord| {
            let waits = record.state == StepState::Ready && record.ticketed_at.is_none() && !record.gated;
            record.queue == queue && waits && !held.contains(key)
        };
        let mut found: Vec<_> = self.steps.iter_mut().filter(|(key, record)| waits(key, record)).collect();
        found.sort_by_key(|(key, record)| (-record.priority, record.available_at, **key));
        let preferring =
            |key, record: &mut StepRecord| DueTicket { prefers: record.prefers(), ..ticket(key, record, now) };
        found.into_iter().take(most as usize).map(|(key, record)| preferring(*key, record)).collect()
    }

    pub fn lost_tickets(&mut self, queues: &[String], older_than: Duration, now: Timestamp) -> Vec<DueTicket> {
        let held = self.held_steps();
        let old = |key: &(RunId, Seq), record: &StepRecord| {
            record.state == StepState::Ready
                && record.ticketed_at.is_some_and(|at| at < now - older_than)
                && queues.contains(&record.queue)
                && !record.gated
                && !held.contains(key)
        };
        let mut found: Vec<_> = self.steps.iter_mut().filter(|(key, record)| old(key, record)).collect();
        found.sort_by_key(|(key, record)| (record.ticketed_at, **key));
        found.into_iter().take(TICKETS_MAX).map(|(key, record)| ticket(*key, record, now)).collect()
    }

    pub fn free_places(&self, queues: &[String], now: Timestamp) -> Vec<FreePlaces> {
        let granted =
            |session| self.steps.values().filter(move |step| step.lease.is_some_and(|lease| lease.session == session));
        let listens = |(id, record): &(&SessionId, &SessionRecord)| {
            let lives = record.kind == SessionKind::Worker && record.expires_at > now && !record.draining;
            lives && record.queues.iter().any(|queue| queues.contains(queue)) && !self.holds_worker(**id)
        };
        let places = |(id, record): (&SessionId, &SessionRecord)| FreePlaces {
            queues: record.queues.clone(),
            free: record.slots.saturating_sub(granted(*id).count() as u32),
        };
        self.sessions.iter().filter(listens).map(places).collect()
    }

    pub fn left_tickets(&self, placed: &[(RunId, Seq, Attempt)]) -> Vec<DueTicket> {
        let left = |(run, seq, attempt): &(RunId, Seq, Attempt)| {
            let record = self.steps.get(&(*run, *seq))?;
            let waits = record.state == StepState::Ready && record.ticketed_at.is_some() && !record.gated;
            let (queue, prefers) = (record.queue.clone(), Vec::new());
            (waits && record.attempt == *attempt).then_some(DueTicket {
                queue,
                prefers,
                run: *run,
                seq: *seq,
                attempt: *attempt,
            })
        };
        placed.iter().filter_map(left).collect()
    }

    /// Sessions that ended long ago, and pauses of theirs. Batches and keys are kept for longer than any history takes.
    pub fn tidy(&mut self, now: Timestamp) {
        let sessions = &self.sessions;
        let is_left = |pause: &Paused| {
            let session = pause.name.parse::<SessionId>().ok().filter(|_| pause.scope == PauseScope::Worker);
            session.is_some_and(|session| !sessions.contains_key(&session))
        };
        // As the statement's parts, which see what was there before it.
        self.pauses.retain(|pause| !is_left(pause));
        self.tidy_limits(now);
        self.sessions.retain(|_, record| record.expires_at >= now - TimeDelta::days(1));
    }
}

impl StepRecord {
    /// None while only one worker may have it.
    pub(super) fn prefers(&self) -> Vec<String> {
        if self.wants.is_some() { Vec::new() } else { self.prefers.clone() }
    }
}

fn ticket((run, seq): (RunId, Seq), record: &mut StepRecord, now: Timestamp) -> DueTicket {
    record.ticketed_at = Some(now);
    DueTicket { queue: record.queue.clone(), prefers: Vec::new(), run, seq, attempt: record.attempt }
}
