//! Carries a plan out: an ordinary `async fn` over the durable operations.
//!
//! Tasks are looked at in the order of their names, and steps and children are polled in that order too, so that the same
//! journal asks for the same. A task begins when all its parents have ended and what it waits for has come.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use serde::Serialize;
use serde_json::json;

use super::check::WAITED;
use super::definition::StickyMode;
use super::{EXPRESSION_FAILED, PAYLOAD_TOO_LARGE, Plan, PlannedKey, PlannedTask, PlannedWait, Until, Work};
use crate::bounds::{DECLARED_EXPRESSION_STEPS_MAX, DECLARED_PAYLOADS_BYTES_MAX};
use crate::context::{Context, Operation, WORKER_GONE};
use crate::event::{EVENT_KEY_RULE, EventPattern, is_event_key};
use crate::expression::{Budget, Expression, ExpressionError, Value, Variables};
use crate::payload::Payload;
use crate::step::{Failure, StepFailure, StepOptions, StepPlace, StepPolicy};
use crate::workflow::Stop;

/// Where a task says what it waits for.
const WAIT_FOR: &str = "wait_for";

/// A task at work.
enum Running {
    Step(Operation<Result<Payload, StepFailure>>),
    Child(Operation<Result<Payload, Failure>>),
}

impl Running {
    fn begin(ctx: &Context, work: &Work, input: Payload, options: StepOptions) -> Self {
        match work {
            Work::Step { name, policy } => Self::Step(ctx.call_step(name, input, StepPolicy::clone(policy), options)),
            Work::Child { workflow } => Self::Child(ctx.child(workflow, &input)),
        }
    }

    /// Of a step.
    fn place(&self) -> Option<StepPlace> {
        match self {
            Self::Step(step) => Some(step.place()),
            Self::Child(_) => None,
        }
    }
}

impl Future for Running {
    type Output = Result<Payload, Failure>;

    fn poll(self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Step(step) => Pin::new(step).poll(cx).map_err(|failure| failure.failure().clone()),
            Self::Child(child) => Pin::new(child).poll(cx),
        }
    }
}

/// What a task waits for before it begins: of each group what comes first.
struct Waiting<'a> {
    groups: Vec<Vec<(Option<&'a str>, Coming)>>,
    came: Came<'a>,
}

/// What came, by what the task calls it; of a signal with its message.
type Came<'a> = BTreeMap<&'a str, Option<Payload>>;

enum Coming {
    Slept(Operation<()>),
    /// Signal or event.
    Message(Operation<Option<Result<Payload, Failure>>>),
}

impl<'a> Waiting<'a> {
    /// `keys`: of the events that are waited for, in their order.
    fn begin(ctx: &Context, task: &'a PlannedTask, keys: Vec<String>) -> Self {
        let mut keys = keys.into_iter();
        let mut coming = |wait: &'a PlannedWait| {
            let coming = match &wait.until {
                Until::Slept { millis } => Coming::Slept(ctx.sleep(Duration::from_millis(*millis))),
                Until::Signal { name, filter } => Coming::Message(ctx.wait(name, filter.clone(), None)),
                Until::Published { scope, filter, .. } => {
                    let event = EventPattern { key: keys.next().unwrap_or_default(), scope: scope.clone() };
                    Coming::Message(ctx.wait_event(event, filter.clone(), None))
                }
            };
            (wait.alias.as_deref(), coming)
        };
        let groups = task.waits.iter().map(|group| group.iter().map(&mut coming).collect());
        Self { groups: groups.collect(), came: Came::new() }
    }

    /// Ready once something of each group has come. What is not needed any more is let go.
    fn poll(&mut self, cx: &mut std::task::Context<'_>) -> Poll<Came<'a>> {
        self.groups.retain_mut(|group| {
            let first = group.iter_mut().find_map(|(alias, coming)| {
                let came = match coming {
                    Coming::Slept(slept) => Pin::new(slept).poll(cx).map(|()| None),
                    Coming::Message(message) => Pin::new(message).poll(cx).map(|came| came.and_then(Result::ok)),
                };
                match came {
                    Poll::Ready(message) => Some((*alias, message)),
                    Poll::Pending => None,
                }
            });
            let Some((alias, message)) = first else { return true };
            self.came.extend(alias.map(|alias| (alias, message)));
            false
        });
        if self.groups.is_empty() { Poll::Ready(std::mem::take(&mut self.came)) } else { Poll::Pending }
    }
}

/// What the run waited for.
enum Next<'a> {
    Ended(&'a str, Result<Payload, Failure>),
    Came(&'a str, Came<'a>),
}

/// How a task ended, if the run goes on after it.
#[derive(Clone, Debug)]
enum Ended {
    Done(Output),
    /// Left out: its children go on without its output.
    Skipped,
    /// What follows from it is cancelled too.
    Cancelled,
}

/// What a task gave: as it came, and as expressions see it.
#[derive(Clone, Debug)]
struct Output {
    raw: Payload,
    value: Option<Value>,
}

/// Why the run fails, and at which task.
struct Broken {
    task: String,
    failure: Failure,
}

pub(super) async fn run(ctx: Context, plan: Plan, input: Payload) -> Result<Payload, Stop> {
    let mut tasks = Tasks::new(&ctx, &plan, &input);
    match tasks.carry_out().await {
        Ok(()) => tasks.output().map_err(|broken| Stop::Failed(broken.failure)),
        Err(broken) => {
            // What is still at work is let go before anything else begins.
            tasks.running.clear();
            tasks.waiting.clear();
            tasks.tell_of(&broken).await;
            Err(Stop::Failed(broken.failure))
        }
    }
}

struct Tasks<'a> {
    ctx: &'a Context,
    plan: &'a Plan,
    input: &'a Payload,
    /// The input as expressions see it, once one looks.
    input_value: Option<Value>,
    waiting: BTreeMap<&'a str, Waiting<'a>>,
    /// Of the tasks that waited for something.
    waited: BTreeMap<&'a str, Came<'a>>,
    running: BTreeMap<&'a str, Running>,
    ended: BTreeMap<&'a str, Ended>,
    /// Of the tasks that were begun and that others stick to.
    places: BTreeMap<&'a str, StepPlace>,
    budget: Budget,
    payload_bytes_left: usize,
}

impl<'a> Tasks<'a> {
    fn new(ctx: &'a Context, plan: &'a Plan, input: &'a Payload) -> Self {
        Self {
            ctx,
            plan,
            input,
            input_value: None,
            waiting: BTreeMap::new(),
            waited: BTreeMap::new(),
            running: BTreeMap::new(),
            ended: BTreeMap::new(),
            places: BTreeMap::new(),
            budget: Budget::new(DECLARED_EXPRESSION_STEPS_MAX),
            payload_bytes_left: DECLARED_PAYLOADS_BYTES_MAX,
        }
    }

    async fn carry_out(&mut self) -> Result<(), Broken> {
        loop {
            // A task that is left out may let its children begin.
            while self.begin_what_can()? {}
            if self.running.is_empty() && self.waiting.is_empty() {
                return Ok(());
            }
            match self.next().await {
                Next::Ended(task, Ok(raw)) => drop(self.ended.insert(task, Ended::Done(Output { raw, value: None }))),
                Next::Ended(task, Err(failure)) => {
                    return Err(Broken { task: task.to_owned(), failure });
                }
                Next::Came(task, came) => drop(self.waited.insert(task, came)),
            }
        }
    }

    /// Waits until one of the tasks ends or need not wait any more; of several the first by name, ends before waits.
    async fn next(&mut self) -> Next<'a> {
        let next = std::future::poll_fn(|cx| {
            for (name, task) in &mut self.running {
                if let Poll::Ready(result) = Pin::new(task).poll(cx) {
                    return Poll::Ready(Next::Ended(name, result));
                }
            }
            for (name, waiting) in &mut self.waiting {
                if let Poll::Ready(came) = waiting.poll(cx) {
                    return Poll::Ready(Next::Came(name, came));
                }
            }
            Poll::Pending
        })
        .await;
        match &next {
            Next::Ended(name, _) => drop(self.running.remove(name)),
            Next::Came(name, _) => drop(self.waiting.remove(name)),
        }
        next
    }

    /// True: some task ended without being begun.
    fn begin_what_can(&mut self) -> Result<bool, Broken> {
        let mut ended_some = false;
        for (name, task) in &self.plan.tasks {
            let name = name.as_str();
            let is_new =
                !self.running.contains_key(name) && !self.ended.contains_key(name) && !self.waiting.contains_key(name);
            let is_due = || task.parents.iter().all(|parent| self.ended.contains_key(parent.as_str()));
            if !is_new || !is_due() {
                continue;
            }
            let has_waited = self.waited.contains_key(name);
            if let Some(ended) = self.left_out(name, task, has_waited)? {
                self.ended.insert(name, ended);
                ended_some = true;
                continue;
            }
            if !task.waits.is_empty() && !has_waited {
                let keys = self.keys_of(name, task)?;
                self.waiting.insert(name, Waiting::begin(self.ctx, task, keys));
                continue;
            }
            let options = self.options_of(name, task)?;
            let input = self.input_of(name, task)?;
            let running = Running::begin(self.ctx, &task.work, input, options);
            if task.is_remembered {
                self.places.extend(running.place().map(|place| (name, place)));
            }
            self.running.insert(name, running);
        }
        Ok(ended_some)
    }

    /// How a task ends that is not begun: as it stands before it waits, or by what came.
    fn left_out(&mut self, name: &'a str, task: &'a PlannedTask, has_waited: bool) -> Result<Option<Ended>, Broken> {
        let is_cancelled = |parent: &&String| matches!(self.ended.get(parent.as_str()), Some(Ended::Cancelled));
        let cancelled = task.parents.iter().filter(|_| !has_waited).find(is_cancelled);
        if let Some(parent) = cancelled {
            self.ctx.log(format!("task `{name}` is cancelled: its parent `{parent}` was"));
            return Ok(Some(Ended::Cancelled));
        }
        let of_now = |condition: &'a Option<Expression>| {
            let asks = |condition: &&Expression| condition.uses().iter().any(|used| used.variable == WAITED);
            condition.as_ref().filter(|condition| asks(condition) == has_waited)
        };
        if self.holds(name, task, "cancel_if", of_now(&task.cancel_if))? {
            self.ctx.log(format!("task `{name}` is cancelled: its `cancel_if` holds"));
            return Ok(Some(Ended::Cancelled));
        }
        if self.holds(name, task, "skip_if", of_now(&task.skip_if))? {
            self.ctx.log(format!("task `{name}` is skipped: its `skip_if` holds"));
            return Ok(Some(Ended::Skipped));
        }
        Ok(None)
    }

    fn holds(
        &mut self,
        name: &'a str,
        task: &'a PlannedTask,
        field: &str,
        condition: Option<&Expression>,
    ) -> Result<bool, Broken> {
        let Some(condition) = condition else { return Ok(false) };
        let variables = self.variables_of(name, task, &[condition]);
        let held = condition.test(&variables, &mut self.budget);
        held.map_err(|error| expression_failed(name, field, &error))
    }

    /// The keys of the events that a task waits for.
    fn keys_of(&mut self, name: &'a str, task: &'a PlannedTask) -> Result<Vec<String>, Broken> {
        let mut keys = Vec::new();
        for wait in task.waits.iter().flatten() {
            let Until::Published { key, .. } = &wait.until else { continue };
            keys.push(match key {
                PlannedKey::Pattern(pattern) => pattern.clone(),
                PlannedKey::Computed(expression) => {
                    let variables = self.variables_of(name, task, &[expression]);
                    let value = expression.value(&variables, &mut self.budget);
                    match value.map_err(|error| expression_failed(name, WAIT_FOR, &error))? {
                        serde_json::Value::String(key) if is_event_key(&key) && !key.contains('*') => key,
                        _ => return Err(no_key(name)),
                    }
                }
            });
        }
        Ok(keys)
    }

    /// What the call of a task's step asks for beside its policy.
    fn options_of(&self, name: &str, task: &PlannedTask) -> Result<StepOptions, Broken> {
        let options = StepOptions::default();
        let options = if task.is_remembered { options.remember_worker() } else { options };
        let Some(sticky) = &task.sticky else { return Ok(options) };
        match (self.places.get(sticky.to.as_str()), sticky.mode) {
            (Some(place), StickyMode::Hard) => Ok(options.sticky_to(*place)),
            (Some(place), StickyMode::Soft) => Ok(options.prefer_worker_of(*place)),
            (None, StickyMode::Soft) => Ok(options),
            (None, StickyMode::Hard) => {
                let to = &sticky.to;
                let message =
                    format!("task `{name}` sticks to the worker of `{to}`, which was skipped: no worker did it");
                let failure = Failure::new(WORKER_GONE, message);
                let failure = failure.with_details(&json!({ "task": name, "field": "sticky" }));
                Err(Broken { task: name.to_owned(), failure })
            }
        }
    }

    fn input_of(&mut self, name: &'a str, task: &'a PlannedTask) -> Result<Payload, Broken> {
        let Some(template) = &task.input else {
            let parents: BTreeMap<&str, Option<&Payload>> =
                task.parents.iter().map(|parent| (parent.as_str(), self.raw_output(parent))).collect();
            let input = ParentsGave { input: self.input, parents };
            let input = Payload::of(&input);
            return self.paid(input, name);
        };
        let mut inside = Vec::new();
        template.expressions(&mut inside);
        let variables = self.variables_of(name, task, &inside);
        let filled = template.fill(&variables, &mut self.budget, "input");
        let filled = filled.map_err(|(place, error)| expression_failed(name, &place, &error))?;
        self.paid(Payload::of(&filled), name)
    }

    fn raw_output(&self, task: &str) -> Option<&Payload> {
        match self.ended.get(task) {
            Some(Ended::Done(output)) => Some(&output.raw),
            _ => None,
        }
    }

    /// What a task's own expressions may look at.
    fn variables_of(&mut self, name: &str, task: &'a PlannedTask, expressions: &[&Expression]) -> Variables {
        let mut variables = self.variables("parents", task.parents.iter().map(String::as_str), expressions);
        let came = self.waited.get(name);
        let seen = task.waits.iter().flatten().filter_map(|wait| wait.alias.as_deref()).map(|alias| {
            let message = came.and_then(|came| came.get(alias));
            let value = message.and_then(|message| message.as_ref()).map_or(Value::Null, read_value);
            (alias, Value::map([("came", Value::Bool(message.is_some())), ("message", value)]))
        });
        variables.insert(WAITED, Value::map(seen));
        variables
    }

    /// What `expressions` may look at; what they do not name is not read.
    fn variables(
        &mut self,
        of_tasks: &'static str,
        tasks: impl Iterator<Item = &'a str>,
        expressions: &[&Expression],
    ) -> Variables {
        let reads = |variable: &str, field: Option<&str>| {
            let mut uses = expressions.iter().flat_map(|expression| expression.uses());
            uses.any(|used| used.variable == variable && (field.is_none() || used.field.as_deref() == field))
        };
        let mut variables = Variables::new();
        if reads("input", None) {
            let read = || read_value(self.input);
            variables.insert("input", self.input_value.get_or_insert_with(read).clone());
        }
        variables.insert("run", Value::map([("id", Value::text(&self.ctx.run_id().to_string()))]));
        let named: Vec<&str> = tasks.filter(|task| reads(of_tasks, Some(task))).collect();
        let seen = named.into_iter().map(|task| (task, self.seen(task)));
        variables.insert(of_tasks, Value::map(seen));
        variables
    }

    /// An ended task as expressions see it.
    fn seen(&mut self, task: &str) -> Value {
        let skipped = !matches!(self.ended.get(task), Some(Ended::Done(_)));
        let output = match self.ended.get_mut(task) {
            Some(Ended::Done(Output { raw, value })) => value.get_or_insert_with(|| read_value(raw)).clone(),
            _ => Value::Null,
        };
        Value::map([("output", output), ("skipped", Value::Bool(skipped))])
    }

    /// What the run comes to.
    fn output(&mut self) -> Result<Payload, Broken> {
        let Some(output) = &self.plan.output else {
            let is_parent = |name: &str| self.plan.tasks.values().any(|task| task.parents.iter().any(|p| p == name));
            let leaves: BTreeMap<&str, Option<&Payload>> = self
                .plan
                .tasks
                .keys()
                .map(String::as_str)
                .filter(|name| !is_parent(name))
                .map(|name| (name, self.raw_output(name)))
                .collect();
            let leaves = Payload::of(&leaves);
            return self.paid(leaves, "output");
        };
        let variables = self.variables("tasks", self.plan.tasks.keys().map(String::as_str), &[output]);
        let value = output.value(&variables, &mut self.budget);
        let value = value.map_err(|error| Broken {
            task: "output".to_owned(),
            failure: Failure::new(EXPRESSION_FAILED, format!("the run's `output`: {error}"))
                .with_details(&json!({ "field": "output" })),
        })?;
        self.paid(Payload::of(&value), "output")
    }

    /// Runs the task for failures. The run fails as it would have, whatever becomes of this.
    async fn tell_of(&mut self, broken: &Broken) {
        let Some(task) = &self.plan.on_failure else { return };
        match self.failure_input(task, broken) {
            Ok(input) => {
                let told = Running::begin(self.ctx, &task.work, input, StepOptions::default()).await;
                if let Err(failure) = told {
                    self.ctx.log(format!("`on_failure` failed too: {}", failure.code));
                }
            }
            Err(second) => self.ctx.log(format!("`on_failure` was not run: {}", second.failure.message)),
        }
    }

    fn failure_input(&mut self, task: &PlannedTask, broken: &Broken) -> Result<Payload, Broken> {
        let error = json!({ "code": broken.failure.code, "message": broken.failure.message, "task": broken.task });
        let Some(template) = &task.input else {
            let input = Payload::of(&FailureTold { input: self.input, error });
            return self.paid(input, "on_failure");
        };
        let mut inside = Vec::new();
        template.expressions(&mut inside);
        let mut variables = self.variables("tasks", std::iter::empty(), &inside);
        variables.insert("error", Value::from(error));
        let filled = template.fill(&variables, &mut self.budget, "input");
        let filled = filled.map_err(|(place, error)| expression_failed("on_failure", &place, &error))?;
        self.paid(Payload::of(&filled), "on_failure")
    }

    /// What was put together, within the bound of the run.
    fn paid(&mut self, payload: Result<Payload, serde_json::Error>, whose: &str) -> Result<Payload, Broken> {
        let broken = |failure| Broken { task: whose.to_owned(), failure };
        let payload = payload.map_err(|e| broken(Failure::new("bad_output", e.to_string())))?;
        let left = self.payload_bytes_left.checked_sub(payload.len_bytes());
        self.payload_bytes_left = left.ok_or_else(|| {
            let message = format!(
                "`{whose}`: the inputs of this run's tasks and its output have over {DECLARED_PAYLOADS_BYTES_MAX} bytes \
                 in all; hand large data on as files"
            );
            broken(Failure::new(PAYLOAD_TOO_LARGE, message))
        })?;
        Ok(payload)
    }
}

/// The input of a task that names none.
#[derive(Serialize)]
struct ParentsGave<'a> {
    input: &'a Payload,
    parents: BTreeMap<&'a str, Option<&'a Payload>>,
}

/// The input of a task for failures that names none.
#[derive(Serialize)]
struct FailureTold<'a> {
    input: &'a Payload,
    error: serde_json::Value,
}

/// Payloads were JSON when they came in.
fn read_value(payload: &Payload) -> Value {
    payload.read::<serde_json::Value>().map_or(Value::Null, Value::from)
}

fn no_key(task: &str) -> Broken {
    let message =
        format!("task `{task}`, `{WAIT_FOR}`: the key of an event is a text of {EVENT_KEY_RULE}, without `*`");
    let failure = Failure::new(EXPRESSION_FAILED, message).with_details(&json!({ "task": task, "field": WAIT_FOR }));
    Broken { task: task.to_owned(), failure }
}

fn expression_failed(task: &str, field: &str, error: &ExpressionError) -> Broken {
    let failure = Failure::new(EXPRESSION_FAILED, format!("task `{task}`, `{field}`: {error}"));
    let failure = failure.with_details(&json!({ "task": task, "field": field }));
    Broken { task: task.to_owned(), failure }
}
