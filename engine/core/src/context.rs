//! The durable operations that workflow code awaits.
//!
//! A [`Context`] records what the code asks for and hands back what the journal says it came to. An operation takes its
//! `seq` when it is called, not when it is first polled. The context is detached before its future is dropped by the
//! engine; from then on every call and drop is inert, so that an evicted run records nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::Timestamp;
use crate::attributes;
use crate::bounds::{ATTRIBUTES_MAX, FAN_OUT_MAX, NAME_BYTES_MAX, OPERATIONS_PER_POLL_MAX};
use crate::callbacks::{Callbacks, Secret};
use crate::event::{AwaitedEvent, EventPattern, channel_of};
use crate::expression::{Expression, ExpressionError};
use crate::id::{Attempt, RunId, Seq, SessionId};
use crate::journal::{
    ClosePolicy, CompletionOutcome, HumanOutcome, HumanSpec, Op, Resolution, RunOutcome, StepOp, Sticky,
};
use crate::payload::Payload;
use crate::placement::{labels_problem, preference_problems, queue_of_host, queue_with_labels};
use crate::run::FILTER_VARIABLES;
use crate::step::{Failure, HOST_GONE_AFTER, STICKY_PATIENCE, Step, StepFailure, StepOptions, StepPlace, StepPolicy};
use crate::transition::column_text;
use crate::workflow::{InputProblem, Stop};

/// The code of a failure that says: nobody said in time what an outside completion came to.
pub const TIMED_OUT: &str = "timed_out";

/// The code of a failure that says: the worker that the step sticks to has ended, or was never known.
pub const WORKER_GONE: &str = "worker_gone";

/// What the code did during polls and the journal does not hold yet.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Emission {
    Op { seq: Seq, op: Op },
    Dropped { seq: Seq },
    Version { change: String, version: u32 },
}

/// What a journal already holds when its code is started: answers that the code gets at once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    /// Places are taken after this one.
    pub after: Seq,
    /// The highest place that the journal holds: code that is not past it is being replayed.
    pub last: Seq,
    pub versions: BTreeMap<String, u32>,
    pub values: BTreeMap<Seq, Payload>,
    pub secrets: BTreeMap<Seq, Secret>,
    /// Search attributes that the code has set.
    pub attributes: BTreeSet<String>,
}

/// What an operation's future receives.
#[derive(Clone, Debug)]
pub(crate) enum Delivery {
    Resolution(Resolution),
    Signal(Payload),
}

#[derive(Default)]
struct State {
    detached: bool,
    now: Timestamp,
    last_seq: u32,
    emitted: Vec<Emission>,
    operations_in_poll: u32,
    deliveries: HashMap<Seq, Delivery>,
    /// Ends of fan-outs' children that the code has not taken, and how many there were.
    streams: HashMap<Seq, (VecDeque<(u32, RunOutcome)>, u32)>,
    wakers: HashMap<Seq, Waker>,
    /// Which workers ended the steps that remember it.
    workers: BTreeMap<Seq, SessionId>,
    known: Known,
    /// The journal is being followed: nothing that the code does now is new.
    replaying: bool,
}

/// The handle through which workflow code does everything that lasts.
#[derive(Clone)]
pub struct Context {
    run: RunId,
    callbacks: Arc<Callbacks>,
    state: Arc<Mutex<State>>,
}

impl Context {
    pub(crate) fn new(run: RunId, now: Timestamp, known: Known, callbacks: Arc<Callbacks>) -> Self {
        let state = State { now, last_seq: known.after.0, known, ..State::default() };
        Self { run, callbacks, state: Arc::new(Mutex::new(state)) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic inside workflow code cannot leave this state half-changed: no user code runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn begin_poll(&self, now: Timestamp) {
        let mut state = self.lock();
        state.now = now;
        state.operations_in_poll = 0;
    }

    pub(crate) fn set_replaying(&self, replaying: bool) {
        self.lock().replaying = replaying;
    }

    pub(crate) fn last_seq(&self) -> Seq {
        Seq(self.lock().last_seq)
    }

    pub(crate) fn take_emitted(&self) -> Vec<Emission> {
        std::mem::take(&mut self.lock().emitted)
    }

    pub(crate) fn is_runaway(&self) -> bool {
        self.lock().operations_in_poll > OPERATIONS_PER_POLL_MAX
    }

    pub(crate) fn deliver(&self, seq: Seq, delivery: Delivery) {
        let waker = {
            let mut state = self.lock();
            if let Delivery::Resolution(Resolution::ChildrenEnded { ends }) = delivery {
                let (waiting, told) = state.streams.entry(seq).or_default();
                *told += ends.len() as u32;
                waiting.extend(ends);
            } else {
                state.deliveries.insert(seq, delivery);
            }
            state.wakers.remove(&seq)
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub(crate) fn ran_by(&self, seq: Seq, session: SessionId) {
        self.lock().workers.insert(seq, session);
    }

    pub(crate) fn detach(&self) {
        let mut state = self.lock();
        state.detached = true;
        state.emitted.clear();
        state.wakers.clear();
    }

    /// Takes the next place. Counted, so that a loop that calls operations without end is noticed.
    fn take_seq(&self) -> Seq {
        let mut state = self.lock();
        state.last_seq += 1;
        state.operations_in_poll += 1;
        Seq(state.last_seq)
    }

    fn call(&self, op: Op) -> Seq {
        let seq = self.take_seq();
        self.emit_op(seq, op);
        seq
    }

    fn emit_op(&self, seq: Seq, op: Op) {
        let mut state = self.lock();
        // A runaway's operations are not kept: the run is parked and its memory must not be eaten first.
        if !state.detached && state.operations_in_poll <= OPERATIONS_PER_POLL_MAX {
            state.emitted.push(Emission::Op { seq, op });
        }
    }

    fn operation<T>(&self, op: Op, read: fn(Delivery) -> T) -> Operation<T> {
        let seq = self.call(op);
        self.pending(seq, read)
    }

    fn pending<T>(&self, seq: Seq, read: fn(Delivery) -> T) -> Operation<T> {
        Operation { ctx: self.clone(), seq, read, done: false, output: PhantomData }
    }

    /// This run's id.
    pub fn run_id(&self) -> RunId {
        self.run
    }

    /// An id made by the run itself: known before the thing it names exists, the same on every replay.
    pub fn id(&self) -> Uuid {
        let seq = self.take_seq();
        self.run.derive(seq, "id")
    }

    /// The instant of what is being delivered. Writes nothing.
    pub fn now(&self) -> Timestamp {
        self.lock().now
    }

    /// 64 bits seeded by (run, seq). Writes nothing.
    pub fn random(&self) -> u64 {
        let seq = self.take_seq();
        self.run.derive(seq, "random").as_u64_pair().1
    }

    /// Asks a worker for `step` and waits for its result.
    pub fn step<S: Step>(&self, step: S) -> Operation<Result<S::Output, StepFailure>> {
        self.step_with(step, StepOptions::default())
    }

    #[expect(clippy::needless_pass_by_value, reason = "the call reads `ctx.step_with(Provision { .. }, …)`")]
    /// The same with what this call alone asks for: labels, the worker of an earlier step.
    pub fn step_with<S: Step>(&self, step: S, options: StepOptions) -> Operation<Result<S::Output, StepFailure>> {
        self.ask(step_op(&step, &options), &options, read_step::<S::Output>)
    }

    /// Asks for the step, for the worker too that the call wants.
    fn ask<T>(&self, mut op: StepOp, options: &StepOptions, read: fn(Delivery) -> T) -> Operation<T> {
        op.remembers = options.remembers;
        if let Some((earlier, hard)) = options.sticky {
            let worker = self.lock().workers.get(&earlier.0).copied();
            if worker.is_none() && hard {
                let why = format!(
                    "no worker is known that ended step {}: an operator did, or it was called without `remember_worker`",
                    earlier.0
                );
                return self.not_started(Failure::new(WORKER_GONE, why), read);
            }
            op.sticky = worker.map(|session| Sticky { session, hard });
        }
        op.start_by = start_by(&op, self.now());
        self.operation(Op::Step(Arc::new(op)), read)
    }

    /// A step that is over before it is asked for. It takes its place all the same, and the journal needs no entry: what
    /// the code asks is enough to say so again.
    fn not_started<T>(&self, why: Failure, read: fn(Delivery) -> T) -> Operation<T> {
        let seq = self.take_seq();
        let failure = StepFailure::NotStarted(why);
        let with = Resolution::StepFailed { attempt: Attempt::FIRST, lease: None, failure };
        self.lock().deliveries.insert(seq, Delivery::Resolution(with));
        self.pending(seq, read)
    }

    /// The same for a step that only its name tells, with what it takes and gives as JSON.
    pub fn call_step(
        &self,
        name: &str,
        input: Payload,
        mut policy: StepPolicy,
        mut options: StepOptions,
    ) -> Operation<Result<Payload, StepFailure>> {
        policy.required_labels.append(&mut options.labels);
        policy.prefer_labels.append(&mut options.prefer_labels);
        policy.queue = column_text(mem::take(&mut policy.queue), NAME_BYTES_MAX);
        let name = column_text(name, NAME_BYTES_MAX);
        go_to_labelled(&mut policy, &name);
        let op = StepOp { name, input, policy, host: None, start_by: None, remembers: false, sticky: None };
        self.ask(op, &options, read_step::<Payload>)
    }

    /// Waits for `duration`; no worker slot is held.
    pub fn sleep(&self, duration: Duration) -> Operation<()> {
        let until = after(self.now(), duration);
        self.sleep_until(until)
    }

    pub fn sleep_until(&self, until: Timestamp) -> Operation<()> {
        self.operation(Op::Sleep { until }, |_| ())
    }

    /// Waits for the next message of the channel `name`; `None` after the timeout.
    pub fn wait_for<T: DeserializeOwned>(
        &self,
        name: &str,
        timeout: Option<Duration>,
    ) -> Operation<Option<Result<T, Failure>>> {
        self.wait(name, None, timeout)
    }

    /// The same for the first message for which `filter` holds, a CEL expression over `message` such as
    /// `message.amount > 100.0`; others stay in the channel. A message that the filter cannot be asked about is none of its.
    pub fn wait_for_where<T: DeserializeOwned>(
        &self,
        name: &str,
        filter: &str,
        timeout: Option<Duration>,
    ) -> Result<Operation<Option<Result<T, Failure>>>, ExpressionError> {
        Expression::compile(filter, &FILTER_VARIABLES)?;
        Ok(self.wait(name, Some(filter.to_owned()), timeout))
    }

    /// Waits for the next event that is published from now on and fits; `None` after the timeout. What was published before
    /// the transition that begins the wait was committed does not count.
    pub fn wait_for_event<T: DeserializeOwned>(
        &self,
        event: impl Into<EventPattern>,
        timeout: Option<Duration>,
    ) -> Operation<AwaitedEvent<T>> {
        self.wait_event(event.into(), None, timeout)
    }

    /// The same for the first for which `filter` holds, a CEL expression over `message`, a [`PublishedEvent`](crate::PublishedEvent), such as
    /// `message.payload.amount > 100.0`. An event that the filter cannot be asked about is none of its.
    pub fn wait_for_event_where<T: DeserializeOwned>(
        &self,
        event: impl Into<EventPattern>,
        filter: &str,
        timeout: Option<Duration>,
    ) -> Result<Operation<AwaitedEvent<T>>, ExpressionError> {
        Expression::compile(filter, &FILTER_VARIABLES)?;
        Ok(self.wait_event(event.into(), Some(filter.to_owned()), timeout))
    }

    pub(crate) fn wait<T: DeserializeOwned>(
        &self,
        name: &str,
        filter: Option<String>,
        timeout: Option<Duration>,
    ) -> Operation<Option<Result<T, Failure>>> {
        let deadline = timeout.map(|timeout| after(self.now(), timeout));
        let name = name.to_owned();
        self.operation(Op::Wait { name, deadline, filter, event: None }, read_message)
    }

    pub(crate) fn wait_event<T: DeserializeOwned>(
        &self,
        event: EventPattern,
        filter: Option<String>,
        timeout: Option<Duration>,
    ) -> Operation<Option<Result<T, Failure>>> {
        let deadline = timeout.map(|timeout| after(self.now(), timeout));
        let event = event.tidied();
        let seq = self.take_seq();
        let name = channel_of(seq, &event.key);
        self.emit_op(seq, Op::Wait { name, deadline, filter, event: Some(event) });
        self.pending(seq, read_message)
    }

    /// Opens a task for a person and waits until it ends.
    pub fn human(&self, mut task: HumanSpec) -> Operation<HumanOutcome> {
        task.reason = column_text(task.reason, NAME_BYTES_MAX);
        self.operation(Op::Human { task }, |delivery| match delivery {
            Delivery::Resolution(Resolution::Human(outcome)) => outcome,
            _ => HumanOutcome::TimedOut,
        })
    }

    /// Waits until somebody outside says what it came to: hand them the token or the URL. A repeat with the same key
    /// gets the first answer.
    pub fn completion<T: DeserializeOwned>(&self, name: &str, timeout: Duration) -> Completion<T> {
        let seq = self.take_seq();
        let known = self.lock().known.secrets.get(&seq).cloned();
        let secret = known.unwrap_or_else(|| self.callbacks.secret(self.run, seq));
        let token = Callbacks::token(self.run, seq, &secret);
        let url = self.callbacks.url(&token);
        let name = column_text(name, NAME_BYTES_MAX);
        self.emit_op(seq, Op::Completion { name, secret, deadline: after(self.now(), timeout) });
        Completion { token, url, operation: self.pending(seq, read_completion::<T>) }
    }

    /// Starts a run of another workflow and waits for its end.
    pub fn child<I: Serialize, O: DeserializeOwned>(&self, workflow: &str, input: &I) -> Operation<Result<O, Failure>> {
        self.child_with(workflow, input, ChildOptions::default())
    }

    pub fn child_with<I: Serialize, O: DeserializeOwned>(
        &self,
        workflow: &str,
        input: &I,
        options: ChildOptions,
    ) -> Operation<Result<O, Failure>> {
        let input = Payload::of(input).unwrap_or_default();
        let workflow = workflow.to_owned();
        let ChildOptions { key, on_close } = options;
        self.operation(Op::Child { workflow, input, key, on_close }, read_child::<O>)
    }

    /// Starts a run of `workflow` for each input, however many, and gives their ends as they come in.
    pub fn children<I: Serialize, O: DeserializeOwned>(
        &self,
        workflow: &str,
        inputs: &[I],
        options: FanOptions,
    ) -> Result<Children<O>, Failure> {
        let bad = |e: String| Failure::new("bad_input", e);
        let count = u32::try_from(inputs.len()).ok().filter(|count| *count <= FAN_OUT_MAX);
        let count = count.ok_or_else(|| bad(format!("{} children; at most {FAN_OUT_MAX} at a call", inputs.len())))?;
        let inputs = Payload::of(inputs).map_err(|e| bad(format!("the inputs are not JSON: {e}")))?;
        let seq = self.take_seq();
        if count > 0 {
            // Each child has a place of its own.
            self.lock().last_seq += count - 1;
            let FanOptions { at_once, on_close } = options;
            let (workflow, at_once) = (workflow.to_owned(), at_once.unwrap_or(count));
            self.emit_op(seq, Op::FanOut { workflow, inputs, count, at_once, on_close });
        }
        Ok(Children { ctx: self.clone(), seq, count, taken: 0, output: PhantomData })
    }

    #[expect(clippy::needless_pass_by_value, reason = "the call reads `ctx.finally(Cleanup { .. })`")]
    /// Registers a step that runs when the run ends, however it ends. Register it before the thing exists that it cleans.
    pub fn finally<S: Step<Output = ()>>(&self, step: S) -> Finalizer {
        let op = step_op(&step, &StepOptions::default());
        let host_may_be_gone_ms = op.policy.schedule_timeout_ms.filter(|_| op.host.is_some());
        let of = self.call(Op::Finally(Arc::new(op)));
        Finalizer { ctx: self.clone(), of, host_may_be_gone_ms }
    }

    #[expect(clippy::needless_pass_by_value, reason = "the call reads `ctx.compensate(Refund { .. })`")]
    /// Registers a step that undoes something: it runs when the run ends otherwise than by success, last registered
    /// first among the clean-ups. Register it before what it undoes.
    pub fn compensate<S: Step<Output = ()>>(&self, step: S) -> Finalizer {
        let op = step_op(&step, &StepOptions::default());
        let host_may_be_gone_ms = op.policy.schedule_timeout_ms.filter(|_| op.host.is_some());
        let of = self.call(Op::Compensate(Arc::new(op)));
        Finalizer { ctx: self.clone(), of, host_may_be_gone_ms }
    }

    /// Ends this journal and begins the next with `input`: the way of a run without end. Return it:
    /// `return Err(ctx.continue_as(&next))`. Clean-ups, unread messages, key and deadline go along; what is not awaited
    /// any more is cancelled.
    pub fn continue_as(&self, input: &impl Serialize) -> Stop {
        match Payload::of(input) {
            Ok(input) => Stop::Continue(input),
            Err(e) => Stop::failed("bad_input", format!("the next input is not JSON: {e}")),
        }
    }

    /// Which version of `change` this run follows: `latest` for a run that comes here for the first time, 0 for one
    /// that was past this place before the call was written. Change code under runs that live by asking first.
    pub fn version(&self, change: &str, latest: u32) -> u32 {
        let mut state = self.lock();
        if let Some(version) = state.known.versions.get(change) {
            return *version;
        }
        let version = if state.is_replaying() { 0 } else { latest };
        state.known.versions.insert(change.to_owned(), version);
        state.operations_in_poll += 1;
        if version > 0 && !state.detached {
            state.emitted.push(Emission::Version { change: change.to_owned(), version });
        }
        version
    }

    /// A value that the code makes itself, made once: replays get what was recorded. For what is quick and may differ
    /// from time to time (a setting, a number from a library); what can fail or takes long is a step.
    pub fn value<T: Serialize + DeserializeOwned>(&self, name: &str, make: impl FnOnce() -> T) -> Result<T, Failure> {
        let seq = self.take_seq();
        let known = self.lock().known.values.get(&seq).cloned();
        let bad = |e: serde_json::Error| Failure::new("bad_value", format!("the value `{name}` is not JSON: {e}"));
        let value = match known {
            Some(value) => value,
            None => Payload::of(&make()).map_err(bad)?,
        };
        let read = value.read().map_err(bad);
        self.emit_op(seq, Op::Value { name: column_text(name, NAME_BYTES_MAX), value });
        read
    }

    /// How far the run is: 0 to 1, shown in lists.
    pub fn set_progress(&self, fraction: f64) {
        let fraction = if fraction.is_finite() { fraction.clamp(0.0, 1.0) } else { 0.0 };
        self.call(Op::Progress { fraction });
    }

    /// Tells readers of the run more than a status line can; replaces what was told before. Sealed like any payload.
    pub fn set_memo(&self, memo: &impl Serialize) {
        let memo = Payload::of(memo).unwrap_or_default();
        self.call(Op::Memo { memo });
    }

    /// Sets search attributes, by which lists are filtered; `null` takes one off. Never personal. What the code set and
    /// did not take off is bounded like what a start brings.
    pub fn set_attributes(&self, set: Map<String, Value>) -> Result<(), Vec<InputProblem>> {
        let mut names = self.lock().known.attributes.clone();
        names.retain(|name| set.get(name).is_none_or(|value| !value.is_null()));
        let kept: Map<String, Value> = set
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        names.extend(kept.keys().cloned());
        let mut problems = attributes::problems("", &kept);
        if problems.is_empty() && names.len().max(set.len()) > ATTRIBUTES_MAX {
            problems.push(attributes::too_many(""));
        }
        if problems.is_empty() {
            self.lock().known.attributes = names;
            self.call(Op::Attributes { set });
            return Ok(());
        }
        Err(problems)
    }

    /// Notes that the run paid `micros` millionths of a US dollar for `what`. Past the run's budget it is paused.
    pub fn cost(&self, what: &str, micros: u64) {
        self.call(Op::Cost { what: column_text(what, NAME_BYTES_MAX), micros });
    }

    /// Writes a line to the run's log.
    pub fn log(&self, message: impl Into<String>) {
        self.call(Op::Log { message: message.into() });
    }

    /// Tells listeners outside: `kind` as `noun.verb`. Delivered at least once, after the commit.
    pub fn emit(&self, kind: &str, data: &impl Serialize) {
        let data = Payload::of(data).unwrap_or_default();
        self.call(Op::Emit { kind: column_text(kind, NAME_BYTES_MAX), data });
    }

    /// One line that tells people where the run is.
    pub fn set_status(&self, text: impl Into<String>) {
        self.call(Op::Status { text: text.into() });
    }

    /// Awaits all, polled in argument order; the outputs keep that order.
    pub async fn all<F: Future>(&self, futures: Vec<F>) -> Vec<F::Output> {
        let mut slots: Vec<Slot<F>> = futures.into_iter().map(|f| Slot::Pending(Box::pin(f))).collect();
        std::future::poll_fn(|cx| {
            let mut pending = false;
            for slot in &mut slots {
                if let Slot::Pending(future) = slot {
                    match future.as_mut().poll(cx) {
                        Poll::Ready(output) => *slot = Slot::Done(output),
                        Poll::Pending => pending = true,
                    }
                }
            }
            if pending { Poll::Pending } else { Poll::Ready(()) }
        })
        .await;
        slots
            .into_iter()
            .filter_map(|slot| match slot {
                Slot::Done(output) => Some(output),
                Slot::Pending(_) => None,
            })
            .collect()
    }

    /// Awaits the first to end, polled in argument order; the others are dropped, which cancels their operations.
    pub async fn race<F: Future>(&self, futures: Vec<F>) -> (usize, F::Output) {
        let mut racing: Vec<Pin<Box<F>>> = futures.into_iter().map(Box::pin).collect();
        std::future::poll_fn(|cx| {
            for (index, future) in racing.iter_mut().enumerate() {
                if let Poll::Ready(output) = future.as_mut().poll(cx) {
                    return Poll::Ready((index, output));
                }
            }
            Poll::Pending
        })
        .await
    }
}

impl State {
    /// What the journal holds tells what the code did here, whether or not the engine is still reading it.
    fn is_replaying(&self) -> bool {
        self.replaying || self.last_seq < self.known.last.0
    }
}

/// How a child is started and left.
#[derive(Clone, Debug, Default)]
pub struct ChildOptions {
    /// Calls of one key within a run share one child, and each gets its result.
    pub key: Option<String>,
    /// What becomes of it when the parent ends or drops it.
    pub on_close: ClosePolicy,
}

impl ChildOptions {
    pub fn key(key: impl Into<String>) -> Self {
        Self { key: Some(key.into()), ..Self::default() }
    }

    /// The child goes on when the parent ends.
    pub fn abandon(mut self) -> Self {
        self.on_close = ClosePolicy::Abandon;
        self
    }
}

/// How a fan-out is carried out.
#[derive(Clone, Copy, Debug, Default)]
pub struct FanOptions {
    /// So many live at a time; default: all.
    pub at_once: Option<u32>,
    /// What becomes of them when the parent ends or drops them.
    pub on_close: ClosePolicy,
}

impl FanOptions {
    pub fn at_once(most: u32) -> Self {
        Self { at_once: Some(most), ..Self::default() }
    }
}

/// The children of a fan-out, in the order in which they end.
#[must_use = "children that are dropped are cancelled"]
pub struct Children<O> {
    ctx: Context,
    seq: Seq,
    count: u32,
    taken: u32,
    output: PhantomData<fn() -> O>,
}

impl<O: DeserializeOwned> Children<O> {
    /// The place of the next child that ended and what it came to; `None` after the last.
    pub async fn next(&mut self) -> Option<(usize, Result<O, Failure>)> {
        if self.taken == self.count {
            return None;
        }
        let (ctx, seq) = (self.ctx.clone(), self.seq);
        let (place, outcome) = std::future::poll_fn(move |cx| {
            let mut state = ctx.lock();
            if let Some(end) = state.streams.get_mut(&seq).and_then(|(waiting, _)| waiting.pop_front()) {
                return Poll::Ready(end);
            }
            state.wakers.insert(seq, cx.waker().clone());
            Poll::Pending
        })
        .await;
        self.taken += 1;
        Some((place as usize, read_child(Delivery::Resolution(Resolution::ChildEnded { outcome }))))
    }

    /// Waits for all; their results in the order of the inputs.
    pub async fn all(mut self) -> Vec<Result<O, Failure>> {
        let mut results: Vec<Option<Result<O, Failure>>> = (0..self.count).map(|_| None).collect();
        while let Some((place, result)) = self.next().await {
            if let Some(slot) = results.get_mut(place) {
                *slot = Some(result);
            }
        }
        results.into_iter().flatten().collect()
    }
}

impl<O> Drop for Children<O> {
    fn drop(&mut self) {
        let mut state = self.ctx.lock();
        state.wakers.remove(&self.seq);
        let told = state.streams.remove(&self.seq).map_or(0, |(_, told)| told);
        if !state.detached && told < self.count {
            state.emitted.push(Emission::Dropped { seq: self.seq });
        }
    }
}

/// Something that ends when somebody outside says so. Await it.
#[must_use = "a completion that is dropped is cancelled"]
pub struct Completion<T> {
    token: String,
    url: String,
    operation: Operation<Result<T, Failure>>,
}

impl<T> Completion<T> {
    /// The secret that lets its holder complete this, and nothing else.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Where the result is sent with POST.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl<T> IntoFuture for Completion<T> {
    type Output = Result<T, Failure>;
    type IntoFuture = Operation<Result<T, Failure>>;

    fn into_future(self) -> Self::IntoFuture {
        self.operation
    }
}

enum Slot<F: Future> {
    Pending(Pin<Box<F>>),
    Done(F::Output),
}

/// A registered clean-up.
#[must_use = "call `now` to clean up before the run ends, or let it run at the end"]
pub struct Finalizer {
    ctx: Context,
    of: Seq,
    /// Set for a clean-up that is bound to a host.
    host_may_be_gone_ms: Option<u64>,
}

impl Finalizer {
    /// Cleans up now, and not again at the end.
    pub fn now(self) -> Operation<Result<(), StepFailure>> {
        let start_by = self.host_may_be_gone_ms.map(|ms| after(self.ctx.now(), Duration::from_millis(ms)));
        self.ctx.operation(Op::FinallyNow { of: self.of, start_by }, read_step::<()>)
    }
}

/// A called operation: await it, or drop it to cancel it.
#[must_use = "an operation that is dropped is cancelled"]
pub struct Operation<T> {
    ctx: Context,
    seq: Seq,
    read: fn(Delivery) -> T,
    done: bool,
    output: PhantomData<fn() -> T>,
}

impl<T> Operation<Result<T, StepFailure>> {
    /// Which call this is, for steps that want its worker.
    pub fn place(&self) -> StepPlace {
        StepPlace(self.seq)
    }
}

impl<T> Future for Operation<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<T> {
        let delivery = {
            let mut state = self.ctx.lock();
            let delivery = state.deliveries.remove(&self.seq);
            if delivery.is_none() {
                state.wakers.insert(self.seq, cx.waker().clone());
            }
            delivery
        };
        match delivery {
            Some(delivery) => {
                self.done = true;
                Poll::Ready((self.read)(delivery))
            }
            None => Poll::Pending,
        }
    }
}

impl<T> Drop for Operation<T> {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let mut state = self.ctx.lock();
        state.wakers.remove(&self.seq);
        // Delivered but never looked at: the journal already holds its end.
        if state.detached || state.deliveries.remove(&self.seq).is_some() {
            return;
        }
        state.emitted.push(Emission::Dropped { seq: self.seq });
    }
}

fn step_op<S: Step>(step: &S, options: &StepOptions) -> StepOp {
    let mut policy = S::policy();
    policy.prefer_labels.extend_from_slice(&options.prefer_labels);
    policy.required_labels.extend(options.labels.iter().map(|(name, value)| (name.clone(), value.clone())));
    let host = step.host().map(|host| column_text(host, NAME_BYTES_MAX));
    if let Some(host) = &host {
        policy.queue = queue_of_host(&policy.queue, host);
        policy.schedule_timeout_ms.get_or_insert(HOST_GONE_AFTER.as_millis() as u64);
    }
    policy.queue = column_text(mem::take(&mut policy.queue), NAME_BYTES_MAX);
    go_to_labelled(&mut policy, S::NAME);
    StepOp {
        name: column_text(S::NAME, NAME_BYTES_MAX),
        // A step's input is data of the workflow; one that cannot be written as JSON is an author's error, and the
        // worker's refusal of `null` says so with the step's name.
        input: Payload::of(step).unwrap_or_default(),
        policy,
        host,
        start_by: None,
        remembers: false,
        sticky: None,
    }
}

/// A step that requires labels waits where only workers that have them look.
fn go_to_labelled(policy: &mut StepPolicy, step: &str) {
    let problems = preference_problems(&policy.queue, &policy.required_labels, &policy.prefer_labels);
    if let Some((at, problem)) = problems.first() {
        panic!("step `{step}`: prefer_labels{at}: {problem}");
    }
    if policy.required_labels.is_empty() {
        return;
    }
    if let Some(problem) = labels_problem(&policy.queue, &policy.required_labels) {
        // An author's error: the run is parked with this sentence, and goes on with a build that asks for other labels.
        panic!("step `{step}`: {problem}");
    }
    policy.queue = queue_with_labels(&policy.queue, &policy.required_labels);
}

/// By when an attempt that can be taken from `now` on must have been.
pub(crate) fn start_by(op: &StepOp, now: Timestamp) -> Option<Timestamp> {
    let wait = op.sticky.map(|_| STICKY_PATIENCE).or(op.policy.schedule_timeout_ms.map(Duration::from_millis))?;
    Some(after(now, wait))
}

fn read_message<T: DeserializeOwned>(delivery: Delivery) -> Option<Result<T, Failure>> {
    match delivery {
        Delivery::Signal(payload) => Some(payload.read().map_err(|e| Failure::new("bad_signal", e.to_string()))),
        Delivery::Resolution(_) => None,
    }
}

fn read_step<T: DeserializeOwned>(delivery: Delivery) -> Result<T, StepFailure> {
    match delivery {
        Delivery::Resolution(Resolution::StepDone { output, .. }) => {
            output.read().map_err(|e| StepFailure::BadOutput(Failure::new("bad_output", e.to_string())))
        }
        Delivery::Resolution(Resolution::StepFailed { failure, .. }) => Err(failure),
        _ => Err(StepFailure::BadOutput(Failure::new("bad_delivery", "not a step's result"))),
    }
}

fn read_child<T: DeserializeOwned>(delivery: Delivery) -> Result<T, Failure> {
    match delivery {
        Delivery::Resolution(Resolution::ChildEnded { outcome }) => match outcome {
            RunOutcome::Succeeded { output } => output.read().map_err(|e| Failure::new("bad_output", e.to_string())),
            RunOutcome::Failed { error } | RunOutcome::TimedOut { error } => Err(error),
            RunOutcome::Cancelled { reason, .. } => Err(Failure::new("cancelled", reason)),
        },
        _ => Err(Failure::new("bad_delivery", "not a child's end")),
    }
}

fn read_completion<T: DeserializeOwned>(delivery: Delivery) -> Result<T, Failure> {
    match delivery {
        Delivery::Resolution(Resolution::Completed { outcome: CompletionOutcome::Done { output }, .. }) => {
            output.read().map_err(|e| Failure::new("bad_output", e.to_string()))
        }
        Delivery::Resolution(Resolution::Completed { outcome: CompletionOutcome::Failed { error }, .. }) => Err(error),
        _ => Err(Failure::new(TIMED_OUT, "nobody completed it in time")),
    }
}

pub(crate) fn after(now: Timestamp, duration: Duration) -> Timestamp {
    chrono::TimeDelta::from_std(duration)
        .ok()
        .and_then(|delta| now.checked_add_signed(delta))
        .unwrap_or(Timestamp::MAX_UTC)
}
