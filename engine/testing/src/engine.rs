//! What an author builds: the workflows, and all that the world outside does.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use valet_core::journal::{HumanSpec, RunOutcome};
use valet_core::workflow::Door;
use valet_core::{Failure, Outcome, Payload, Registry, Step, Workflow};

use crate::answers::{Person, done, payload};
use crate::bounds::TRANSITIONS_MAX;
use crate::meddling::Meddling;
use crate::test_run::TestRun;
use crate::trouble::Trouble;
use crate::world::World;

/// The one build that tests run with.
const BUILD: i64 = 1;

type OnStep = Box<dyn FnMut(&Payload, u32) -> Outcome>;
type OnTask = Box<dyn FnMut(&HumanSpec) -> Person>;
type OnWait = Box<dyn FnMut(u32) -> Option<Payload>>;
type OnChild = Box<dyn FnMut(&Payload) -> RunOutcome>;

/// Something that comes from outside at an instant of its own.
pub(crate) enum Event {
    Signal { name: String, payload: Payload },
    Cancel { reason: String },
}

/// An engine in memory. Steps are done by the test's handlers; time skips to the next timer when nothing else is to do.
///
/// After every transition the run is rebuilt from its journal and must be the same: code that reads a clock or draws a
/// random number of its own is found here.
///
/// Its handlers are the world of one run: they may count and remember.
pub struct TestEngine {
    pub(crate) registry: Registry,
    pub(crate) steps: BTreeMap<String, OnStep>,
    pub(crate) tasks: BTreeMap<String, OnTask>,
    pub(crate) waits: BTreeMap<String, OnWait>,
    pub(crate) children: BTreeMap<String, OnChild>,
    /// In the order of their instants, counted from the start.
    pub(crate) events: Vec<(Duration, Event)>,
    pub(crate) codes: Vec<String>,
    pub(crate) transitions_max: usize,
}

impl Default for TestEngine {
    fn default() -> Self {
        Self::new()
    }
}

impl TestEngine {
    pub fn new() -> Self {
        Self {
            registry: Registry::new(BUILD),
            steps: BTreeMap::new(),
            tasks: BTreeMap::new(),
            waits: BTreeMap::new(),
            children: BTreeMap::new(),
            events: Vec::new(),
            codes: Vec::new(),
            transitions_max: TRANSITIONS_MAX,
        }
    }

    /// Adds a workflow. The one that is run is added by itself; its children's are not.
    #[must_use]
    pub fn workflow<W: Workflow>(mut self) -> Self {
        self.registry = self.registry.with::<W>();
        self
    }

    /// What the step `S` comes to: its output, or how the attempt ended otherwise ([`crate::retry`], [`crate::fail`] …).
    /// The handler is given the step and the number of the attempt, from 1.
    #[must_use]
    pub fn on_step<S: Step>(self, mut handler: impl FnMut(S, u32) -> Result<S::Output, Outcome> + 'static) -> Self {
        self.on_step_named(S::NAME, move |input, attempt| match input.read::<S>() {
            Ok(step) => match handler(step, attempt) {
                Ok(output) => done(&output),
                Err(outcome) => outcome,
            },
            Err(error) => Outcome::Fail { error: Failure::new("bad_input", error.to_string()) },
        })
    }

    /// The same for a step by its name, with its input and the number of the attempt.
    #[must_use]
    pub fn on_step_named(mut self, name: &str, handler: impl FnMut(&Payload, u32) -> Outcome + 'static) -> Self {
        self.steps.insert(name.to_owned(), Box::new(handler));
        self
    }

    /// What a person does with tasks of this `reason`. A task that no handler answers waits until its deadline.
    #[must_use]
    pub fn on_task(mut self, reason: &str, handler: impl FnMut(&HumanSpec) -> Person + 'static) -> Self {
        self.tasks.insert(reason.to_owned(), Box::new(handler));
        self
    }

    /// What is sent when nothing else moves a run that waits for the signal `name`: the handler is given the number of the
    /// wait, from 1. `None`: nothing comes.
    #[must_use]
    pub fn on_wait<T: Serialize>(mut self, name: &str, mut handler: impl FnMut(u32) -> Option<T> + 'static) -> Self {
        self.waits.insert(name.to_owned(), Box::new(move |nth| handler(nth).as_ref().map(payload)));
        self
    }

    /// Sends a signal right after the start, before anything waits for it.
    #[must_use]
    pub fn signal<T: Serialize + ?Sized>(self, name: &str, message: &T) -> Self {
        self.signal_after(Duration::ZERO, name, message)
    }

    /// Sends a signal that long after the start, if the run still goes.
    #[must_use]
    pub fn signal_after<T: Serialize + ?Sized>(self, after: Duration, name: &str, message: &T) -> Self {
        self.event(after, Event::Signal { name: name.to_owned(), payload: payload(message) })
    }

    /// Cancels the run that long after its start, if it still goes.
    #[must_use]
    pub fn cancel_after(self, after: Duration, reason: &str) -> Self {
        self.event(after, Event::Cancel { reason: reason.to_owned() })
    }

    fn event(mut self, after: Duration, event: Event) -> Self {
        self.events.push((after, event));
        self.events.sort_by_key(|(after, _)| *after);
        self
    }

    /// What children of `workflow` come to, without running them.
    #[must_use]
    pub fn on_child<I: DeserializeOwned, O: Serialize>(
        mut self,
        workflow: &str,
        mut handler: impl FnMut(I) -> Result<O, Failure> + 'static,
    ) -> Self {
        let handler = move |input: &Payload| {
            let ended = match input.read::<I>() {
                Ok(input) => handler(input),
                Err(error) => Err(Failure::new("bad_input", error.to_string())),
            };
            match ended {
                Ok(output) => RunOutcome::Succeeded { output: payload(&output) },
                Err(error) => RunOutcome::Failed { error },
            }
        };
        self.children.insert(workflow.to_owned(), Box::new(handler));
        self
    }

    /// A code of failures that the workflow knows and treats in a way of its own: a contract lets each step fail with it too.
    #[must_use]
    pub fn knows_code(mut self, code: &str) -> Self {
        self.codes.push(code.to_owned());
        self
    }

    /// Transitions after which the run is taken for one that never ends [default: 2000].
    #[must_use]
    pub fn transitions_max(mut self, max: usize) -> Self {
        self.transitions_max = max;
        self
    }

    /// Runs `W` to its end.
    ///
    /// # Panics
    /// If the input is not JSON.
    #[track_caller]
    pub fn run<W: Workflow>(self, input: &(impl Serialize + ?Sized)) -> Result<TestRun, Trouble> {
        self.start::<W>(payload(input), Meddling::None)?.run()
    }

    pub(crate) fn start<W: Workflow>(self, input: Payload, meddling: Meddling) -> Result<World, Trouble> {
        let engine = self.workflow::<W>();
        // A disturbed run has the input of the undisturbed one.
        if meddling == Meddling::None {
            engine.check_input(W::NAME, &input)?;
        }
        Ok(World::new(engine, W::NAME, input, meddling))
    }

    /// As an engine's door does before it starts a run.
    fn check_input(&self, workflow: &str, input: &Payload) -> Result<(), Trouble> {
        let Some(definition) = self.registry.get(workflow) else { return Ok(()) };
        if let Err(Unfit::NoSchema(problem) | Unfit::Document(problem)) = fits(&definition.input_schema, input) {
            return Err(Trouble::InputRefused(problem));
        }
        match definition.check(input, &Door::default()).first() {
            Some(problem) => Err(Trouble::InputRefused(format!("{}: {}", problem.field, problem.message))),
            None => Ok(()),
        }
    }
}

/// Why a document is not what a schema wants.
pub(crate) enum Unfit {
    NoSchema(String),
    Document(String),
}

/// Whether a document has the shape that a JSON Schema wants.
pub(crate) fn fits(schema: &serde_json::Value, document: &Payload) -> Result<(), Unfit> {
    let validator = jsonschema::validator_for(schema).map_err(|error| Unfit::NoSchema(error.to_string()))?;
    let document: serde_json::Value = document.read().map_err(|error| Unfit::Document(error.to_string()))?;
    let wrong = |error: jsonschema::ValidationError<'_>| {
        let at = error.instance_path().to_string();
        Unfit::Document(if at.is_empty() { error.to_string() } else { format!("{at}: {error}") })
    };
    validator.validate(&document).map_err(wrong)
}
