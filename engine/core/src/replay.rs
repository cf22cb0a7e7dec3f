//! Polls workflow code against its journal.
//!
//! Live and on replay exactly one resolution is delivered, then the future is polled until it is pending and its waker
//! is silent, then the next. So the same journal makes the same code ask for the same operations, in the same order.

use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Poll, Wake, Waker};

use crate::Timestamp;
use crate::context::{Context, Delivery, Emission};
use crate::id::{Seq, SessionId};
use crate::journal::{Entry, StuckReason};
use crate::payload::Payload;
use crate::workflow::{CodeFuture, Definition, Stop};

/// The future of a run's code with the context it talks through.
pub(crate) struct Code {
    ctx: Context,
    future: Option<CodeFuture>,
    woken: Arc<Flag>,
}

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

/// What one poll brought: the operations it asked for, and how the code ended if it did.
#[derive(Default)]
pub(crate) struct Polled {
    pub emitted: Vec<Emission>,
    pub returned: Option<Result<Payload, Stop>>,
    /// The code does not fit its journal.
    pub stuck: Option<StuckReason>,
}

impl Polled {
    pub fn stuck(why: StuckReason) -> Self {
        Self { stuck: Some(why), ..Self::default() }
    }
}

impl Code {
    pub fn start(definition: &Definition, ctx: Context, input: &Payload) -> Result<Self, StuckReason> {
        let started = catch_unwind(AssertUnwindSafe(|| definition.start(ctx.clone(), input)));
        let future = match started {
            Ok(Ok(future)) => future,
            Ok(Err(e)) => {
                return Err(StuckReason::Mismatch {
                    seq: Seq(0),
                    recorded: "an input that this build cannot read".to_owned(),
                    asked: e.to_string(),
                });
            }
            Err(panic) => return Err(panicked(panic.as_ref())),
        };
        Ok(Self { ctx, future: Some(future), woken: Arc::new(Flag(AtomicBool::new(false))) })
    }

    pub fn set_replaying(&self, replaying: bool) {
        self.ctx.set_replaying(replaying);
    }

    /// The last place that the code took.
    pub fn last_seq(&self) -> Seq {
        self.ctx.last_seq()
    }

    pub fn deliver(&self, seq: Seq, delivery: Delivery) {
        self.ctx.deliver(seq, delivery);
    }

    pub fn ran_by(&self, seq: Seq, session: SessionId) {
        self.ctx.ran_by(seq, session);
    }

    /// Polls until the code is pending and nothing woke it. A panic records nothing.
    pub fn poll(&mut self, now: Timestamp) -> Result<Polled, StuckReason> {
        self.ctx.begin_poll(now);
        let waker = Waker::from(Arc::clone(&self.woken));
        let mut cx = std::task::Context::from_waker(&waker);
        let mut returned = None;
        if let Some(future) = self.future.as_mut() {
            loop {
                self.woken.0.store(false, Ordering::Release);
                match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut cx))) {
                    Ok(Poll::Ready(result)) => {
                        returned = Some(result);
                        break;
                    }
                    Ok(Poll::Pending) if self.ctx.is_runaway() => return Err(StuckReason::Runaway),
                    Ok(Poll::Pending) if self.woken.0.load(Ordering::Acquire) => {}
                    Ok(Poll::Pending) => break,
                    Err(panic) => return Err(panicked(panic.as_ref())),
                }
            }
        }
        if self.ctx.is_runaway() {
            return Err(StuckReason::Runaway);
        }
        if returned.is_some() {
            // Locals that the code still held are dropped now: their operations are cancelled by the code's own end.
            self.drop_future();
        }
        Ok(Polled { emitted: self.ctx.take_emitted(), returned, stuck: None })
    }

    /// The future with all that it may hold across its waits, without what it allocated.
    pub fn size_bytes(&self) -> usize {
        self.future.as_ref().map_or(0, |future| size_of_val(&**future))
    }

    fn drop_future(&mut self) {
        let future = self.future.take();
        // A destructor of workflow code may panic; it must not take the engine's thread with it.
        let _ = catch_unwind(AssertUnwindSafe(move || drop(future)));
    }
}

impl Drop for Code {
    fn drop(&mut self) {
        self.ctx.detach();
        self.drop_future();
    }
}

fn panicked(panic: &(dyn Any + Send)) -> StuckReason {
    let message = panic
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned());
    StuckReason::Panicked { message }
}

/// Compares what the code asks for on replay with what was recorded.
#[derive(Default)]
pub(crate) struct Expectation {
    asked: VecDeque<Emission>,
    returned: Option<Result<Payload, Stop>>,
}

impl Expectation {
    pub fn asked(&mut self, polled: Polled) {
        self.asked.extend(polled.emitted);
        if polled.returned.is_some() {
            self.returned = polled.returned;
        }
    }

    /// A recorded operation, drop or end: the code must have asked for just that.
    pub fn recorded(&mut self, entry: &Entry) -> Result<(), StuckReason> {
        let asked = self.asked.pop_front();
        let fits = match (entry, &asked) {
            (Entry::Op { seq, op }, Some(Emission::Op { seq: at, op: asked })) => seq == at && op.matches(asked),
            (Entry::Dropped { seq }, Some(Emission::Dropped { seq: at })) => seq == at,
            _ => false,
        };
        if fits {
            return Ok(());
        }
        Err(StuckReason::Mismatch {
            seq: recorded_seq(entry),
            recorded: describe_entry(entry),
            asked: self.describe(asked.as_ref()),
        })
    }

    /// Before the next delivery nothing may be left that the journal does not hold.
    pub fn settled(&self) -> Result<(), StuckReason> {
        match self.asked.front() {
            None => Ok(()),
            Some(left) => Err(StuckReason::Mismatch {
                seq: emission_seq(left),
                recorded: "nothing".to_owned(),
                asked: self.describe(Some(left)),
            }),
        }
    }

    /// What the code asked for beyond the journal.
    pub fn into_polled(self) -> Polled {
        Polled { emitted: self.asked.into(), returned: self.returned, stuck: None }
    }

    pub fn take_returned(&mut self) -> Option<Result<Payload, Stop>> {
        self.returned.take()
    }

    fn describe(&self, asked: Option<&Emission>) -> String {
        match asked {
            Some(Emission::Op { seq, op }) => format!("{} `{}` at {seq}", op.kind(), op.name()),
            Some(Emission::Dropped { seq }) => format!("the cancellation of {seq}"),
            Some(Emission::Version { change, version }) => format!("version {version} of `{change}`"),
            None if self.returned.is_some() => "the end of the run".to_owned(),
            None => "nothing".to_owned(),
        }
    }
}

fn emission_seq(emission: &Emission) -> Seq {
    match emission {
        Emission::Op { seq, .. } | Emission::Dropped { seq } => *seq,
        Emission::Version { .. } => Seq(0),
    }
}

fn recorded_seq(entry: &Entry) -> Seq {
    match entry {
        Entry::Op { seq, .. } | Entry::Dropped { seq } => *seq,
        _ => Seq(0),
    }
}

fn describe_entry(entry: &Entry) -> String {
    match entry {
        Entry::Op { seq, op } => format!("{} `{}` at {seq}", op.kind(), op.name()),
        Entry::Dropped { seq } => format!("the cancellation of {seq}"),
        _ => "the end of the run".to_owned(),
    }
}
