//! Steps that one call of a handler does together.
//!
//! Each stays a step of its own: its lease, its time limit, its outcome, its next attempt. What is gathered is what this worker was granted;
//! a batch is no larger than the worker has slots.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use valet_core::payload::Payload;
use valet_core::step::Step;

use super::attempt::panic_text;
use super::bounds::{BATCH_WAIT_MAX, GATHERED_BYTES_MAX, SLOTS_MAX};
use super::context::StepContext;
use super::handler::{Handler, read_step, written};
use super::meter;
use super::step_error::StepError;

/// When gathered steps are begun: whatever comes first, and at 4 MiB of input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batching {
    /// Steps of a batch, at most; 1 to 4,096.
    pub max_size: usize,
    /// From the first step of a batch, which waits longest; up to a minute. The steps' time limits run meanwhile.
    pub max_wait: Duration,
}

impl Batching {
    pub(super) fn check(self) {
        assert!(
            (1..=SLOTS_MAX as usize).contains(&self.max_size),
            "a batch has 1 to {SLOTS_MAX} steps, not {}",
            self.max_size
        );
        assert!(
            self.max_wait <= BATCH_WAIT_MAX,
            "a batch waits for {BATCH_WAIT_MAX:?} at most, not {:?}",
            self.max_wait
        );
    }
}

/// A step that waits for its batch.
struct Member<S: Step> {
    ctx: StepContext,
    step: S,
    answer: oneshot::Sender<Answer<S::Output>>,
}

enum Answer<T> {
    Ended(Result<T, StepError>),
    Panicked(String),
}

/// A batch that is not full yet.
struct Open<S: Step> {
    number: u64,
    members: Vec<Member<S>>,
    bytes: usize,
    full: oneshot::Sender<Vec<Member<S>>>,
}

struct Gathering<S: Step> {
    by_key: HashMap<String, Open<S>>,
    next_number: u64,
}

pub(super) struct Batched<S: Step, K, F> {
    inner: Arc<Inner<S, K, F>>,
}

struct Inner<S: Step, K, F> {
    rules: Batching,
    key: K,
    call: F,
    gathering: Mutex<Gathering<S>>,
}

impl<S, K, F, Fut> Batched<S, K, F>
where
    S: Step,
    K: Fn(&S) -> String + Send + Sync + 'static,
    F: Fn(Vec<(StepContext, S)>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Vec<Result<S::Output, StepError>>> + Send + 'static,
{
    pub fn new(rules: Batching, key: K, call: F) -> Self {
        let gathering = Mutex::new(Gathering { by_key: HashMap::new(), next_number: 0 });
        Self { inner: Arc::new(Inner { rules, key, call, gathering }) }
    }
}

impl<S, K, F, Fut> Handler for Batched<S, K, F>
where
    S: Step,
    K: Fn(&S) -> String + Send + Sync + 'static,
    F: Fn(Vec<(StepContext, S)>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Vec<Result<S::Output, StepError>>> + Send + 'static,
{
    fn run(&self, ctx: StepContext, input: Payload) -> BoxFuture<'static, Result<Payload, StepError>> {
        let step: S = match read_step(&input) {
            Ok(step) => step,
            Err(wrong) => return std::future::ready(Err(wrong)).boxed(),
        };
        let answer = self.inner.add(ctx, step, input.len_bytes());
        async move {
            match answer.await {
                Ok(Answer::Ended(result)) => written::<S>(&result?),
                // Each attempt is judged as if it had been alone: what became of its effect is not known.
                Ok(Answer::Panicked(text)) => std::panic::resume_unwind(Box::new(text)),
                Err(_) => Err(StepError::HandedBack),
            }
        }
        .boxed()
    }
}

impl<S, K, F, Fut> Inner<S, K, F>
where
    S: Step,
    K: Fn(&S) -> String + Send + Sync + 'static,
    F: Fn(Vec<(StepContext, S)>) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Vec<Result<S::Output, StepError>>> + Send + 'static,
{
    /// Puts a step into the open batch of its key; the answer comes with the batch's end.
    fn add(self: &Arc<Self>, ctx: StepContext, step: S, bytes: usize) -> oneshot::Receiver<Answer<S::Output>> {
        let (answer, answered) = oneshot::channel();
        let key = (self.key)(&step);
        let mut gathering = self.gathering.lock();
        if !gathering.by_key.contains_key(&key) {
            let number = gathering.next_number;
            gathering.next_number += 1;
            let (full, filled) = oneshot::channel();
            gathering.by_key.insert(key.clone(), Open { number, members: Vec::new(), bytes: 0, full });
            tokio::spawn(Arc::clone(self).carry_out(key.clone(), number, filled));
        }
        let Some(open) = gathering.by_key.get_mut(&key) else { return answered };
        // Who was stopped meanwhile takes no place.
        open.members.retain(|member| !member.answer.is_closed());
        open.members.push(Member { ctx, step, answer });
        open.bytes += bytes;
        if (open.members.len() >= self.rules.max_size || open.bytes >= GATHERED_BYTES_MAX)
            && let Some(open) = gathering.by_key.remove(&key)
        {
            // Its task is there until it has them.
            let _ = open.full.send(open.members);
        }
        answered
    }

    /// Waits until a batch is full or has waited long enough, and does it.
    async fn carry_out(self: Arc<Self>, key: String, number: u64, mut filled: oneshot::Receiver<Vec<Member<S>>>) {
        let gathered = match tokio::time::timeout(self.rules.max_wait, &mut filled).await {
            Ok(gathered) => gathered.ok(),
            Err(_) => match self.take(&key, number) {
                Some(members) => Some(members),
                // It was filled in this very moment.
                None => filled.await.ok(),
            },
        };
        let members = gathered.into_iter().flatten().filter(|member| !member.answer.is_closed());
        let (items, mut answers): (Vec<_>, Vec<_>) =
            members.map(|member| ((member.ctx, member.step), member.answer)).unzip();
        if items.is_empty() {
            return;
        }
        for (ctx, _) in &items {
            ctx.alive();
        }
        meter::batch_begun(S::NAME, items.len());
        let work = AssertUnwindSafe(async { (self.call)(items).await }).catch_unwind();
        let ended = tokio::select! {
            biased;
            ended = work => ended,
            // Nobody waits for it any more: it is dropped, as a single step's handler is.
            () = async { for answer in &mut answers { answer.closed().await } } => return,
        };
        match ended {
            Ok(results) if results.len() == answers.len() => {
                for (answer, result) in answers.into_iter().zip(results) {
                    let _ = answer.send(Answer::Ended(result));
                }
            }
            Ok(results) => {
                let message =
                    format!("{} results for a batch of {} steps of {}", results.len(), answers.len(), S::NAME);
                for answer in answers {
                    let _ = answer.send(Answer::Ended(Err(StepError::fail("bad_batch_output", &message))));
                }
            }
            Err(panic) => {
                let text = panic_text(panic.as_ref());
                for answer in answers {
                    let _ = answer.send(Answer::Panicked(text.clone()));
                }
            }
        }
    }

    /// The members of this batch if it is still open.
    fn take(&self, key: &str, number: u64) -> Option<Vec<Member<S>>> {
        let mut gathering = self.gathering.lock();
        if gathering.by_key.get(key)?.number != number {
            return None;
        }
        gathering.by_key.remove(key).map(|open| open.members)
    }
}
