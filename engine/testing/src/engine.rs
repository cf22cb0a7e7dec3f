//! What an author builds: the workflows, and all that the world outside does.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use valet_core::command::Command;
use valet_core::declared::{DeclaredWorkflow, check};
use valet_core::id::Seq;
use valet_core::journal::{CompletionOutcome, HumanSpec, RunOutcome};
use valet_core::workflow::Door;
use valet_core::{Failure, Outcome, Payload, Registry, Step, Workflow};

use crate::answers::{Operator, Person, done, payload};
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
type OnCompletion = Box<dyn FnMut(u32) -> Option<CompletionOutcome>>;
type OnParked = Box<dyn FnMut(u32) -> Operator>;

/// Something that comes from outside at an instant of its own.
pub(crate) enum Event {
    Signal { name: String, payload: Payload },
    Cancel { reason: String },
    Pause,
    Resume,
    Complete { name: String, output: Payload },
}

/// What an operator does with the first step of a name, before any worker takes it.
pub(crate) enum Order {
    Skip { step: String, output: Payload },
    Edit { step: String, input: Payload },
}

impl Order {
    pub fn step(&self) -> &str {
        match self {
            Self::Skip { step, .. } | Self::Edit { step, .. } => step,
        }
    }

    pub fn command(self, seq: Seq, by: &str) -> (String, Command) {
        let by = by.to_owned();
        match self {
            Self::Skip { step, output } => (step, Command::SkipStep { seq, by, output }),
            Self::Edit { step, input } => (step, Command::EditStep { seq, by, input }),
        }
    }
}

/// An engine in memory. Steps are done by the test's handlers; time skips to the next timer when nothing else is to do.
///
/// After every transition the run is rebuilt from its journal and must be the same: code that reads a clock or draws a
/// random number of its own is found here.
///
/// Its handlers are the world of one run: they may count and remember.
pub struct TestEngine {
    pub(crate) registry: Registry,
    /// Declared workflows, by name.
    pub(crate) declared: BTreeMap<String, Payload>,
    pub(crate) steps: BTreeMap<String, OnStep>,
    pub(crate) tasks: BTreeMap<String, OnTask>,
    pub(crate) waits: BTreeMap<String, OnWait>,
    pub(crate) published: BTreeMap<String, OnWait>,
    pub(crate) children: BTreeMap<String, OnChild>,
    pub(crate) completions: BTreeMap<String, OnCompletion>,
    pub(crate) parked: BTreeMap<String, OnParked>,
    pub(crate) orders: Vec<Order>,
    pub(crate) hands_over: bool,
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
            declared: BTreeMap::new(),
            steps: BTreeMap::new(),
            tasks: BTreeMap::new(),
            waits: BTreeMap::new(),
            published: BTreeMap::new(),
            children: BTreeMap::new(),
            completions: BTreeMap::new(),
            parked: BTreeMap::new(),
            orders: Vec::new(),
            hands_over: false,
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

    /// Adds a declared workflow: what `PUT /api/v1/workflows/{name}` takes. Code of the same name goes first.
    ///
    /// # Panics
    /// If something is wrong with the definition.
    #[must_use]
    #[track_caller]
    pub fn declare(mut self, name: &str, definition: &(impl Serialize + ?Sized)) -> Self {
        let definition = payload(definition);
        match definition.read::<DeclaredWorkflow>() {
            Ok(read) => drop(check(&read).map_err(|faults| panic!("`{name}`: {}", faults.first_told()))),
            Err(error) => panic!("`{name}`: {error}"),
        }
        self.declared.insert(name.to_owned(), definition);
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

    /// What an event that is published when nothing else moves a run which waits for one of this pattern of keys carries: the
    /// handler is given the number of the wait, from 1. The event's key is the pattern. `None`: nothing comes.
    #[must_use]
    pub fn on_event<T: Serialize>(mut self, key: &str, mut handler: impl FnMut(u32) -> Option<T> + 'static) -> Self {
        self.published.insert(key.to_owned(), Box::new(move |nth| handler(nth).as_ref().map(payload)));
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

    /// Pauses the run that long after its start. Steps are not taken and nothing is delivered until it is resumed.
    #[must_use]
    pub fn pause_after(self, after: Duration) -> Self {
        self.event(after, Event::Pause)
    }

    /// Resumes the run that long after its start.
    #[must_use]
    pub fn resume_after(self, after: Duration) -> Self {
        self.event(after, Event::Resume)
    }

    /// Completes what the run waits for under this name from somebody outside, whenever nothing else moves the run. A
    /// completion that nobody completes is over after its timeout.
    #[must_use]
    pub fn complete<T: Serialize + ?Sized>(mut self, name: &str, output: &T) -> Self {
        let output = payload(output);
        let done = move |_| Some(CompletionOutcome::Done { output: output.clone() });
        self.completions.insert(name.to_owned(), Box::new(done));
        self
    }

    /// The same, told anew for each: the handler is given the number of the completion of this name, from 1, and says what it
    /// comes to, or why it failed. `None`: nobody completes it.
    #[must_use]
    pub fn on_completion<T: Serialize>(
        mut self,
        name: &str,
        mut handler: impl FnMut(u32) -> Option<Result<T, Failure>> + 'static,
    ) -> Self {
        let handler = move |nth| {
            Some(match handler(nth)? {
                Ok(output) => CompletionOutcome::Done { output: payload(&output) },
                Err(error) => CompletionOutcome::Failed { error },
            })
        };
        self.completions.insert(name.to_owned(), Box::new(handler));
        self
    }

    /// Completes it that long after the start of the run, if the run waits for it then.
    #[must_use]
    pub fn complete_after<T: Serialize + ?Sized>(self, after: Duration, name: &str, output: &T) -> Self {
        self.event(after, Event::Complete { name: name.to_owned(), output: payload(output) })
    }

    /// An operator ends the first step of this name with `output`, before any worker takes it.
    #[must_use]
    pub fn skip<T: Serialize + ?Sized>(mut self, step: &str, output: &T) -> Self {
        self.orders.push(Order::Skip { step: step.to_owned(), output: payload(output) });
        self
    }

    /// An operator gives the first step of this name another input, before any worker takes it.
    #[must_use]
    pub fn edit<T: Serialize + ?Sized>(mut self, step: &str, input: &T) -> Self {
        self.orders.push(Order::Edit { step: step.to_owned(), input: payload(input) });
        self
    }

    /// What an operator does with a step of this name that waits for one after its last attempt: the handler is given how
    /// often the step waits, from 1.
    #[must_use]
    pub fn on_parked(mut self, step: &str, handler: impl FnMut(u32) -> Operator + 'static) -> Self {
        self.parked.insert(step.to_owned(), Box::new(handler));
        self
    }

    /// Workers take the next step of a run along with the finish of the one before, where the engine grants it.
    #[must_use]
    pub fn hand_over(mut self) -> Self {
        self.hands_over = true;
        self
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

    /// Runs the declared workflow `name` to its end.
    ///
    /// # Panics
    /// If the input is not JSON.
    #[track_caller]
    pub fn run_declared(self, name: &str, input: &(impl Serialize + ?Sized)) -> Result<TestRun, Trouble> {
        let input = payload(input);
        let schema = self.declared.get(name).and_then(|text| text.read::<DeclaredWorkflow>().ok()?.input_schema);
        if let Some(Err(Unfit::NoSchema(problem) | Unfit::Document(problem))) =
            schema.map(|schema| fits(&schema, &input))
        {
            return Err(Trouble::InputRefused(problem));
        }
        World::new(self, name, input, Meddling::None).run()
    }

    pub(crate) fn start<W: Workflow>(self, input: Payload, meddling: Meddling) -> Result<World, Trouble> {
        let engine = self.workflow::<W>();
        // A disturbed run has the input of the undisturbed one.
        if meddling == Meddling::None {
            engine.check_input(W::NAME, &input)?;
        }
        Ok(World::new(engine, W::NAME, input, meddling))
    }

    /// What a run of this name carries out, unless that is code.
    pub(crate) fn definition_of(&self, workflow: &str) -> Option<Payload> {
        let declared = self.declared.get(workflow);
        declared.filter(|_| self.registry.get(workflow).is_none()).cloned()
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
