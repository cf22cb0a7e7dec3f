//! The registry of step handlers: which code does which step.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use valet_core::payload::Payload;
use valet_core::step::Step;

use super::batching::{Batched, Batching};
use super::context::StepContext;
use super::step_error::StepError;

/// Does one kind of step, types erased.
pub trait Handler: Send + Sync + 'static {
    fn run(&self, ctx: StepContext, input: Payload) -> BoxFuture<'static, Result<Payload, StepError>>;
}

/// Handlers by the name of their step.
#[derive(Clone, Default)]
pub struct Handlers {
    by_name: HashMap<String, Arc<dyn Handler>>,
}

impl Handlers {
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers the handler of `S`. What it shares with other steps its closure captures.
    ///
    /// # Panics
    /// If `S` has a handler already: two of them are a mistake that should stop the process at its start.
    pub fn on<S, F, Fut>(self, handler: F) -> Self
    where
        S: Step,
        F: Fn(StepContext, S) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<S::Output, StepError>> + Send + 'static,
    {
        self.on_named(S::NAME, Arc::new(Typed { call: handler, step: std::marker::PhantomData::<fn(S)> }))
    }

    /// Registers a handler that does several steps of `S` in one call. Those of one key are gathered (`|_| String::new()`: all), by
    /// `rules`; the results come in the order of the steps, each a step's own. A step that must stop leaves its batch before it begins;
    /// in the middle its context says so, and its result counts no more.
    ///
    /// # Panics
    /// If `S` has a handler already, or `rules` are beyond their bounds.
    pub fn on_batch<S, K, F, Fut>(self, rules: Batching, key: K, handler: F) -> Self
    where
        S: Step,
        K: Fn(&S) -> String + Send + Sync + 'static,
        F: Fn(Vec<(StepContext, S)>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Vec<Result<S::Output, StepError>>> + Send + 'static,
    {
        rules.check();
        self.on_named(S::NAME, Arc::new(Batched::new(rules, key, handler)))
    }

    /// Registers a handler whose step is known by name only.
    ///
    /// # Panics
    /// If the name has a handler already.
    pub fn on_named(mut self, name: &str, handler: Arc<dyn Handler>) -> Self {
        let before = self.by_name.insert(name.to_owned(), handler);
        assert!(before.is_none(), "two handlers for the step `{name}`");
        self
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    pub(super) fn get(&self, name: &str) -> Option<&Arc<dyn Handler>> {
        self.by_name.get(name)
    }
}

impl fmt::Debug for Handlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

struct Typed<S, F> {
    call: F,
    step: std::marker::PhantomData<fn(S)>,
}

impl<S, F, Fut> Handler for Typed<S, F>
where
    S: Step,
    F: Fn(StepContext, S) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<S::Output, StepError>> + Send + 'static,
{
    fn run(&self, ctx: StepContext, input: Payload) -> BoxFuture<'static, Result<Payload, StepError>> {
        let step: S = match read_step(&input) {
            Ok(step) => step,
            Err(wrong) => return std::future::ready(Err(wrong)).boxed(),
        };
        let work = (self.call)(ctx, step);
        async move { written::<S>(&work.await?) }.boxed()
    }
}

pub(super) fn read_step<S: Step>(input: &Payload) -> Result<S, StepError> {
    input.read().map_err(|error| StepError::fail("bad_step_input", format_args!("the input of {}: {error}", S::NAME)))
}

pub(super) fn written<S: Step>(output: &S::Output) -> Result<Payload, StepError> {
    let wrong = |error| StepError::fail("bad_step_output", format_args!("the output of {}: {error}", S::NAME));
    Payload::of(output).map_err(wrong)
}
