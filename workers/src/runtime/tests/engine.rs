//! A reference engine: the worker protocol's rules in memory, with faults at its doors.
//!
//! It fences every message by attempt, lease and session, answers a repeated message as it did first, ends sessions
//! whose heartbeats stay away, and hands over. A run is a row of steps, done one after the other.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;
use uuid::Uuid;
use valet_core::id::{Attempt, LeaseId, RunId, Seq, SessionId};
use valet_core::payload::Payload;
use valet_core::step::Outcome;
use valet_protocol::worker::{
    Claim, ClaimAnswer, ClaimRefusal, EffectAnswer, EffectBegin, Finish, FinishAnswer, Grant, HandOver, Heartbeat,
    HeartbeatAnswer, OpenSession, SessionOpened, Standing,
};
use valet_queue::{MemoryQueue, QueueName, Ticket, TicketPush};

pub const HEARTBEAT_MS: u64 = 2_000;
pub const LEASE_MS: u64 = 15_000;

pub struct Engine {
    pub state: Mutex<State>,
    pub tickets: MemoryQueue,
    changed: Notify,
}

pub struct State {
    pub sessions: BTreeMap<SessionId, Session>,
    pub steps: BTreeMap<(RunId, Seq), Step>,
    /// Every finish that was accepted, in order.
    pub accepted: Vec<Finish>,
    pub refused: Vec<Finish>,
    /// So many finishes get `Again`.
    pub again: u32,
    /// Sessions outlive missing heartbeats, as after an outage of the engine itself.
    pub forgiving: bool,
    /// `effect_begin` is forbidden.
    pub gated: bool,
    /// Heartbeats are told that their worker is paused.
    pub paused: bool,
    pub handed_over: u32,
    pub heartbeat_ms: u64,
    pub lease_ms: u64,
    next_id: u128,
}

pub struct Session {
    pub ended: bool,
    pub closed: bool,
    pub last: Option<Heartbeat>,
    pub last_at: Instant,
    pub beats: Vec<Heartbeat>,
    until: Instant,
}

#[derive(Clone)]
pub struct Step {
    pub name: String,
    pub queue: String,
    pub input: Payload,
    pub timeout_ms: u64,
    pub heartbeat_timeout_ms: Option<u64>,
    pub remembered: bool,
    pub max_attempts: u32,
    pub attempt: Attempt,
    pub phase: Phase,
    pub granted: u32,
    pub effect_begun: bool,
    pub stopping: bool,
    pub progress: Option<Payload>,
    first_answers: HashMap<LeaseId, Option<HandOver>>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Phase {
    /// A step before it has not ended.
    Waiting,
    Ready,
    Running {
        lease: LeaseId,
        session: SessionId,
    },
    Ended(Outcome),
}

impl Step {
    pub fn new(name: &str, queue: &str, input: &impl serde::Serialize) -> Self {
        Self {
            name: name.to_owned(),
            queue: queue.to_owned(),
            input: Payload::of(input).unwrap(),
            timeout_ms: 600_000,
            heartbeat_timeout_ms: None,
            remembered: false,
            max_attempts: 1,
            attempt: Attempt::FIRST,
            phase: Phase::Waiting,
            granted: 0,
            effect_begun: false,
            stopping: false,
            progress: None,
            first_answers: HashMap::new(),
        }
    }

    pub fn timeout_ms(mut self, timeout_ms: u64) -> Self {
        self.timeout_ms = timeout_ms;
        self
    }

    pub fn remembered(mut self) -> Self {
        self.remembered = true;
        self
    }

    pub fn heartbeat_timeout_ms(mut self, timeout_ms: u64) -> Self {
        self.heartbeat_timeout_ms = Some(timeout_ms);
        self
    }

    pub fn attempts(mut self, max_attempts: u32) -> Self {
        self.max_attempts = max_attempts;
        self
    }
}

impl Engine {
    pub fn new() -> Arc<Self> {
        Self::with_tickets(MemoryQueue::new())
    }

    pub fn with_tickets(tickets: MemoryQueue) -> Arc<Self> {
        let state = State {
            sessions: BTreeMap::new(),
            steps: BTreeMap::new(),
            accepted: Vec::new(),
            refused: Vec::new(),
            again: 0,
            forgiving: false,
            gated: false,
            paused: false,
            handed_over: 0,
            heartbeat_ms: HEARTBEAT_MS,
            lease_ms: LEASE_MS,
            next_id: 0,
        };
        Arc::new(Self { state: Mutex::new(state), tickets, changed: Notify::new() })
    }

    /// Starts a run of these steps, done one after the other.
    pub async fn start(&self, steps: impl IntoIterator<Item = Step>) -> RunId {
        let (run, ready) = {
            let mut state = self.state.lock();
            state.next_id += 1;
            let run = RunId(Uuid::from_u128(state.next_id << 64 | state.next_id));
            for (index, step) in steps.into_iter().enumerate() {
                state.steps.insert((run, Seq(index as u32 + 1)), step);
            }
            let ready = state.make_ready(run, Seq(1));
            (run, ready)
        };
        self.push(ready).await;
        run
    }

    pub async fn push(&self, tickets: Vec<(QueueName, Ticket)>) {
        let batch: Vec<_> = tickets.into_iter().map(|(queue, ticket)| (queue, vec![ticket])).collect();
        if !batch.is_empty() {
            self.tickets.push(&batch).await.unwrap();
        }
        self.changed.notify_waiters();
    }

    /// Waits until `is_so` of the state. A minute of the test's time is far more than anything here takes.
    pub async fn until<T>(&self, what: &str, is_so: impl Fn(&State) -> Option<T>) -> T {
        let waiting = async {
            loop {
                let changed = self.changed.notified();
                if let Some(found) = is_so(&self.state.lock()) {
                    return found;
                }
                changed.await;
            }
        };
        tokio::time::timeout(Duration::from_mins(1), waiting).await.unwrap_or_else(|_| panic!("never came: {what}"))
    }

    /// Waits for the outcome that a step ended with.
    pub async fn outcome(&self, run: RunId, seq: u32) -> Outcome {
        self.until("the end of a step", |state| match &state.steps[&(run, Seq(seq))].phase {
            Phase::Ended(outcome) => Some(outcome.clone()),
            _ => None,
        })
        .await
    }

    /// Waits until a step is granted; answers its lease.
    pub async fn running(&self, run: RunId, seq: u32) -> LeaseId {
        self.until("the grant of a step", |state| match state.steps[&(run, Seq(seq))].phase {
            Phase::Running { lease, .. } => Some(lease),
            _ => None,
        })
        .await
    }

    /// What the next heartbeat tells the worker to stop.
    pub fn stop(&self, run: RunId, seq: u32) {
        self.state.lock().steps.get_mut(&(run, Seq(seq))).unwrap().stopping = true;
    }

    pub async fn end_sessions(&self) {
        let tickets = {
            let mut state = self.state.lock();
            let live: Vec<_> = state.sessions.iter().filter(|(_, s)| !s.ended).map(|(id, _)| *id).collect();
            live.into_iter().flat_map(|id| state.end(id)).collect()
        };
        self.push(tickets).await;
    }

    pub fn open(&self, _: &OpenSession) -> SessionOpened {
        let mut state = self.state.lock();
        state.next_id += 1;
        let id = SessionId(Uuid::from_u128(state.next_id));
        let until = Instant::now() + Duration::from_millis(state.lease_ms);
        let session =
            Session { ended: false, closed: false, last: None, last_at: Instant::now(), beats: Vec::new(), until };
        state.sessions.insert(id, session);
        self.changed.notify_waiters();
        SessionOpened { protocol: 1, session: id, heartbeat_ms: state.heartbeat_ms, lease_ms: state.lease_ms }
    }

    pub async fn heartbeat(&self, beat: &Heartbeat) -> HeartbeatAnswer {
        let (answer, tickets) = {
            let mut state = self.state.lock();
            let tickets = state.sweep();
            (state.heartbeat(beat), tickets)
        };
        self.push(tickets).await;
        answer
    }

    pub async fn claim(&self, session: SessionId, claims: &[Claim]) -> Vec<ClaimAnswer> {
        let (answers, tickets) = {
            let mut state = self.state.lock();
            let tickets = state.sweep();
            (claims.iter().map(|claim| state.claim(session, *claim)).collect(), tickets)
        };
        self.push(tickets).await;
        answers
    }

    pub async fn finish(&self, session: SessionId, finishes: &[Finish]) -> Vec<FinishAnswer> {
        let mut tickets = Vec::new();
        let answers = {
            let mut state = self.state.lock();
            tickets.append(&mut state.sweep());
            finishes.iter().map(|finish| state.finish(session, finish, &mut tickets)).collect()
        };
        self.push(tickets).await;
        answers
    }

    pub fn effect(&self, begin: &EffectBegin) -> EffectAnswer {
        let answer = self.effect_begins(begin);
        self.changed.notify_waiters();
        answer
    }

    fn effect_begins(&self, begin: &EffectBegin) -> EffectAnswer {
        let mut state = self.state.lock();
        let held = Phase::Running { lease: begin.lease, session: begin.session };
        let gated = state.gated;
        let step = state.steps.get_mut(&(begin.run, begin.seq));
        match step.filter(|step| step.phase == held && step.attempt == begin.attempt && !gated && !step.stopping) {
            Some(step) => {
                step.effect_begun = true;
                EffectAnswer::Go
            }
            None => EffectAnswer::No,
        }
    }

    pub async fn close(&self, session: SessionId) {
        let tickets = {
            let mut state = self.state.lock();
            let tickets = state.end(session);
            if let Some(session) = state.sessions.get_mut(&session) {
                session.closed = true;
            }
            tickets
        };
        self.push(tickets).await;
    }
}

impl State {
    fn make_ready(&mut self, run: RunId, seq: Seq) -> Vec<(QueueName, Ticket)> {
        let Some(step) = self.steps.get_mut(&(run, seq)) else { return Vec::new() };
        step.phase = Phase::Ready;
        let ticket = Ticket { run: run.0, seq: seq.0, attempt: step.attempt.0 };
        vec![(QueueName::new(&step.queue).unwrap(), ticket)]
    }

    /// Ends the sessions whose leases are over.
    fn sweep(&mut self) -> Vec<(QueueName, Ticket)> {
        if self.forgiving {
            return Vec::new();
        }
        let now = Instant::now();
        let over: Vec<_> =
            self.sessions.iter().filter(|(_, s)| !s.ended && now >= s.until).map(|(id, _)| *id).collect();
        over.into_iter().flat_map(|id| self.end(id)).collect()
    }

    /// Its steps are lost: each gets a new attempt.
    fn end(&mut self, session: SessionId) -> Vec<(QueueName, Ticket)> {
        self.sessions.get_mut(&session).unwrap().ended = true;
        let lost: Vec<_> = self
            .steps
            .iter()
            .filter(|(_, step)| matches!(step.phase, Phase::Running { session: of, .. } if of == session))
            .map(|(key, _)| *key)
            .collect();
        let again = |&(run, seq): &(RunId, Seq)| {
            let step = self.steps.get_mut(&(run, seq)).unwrap();
            step.attempt = step.attempt.next();
            self.make_ready(run, seq)
        };
        lost.iter().flat_map(again).collect()
    }

    fn heartbeat(&mut self, beat: &Heartbeat) -> HeartbeatAnswer {
        let lease_ms = self.lease_ms;
        let session = self.sessions.get_mut(&beat.session).unwrap();
        session.last = Some(beat.clone());
        session.last_at = Instant::now();
        session.beats.push(beat.clone());
        if session.ended {
            return HeartbeatAnswer { standing: Standing::Ended, lease_ms, stop: Vec::new(), paused: false };
        }
        session.until = Instant::now() + Duration::from_millis(lease_ms);
        let mut stop = Vec::new();
        for held in &beat.held {
            let lease = Phase::Running { lease: held.lease, session: beat.session };
            match self.steps.get_mut(&(held.run, held.seq)).filter(|step| step.phase == lease) {
                Some(step) => {
                    step.progress = held.progress.clone().or(step.progress.take());
                    if step.stopping {
                        stop.push(held.lease);
                    }
                }
                None => stop.push(held.lease),
            }
        }
        HeartbeatAnswer { standing: Standing::Yours, lease_ms, stop, paused: self.paused }
    }

    fn grant(&mut self, run: RunId, seq: Seq, lease: LeaseId, session: SessionId) -> Grant {
        let step = self.steps.get_mut(&(run, seq)).unwrap();
        if step.phase == Phase::Ready || step.phase == Phase::Waiting {
            step.phase = Phase::Running { lease, session };
            step.granted += 1;
        }
        Grant {
            run,
            seq,
            attempt: step.attempt,
            lease,
            tenant: "acme".to_owned(),
            subject: "user-1".to_owned(),
            workflow: "test".to_owned(),
            name: step.name.clone(),
            queue: step.queue.clone(),
            input: step.input.clone(),
            timeout_ms: step.timeout_ms,
            heartbeat_timeout_ms: step.heartbeat_timeout_ms,
            effect_once: false,
            remembered: step.remembered,
            progress: step.progress.clone(),
        }
    }

    fn claim(&mut self, session: SessionId, claim: Claim) -> ClaimAnswer {
        if self.sessions[&session].ended {
            return ClaimAnswer::Refused { why: ClaimRefusal::SessionEnded };
        }
        let Some(step) = self.steps.get(&(claim.run, claim.seq)).filter(|step| step.attempt == claim.attempt) else {
            return ClaimAnswer::Refused { why: ClaimRefusal::Stale };
        };
        let repeated = step.phase == Phase::Running { lease: claim.lease, session };
        if step.phase != Phase::Ready && !repeated {
            return ClaimAnswer::Refused { why: ClaimRefusal::Stale };
        }
        ClaimAnswer::Granted(Box::new(self.grant(claim.run, claim.seq, claim.lease, session)))
    }

    fn finish(&mut self, session: SessionId, finish: &Finish, tickets: &mut Vec<(QueueName, Ticket)>) -> FinishAnswer {
        if self.again > 0 {
            self.again -= 1;
            return FinishAnswer::Again { why: "the test says so".to_owned() };
        }
        let key = (finish.run, finish.seq);
        let step = self.steps.get_mut(&key).unwrap();
        if let Some(handed_over) = step.first_answers.get(&finish.lease).cloned() {
            let next = handed_over.map(|offer| Box::new(self.grant(key.0, Seq(key.1.0 + 1), offer.lease, session)));
            return FinishAnswer::Accepted { next };
        }
        if step.phase != (Phase::Running { lease: finish.lease, session }) || step.attempt != finish.attempt {
            self.refused.push(finish.clone());
            return FinishAnswer::Refused { why: "stale".to_owned() };
        }
        self.accepted.push(finish.clone());
        let handed_over = self.ended(key, finish, tickets);
        let next = handed_over.clone().map(|offer| {
            self.handed_over += 1;
            Box::new(self.grant(key.0, Seq(key.1.0 + 1), offer.lease, session))
        });
        self.steps.get_mut(&key).unwrap().first_answers.insert(finish.lease, handed_over);
        FinishAnswer::Accepted { next }
    }

    /// Moves the run on; answers the offer that was taken.
    fn ended(
        &mut self,
        (run, seq): (RunId, Seq),
        finish: &Finish,
        tickets: &mut Vec<(QueueName, Ticket)>,
    ) -> Option<HandOver> {
        let step = self.steps.get_mut(&(run, seq)).unwrap();
        let untouched = matches!(finish.outcome, Outcome::HandedBack) && !step.stopping;
        let again = matches!(finish.outcome, Outcome::Retry { .. }) && step.attempt.0 < step.max_attempts;
        if untouched || again {
            step.attempt = step.attempt.next();
            tickets.extend(self.make_ready(run, seq));
            return None;
        }
        step.phase = Phase::Ended(finish.outcome.clone());
        let next = Seq(seq.0 + 1);
        let queue = self.steps.get(&(run, next)).map(|step| step.queue.clone())?;
        let taken = finish.hand_over.clone().filter(|offer| offer.queue == queue);
        if taken.is_none() {
            tickets.extend(self.make_ready(run, next));
        }
        taken
    }
}
