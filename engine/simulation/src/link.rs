//! One engine's connection to the model store: the store ports, with the faults of a network and a server in between.
//!
//! A statement may be late, fail before it was carried out, fail although it was, or meet an outage. A killed engine's
//! statements hang for ever; those on the wire may still arrive.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use valet_core::Timestamp;
use valet_core::id::{Attempt, RunId, Seq, SessionId};
use valet_core::limits::{LimitKey, LimitText};
use valet_core::payload::Payload;
use valet_core::run::Identity;
use valet_engine::pauses::Paused;
use valet_engine::store::{
    Admitted, Beat, BeatAnswer, ClaimVerdict, CommitBatch, DeclaredName, Due, DueStore, DueTicket, FreePlaces,
    LeaseStore, Loaded, NewSession, OverWhy, RunOver, RunStore, SessionClaim, StoreError, StoredMessage,
};

use crate::coverage;
use crate::model::Tables;
use crate::record::{Answer, Call, Told};
use crate::variant::BrokenVariant;
use crate::world::World;

/// How often a broken store loses what it answered.
const LOST_BY_BROKEN_STORE: f64 = 0.15;

/// An engine's store.
pub(crate) struct Link {
    world: Arc<World>,
    /// Number of the engine, for the trace.
    pub engine: u64,
    dead: AtomicBool,
}

impl Link {
    pub fn new(world: Arc<World>, engine: u64) -> Arc<Self> {
        Arc::new(Self { world, engine, dead: AtomicBool::new(false) })
    }

    /// The engine's process is gone: nothing it asked for is answered any more.
    pub fn kill(&self) {
        self.dead.store(true, Ordering::Relaxed);
    }

    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    async fn hang_if_dead(&self) {
        if self.is_dead() {
            std::future::pending::<()>().await;
        }
    }

    /// One statement, with whatever befalls it. `tell`: what is written down of it.
    async fn statement<T>(
        &self,
        carry_out: impl FnOnce(&mut Tables, Timestamp) -> T,
        tell: impl FnOnce(&Tables, &T) -> Told,
    ) -> Result<T, StoreError> {
        let carry_out = |tables: &mut Tables, now| {
            let done = carry_out(tables, now);
            self.world.record(tables, || tell(tables, &done));
            done
        };
        self.unrecorded(carry_out).await
    }

    /// The same for what is no answer of its own.
    async fn unrecorded<T>(&self, carry_out: impl FnOnce(&mut Tables, Timestamp) -> T) -> Result<T, StoreError> {
        self.travel().await;
        if self.world.is_out() {
            tokio::time::sleep(Duration::from_millis(self.world.draw(|dice| dice.between(5, 400)))).await;
            self.hang_if_dead().await;
            return Err(StoreError::Injected("the store is away"));
        }
        if self.world.strikes(self.world.knobs.store.fail_before) {
            return Err(StoreError::Injected("not carried out"));
        }
        if self.world.strikes(self.world.knobs.store.fail_oddly) {
            // Nothing that trying again helps with, as far as the engine can tell.
            return Err(StoreError::Database(sqlx::Error::Protocol("an odd answer".to_owned())));
        }
        let done = {
            let mut tables = self.world.tables.lock();
            let done = carry_out(&mut tables, self.world.now());
            let complaints = tables.audit.take_complaints();
            drop(tables);
            for complaint in complaints {
                self.world.violated(complaint);
            }
            done
        };
        self.travel().await;
        self.hang_if_dead().await;
        if self.world.strikes(self.world.knobs.store.fail_after) {
            return Err(StoreError::Injected("carried out, not answered"));
        }
        Ok(done)
    }

    /// A run's journal as a fork is shown it. `share`: how much of it is to be kept, in percent.
    pub async fn load_for_fork(&self, run: RunId, share: u64) -> Result<Option<(RunId, Loaded)>, StoreError> {
        let mut found = self.load(&[run]).await?.pop();
        if self.world.variant == Some(BrokenVariant::ForkForgets)
            && let Some((_, Loaded::Live(stored) | Loaded::Ended(stored))) = &mut found
        {
            let kept = (stored.chunks.len() as u64 * share / 100).max(1);
            stored.chunks.truncate(kept as usize);
        }
        Ok(found)
    }

    /// `add_pause.sql`.
    pub async fn add_pause(&self, what: &Paused) -> Result<(), StoreError> {
        let tell = |_: &Tables, done: &()| (Call::AddPause(what.clone()), Answer::exactly(done));
        self.statement(|tables, _| tables.add_pause(what), tell).await
    }

    /// `remove_pause.sql`.
    pub async fn remove_pause(&self, what: &Paused) -> Result<bool, StoreError> {
        let tell = |_: &Tables, was_paused: &bool| (Call::RemovePause(what.clone()), Answer::exactly(was_paused));
        self.statement(|tables, _| tables.remove_pause(what), tell).await
    }

    /// `ticket_again.sql`.
    pub async fn ticket_again(&self, what: &Paused) -> Result<(), StoreError> {
        let tell = |_: &Tables, done: &()| (Call::TicketAgain(what.clone()), Answer::exactly(done));
        self.statement(|tables, _| tables.ticket_again(what), tell).await
    }

    async fn travel(&self) {
        let store = &self.world.knobs.store;
        if self.world.strikes(store.slow) {
            tokio::time::sleep(Duration::from_millis(self.world.draw(|dice| dice.between(20, 1_500)))).await;
        } else if store.latency_ms_max > 0 {
            let ms = self.world.draw(|dice| dice.between(0, store.latency_ms_max));
            if ms > 0 {
                tokio::time::sleep(Duration::from_millis(ms)).await;
            }
        }
    }

    fn loses(&self, variant: BrokenVariant) -> bool {
        self.world.variant == Some(variant) && self.world.draw(|dice| dice.chance(LOST_BY_BROKEN_STORE))
    }

    fn note_commit(&self, batch: &CommitBatch, committed: &HashSet<RunId>) {
        for transition in &batch.transitions {
            let what = if committed.contains(&transition.run()) {
                "committed engine revision entries status"
            } else {
                "refused engine revision entries status"
            };
            if committed.contains(&transition.run()) {
                transition.chunk.entries.iter().for_each(|entry| self.world.count(coverage::kind(entry)));
            }
            let entries = transition.chunk.entries.len() as u64;
            let status = transition.row.status as u64;
            self.world.note(
                what,
                Some(transition.run()),
                [self.engine, transition.chunk.revision.into(), entries, status],
            );
        }
    }
}

#[async_trait]
impl RunStore for Link {
    async fn commit(&self, _writer: usize, batch: &CommitBatch) -> Result<HashSet<RunId>, StoreError> {
        if Tables::refuses(batch) {
            self.travel().await;
            self.world.record(&self.world.tables.lock(), || (Call::Commit(batch.clone()), Answer::refused()));
            self.hang_if_dead().await;
            return Err(StoreError::BadData(sqlx::Error::Protocol("invalid byte sequence: 0x00".to_owned())));
        }
        let lost = self.loses(BrokenVariant::AnswerBeforeCommit);
        let carry_out = |tables: &mut Tables, now| {
            if lost {
                return tables.would_commit(batch, now);
            }
            let ledger = self.world.ledger.lock();
            tables.commit(batch, now, &ledger, || self.loses(BrokenVariant::LoseInboxRow))
        };
        let tell = |_: &Tables, committed: &HashSet<RunId>| (Call::Commit(batch.clone()), Answer::freely(committed));
        let committed = self.statement(carry_out, tell).await?;
        self.note_commit(batch, &committed);
        Ok(committed)
    }

    async fn load(&self, runs: &[RunId]) -> Result<Vec<(RunId, Loaded)>, StoreError> {
        // Three statements, as the real store: rows, then steps, then journals.
        let found = self.unrecorded(|tables, _| tables.find_runs(runs)).await?;
        let steps = self.unrecorded(|tables, _| tables.find_steps(runs)).await?;
        self.unrecorded(|tables, _| {
            self.world.record(tables, || (Call::Load(runs.to_vec()), Answer::freely(&tables.load(runs))));
            tables.with_journals(found, steps, runs)
        })
        .await
    }

    async fn identity(&self, run: RunId) -> Result<Option<Identity>, StoreError> {
        let find = |tables: &mut Tables, _| tables.runs.get(&run).map(|record| record.identity.clone());
        self.statement(find, |_, found| (Call::Identity(run), Answer::exactly(found))).await
    }

    async fn find_idempotent(
        &self,
        tenant: &str,
        workflow: &str,
        key: &str,
    ) -> Result<Option<(RunId, Vec<u8>)>, StoreError> {
        let tell = |_: &Tables, found: &Option<(RunId, Vec<u8>)>| {
            let [tenant, workflow, key] = [tenant, workflow, key].map(ToOwned::to_owned);
            (Call::FindIdempotent { tenant, workflow, key }, Answer::exactly(found))
        };
        self.statement(|tables, _| tables.find_idempotent(tenant, workflow, key), tell).await
    }

    async fn definitions(&self, names: &[DeclaredName]) -> Result<Vec<(DeclaredName, Payload)>, StoreError> {
        let lost = self.loses(BrokenVariant::LoseDefinition);
        let tell = |_: &Tables, found: &Vec<_>| (Call::Definitions(names.to_vec()), Answer::freely(found));
        let found = self.statement(|tables, _| tables.definitions(names), tell).await?;
        self.world.note("defined engine wanted found", None, [self.engine, names.len() as u64, found.len() as u64, 0]);
        Ok(if lost { Vec::new() } else { found })
    }

    async fn load_inbox(&self, to: &[RunId]) -> Result<Vec<StoredMessage>, StoreError> {
        let tell = |tables: &Tables, found: &Vec<_>| (Call::LoadInbox(to.to_vec()), Answer::of_messages(tables, found));
        self.statement(|tables, _| tables.load_inbox(to), tell).await
    }

    async fn discard_inbox(&self, to: RunId, from: RunId, number: i64) -> Result<(), StoreError> {
        let tell = |_: &Tables, done: &()| (Call::DiscardInbox { to, from, number }, Answer::exactly(done));
        self.statement(|tables, _| tables.discard_inbox(to, from, number), tell).await
    }
}

#[async_trait]
impl LeaseStore for Link {
    async fn open_session(&self, session: &NewSession) -> Result<(), StoreError> {
        let tell = |_: &Tables, done: &()| (Call::OpenSession(session.clone()), Answer::exactly(done));
        self.statement(|tables, now| tables.open_session(session, now), tell).await
    }

    async fn close_session(&self, session: SessionId) -> Result<(), StoreError> {
        let tell = |_: &Tables, done: &()| (Call::CloseSession(session), Answer::exactly(done));
        self.statement(|tables, _| tables.close_session(session), tell).await
    }

    async fn claim(&self, claims: &[SessionClaim]) -> Result<Vec<ClaimVerdict>, StoreError> {
        let carry_out =
            |tables: &mut Tables, now| tables.claim(claims, now, || self.loses(BrokenVariant::AckBeforeCommit));
        let tell = |_: &Tables, verdicts: &Vec<_>| (Call::Claim(claims.to_vec()), Answer::exactly(verdicts));
        let verdicts = self.statement(carry_out, tell).await?;
        for (claim, verdict) in claims.iter().zip(&verdicts) {
            let what = match verdict {
                ClaimVerdict::Granted { .. } => "granted engine seq attempt",
                ClaimVerdict::Stale => "claim_stale engine seq attempt",
                ClaimVerdict::Gated => "claim_gated engine seq attempt",
                ClaimVerdict::SessionEnded => "claim_session_ended engine seq attempt",
            };
            let numbers = [self.engine, claim.seq.0.into(), claim.attempt.0.into(), 0];
            self.world.note(what, Some(claim.run), numbers);
        }
        Ok(verdicts)
    }

    async fn heartbeat(&self, beat: &Beat) -> Result<BeatAnswer, StoreError> {
        let tell = |_: &Tables, answer: &BeatAnswer| (Call::Heartbeat(beat.clone()), Answer::exactly(answer));
        self.statement(|tables, now| tables.heartbeat(beat, now), tell).await
    }

    async fn begin_effect(&self, claim: &SessionClaim) -> Result<bool, StoreError> {
        let tell = |_: &Tables, begun: &bool| (Call::BeginEffect(*claim), Answer::exactly(begun));
        self.statement(|tables, now| tables.begin_effect(claim, now), tell).await
    }

    async fn extend_sessions(&self, lease: Duration) -> Result<u64, StoreError> {
        let tell = |_: &Tables, extended: &u64| (Call::ExtendSessions(lease), Answer::exactly(extended));
        self.statement(|tables, now| tables.extend_sessions(lease, now), tell).await
    }
}

#[async_trait]
impl DueStore for Link {
    async fn tick(&self, engine: SessionId, lease: Duration, build: i64) -> Result<Due, StoreError> {
        let tell = |tables: &Tables, due: &Due| (Call::Tick { engine, lease, build }, Answer::of_tick(tables, due));
        let due = self.statement(|tables, now| tables.tick(engine, lease, build, now), tell).await?;
        for step in due.lost.iter().chain(&due.unknown) {
            let numbers = [self.engine, step.seq.0.into(), step.attempt.0.into(), step.effect_begun.into()];
            self.world.note("swept engine seq attempt effect", Some(step.run), numbers);
        }
        Ok(due)
    }

    async fn paused(&self) -> Result<Vec<Paused>, StoreError> {
        let tell = |_: &Tables, pauses: &Vec<Paused>| (Call::Paused, Answer::freely(pauses));
        self.statement(|tables, _| tables.pauses.clone(), tell).await
    }

    async fn backlogged_queues(&self) -> Result<Vec<String>, StoreError> {
        let tell = |_: &Tables, queues: &Vec<String>| (Call::BackloggedQueues, Answer::freely(queues));
        self.statement(|tables, _| tables.backlogged_queues(), tell).await
    }

    async fn top_up(&self, queue: &str, most: u32) -> Result<Vec<DueTicket>, StoreError> {
        let tell = |_: &Tables, tickets: &Vec<DueTicket>| {
            (Call::TopUp { queue: queue.to_owned(), most }, Answer::freely(tickets))
        };
        self.statement(|tables, now| tables.top_up(queue, most, now), tell).await
    }

    async fn lost_tickets(&self, queues: &[String], older_than: Duration) -> Result<Vec<DueTicket>, StoreError> {
        let tell = |_: &Tables, tickets: &Vec<DueTicket>| {
            (Call::LostTickets { queues: queues.to_vec(), older_than }, Answer::freely(tickets))
        };
        self.statement(|tables, now| tables.lost_tickets(queues, older_than, now), tell).await
    }

    async fn free_places(&self, queues: &[String]) -> Result<Vec<FreePlaces>, StoreError> {
        let tell = |_: &Tables, places: &Vec<FreePlaces>| (Call::FreePlaces(queues.to_vec()), Answer::exactly(places));
        self.statement(|tables, now| tables.free_places(queues, now), tell).await
    }

    async fn left_tickets(&self, placed: &[(RunId, Seq, Attempt)]) -> Result<Vec<DueTicket>, StoreError> {
        let tell = |_: &Tables, left: &Vec<DueTicket>| (Call::LeftTickets(placed.to_vec()), Answer::freely(left));
        self.statement(|tables, _| tables.left_tickets(placed), tell).await
    }

    async fn limits(&self) -> Result<Vec<LimitText>, StoreError> {
        let tell = |_: &Tables, limits: &Vec<LimitText>| (Call::Limits, Answer::exactly(limits));
        self.statement(|tables, _| tables.limit_texts(), tell).await
    }

    async fn admit(&self, keys: &[LimitKey], backlogged: &HashSet<String>) -> Result<Admitted, StoreError> {
        let tell = |_: &Tables, admitted: &Admitted| {
            (Call::Admit { keys: keys.to_vec(), backlogged: backlogged.clone() }, Answer::freely(admitted))
        };
        let admitted = self.statement(|tables, now| tables.admit(keys, backlogged, now), tell).await?;
        for ticket in &admitted.tickets {
            let numbers = [self.engine, ticket.seq.0.into(), ticket.attempt.0.into(), 0];
            self.world.note("admitted engine seq attempt", Some(ticket.run), numbers);
        }
        for over in &admitted.over {
            self.world.note(told_over(over.why), Some(over.run), [self.engine, 0, 0, 0]);
        }
        Ok(admitted)
    }

    async fn waiting_keys(&self) -> Result<Vec<LimitKey>, StoreError> {
        let tell = |_: &Tables, keys: &Vec<LimitKey>| (Call::WaitingKeys, Answer::exactly(keys));
        self.statement(|tables, _| tables.waiting_keys(), tell).await
    }

    async fn keys_of_life(&self, ended: &[RunId]) -> Result<Vec<LimitKey>, StoreError> {
        let tell = |_: &Tables, keys: &Vec<LimitKey>| (Call::KeysOfLife(ended.to_vec()), Answer::exactly(keys));
        self.statement(|tables, _| tables.keys_of_life(ended), tell).await
    }

    async fn expired_waits(&self) -> Result<Vec<RunOver>, StoreError> {
        let tell = |_: &Tables, expired: &Vec<RunOver>| (Call::ExpiredWaits, Answer::freely(expired));
        let expired = self.statement(Tables::expired_waits, tell).await?;
        for over in &expired {
            self.world.note(told_over(over.why), Some(over.run), [self.engine, 0, 0, 0]);
        }
        Ok(expired)
    }

    async fn tidy(&self, at: Timestamp) -> Result<(), StoreError> {
        let tell = |_: &Tables, done: &()| (Call::Tidy(at), Answer::exactly(done));
        self.statement(Tables::tidy, tell).await
    }
}

/// What a limit said of a run, for the trace.
fn told_over(why: OverWhy) -> &'static str {
    match why {
        OverWhy::Full => "over_full engine",
        OverWhy::Replaced => "over_replaced engine",
        OverWhy::InProgress => "over_in_progress engine",
        OverWhy::Expired => "over_expired engine",
    }
}
