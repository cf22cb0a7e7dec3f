//! What is wrong with a definition, and where: every fault at once, each with the JSON pointer of its place.

use std::collections::{BTreeMap, BTreeSet};

use super::definition::{DeclaredWorkflow, EventKey, Span, Task, TaskBackoff, TaskWait};
use super::template::Template;
use super::{Plan, PlannedKey, PlannedTask, PlannedWait, Until, Work};
use crate::bounds::{
    DECLARED_ATTEMPTS_MAX, DECLARED_BYTES_MAX, DECLARED_CODES_MAX, DECLARED_FAULTS_MAX, DECLARED_SPAN_MS_MAX,
    DECLARED_TASKS_MAX, DECLARED_WAITS_MAX, LABELS_REQUIRED_MAX, NAME_BYTES_MAX,
};
use crate::event::{EVENT_KEY_RULE, is_channel, is_event_key};
use crate::expression::Expression;
use crate::placement::{label_problem, labels_problem, preference_problems};
use crate::run::FILTER_VARIABLES;
use crate::step::{Backoff, DEFAULT_QUEUE, StepPolicy};
use crate::workflow::InputProblem;

/// What a task waited for, as its expressions name it.
pub(super) const WAITED: &str = "waited";
/// Variables of a task's expressions.
const OF_TASKS: [&str; 4] = ["input", "parents", "run", WAITED];
/// Variables of the key of an event that a task waits for.
const OF_KEYS: [&str; 3] = ["input", "parents", "run"];
/// Variables of the task that runs when one has failed.
const OF_FAILURE: [&str; 3] = ["input", "run", "error"];
/// Variables of the run's output.
const OF_OUTPUT: [&str; 3] = ["input", "run", "tasks"];

/// Faults found so far, the first of them.
#[derive(Debug, Default)]
pub struct Faults {
    found: Vec<InputProblem>,
}

impl Faults {
    pub fn add(&mut self, place: &str, message: impl Into<String>) {
        if self.found.len() < DECLARED_FAULTS_MAX {
            self.found.push(InputProblem { field: place.to_owned(), message: message.into() });
        }
    }

    /// Those of another part too.
    pub fn extend(&mut self, others: Self) {
        for InputProblem { field, message } in others.found {
            self.add(&field, message);
        }
    }

    /// The place of a field (RFC 6901).
    pub fn below(&self, place: &str, name: &str) -> String {
        below(place, name)
    }

    /// The expression at `place`, if it is one.
    pub fn expression(&mut self, place: &str, text: &str, variables: &[&str]) -> Option<Expression> {
        Expression::compile(text, variables).map_err(|error| self.add(place, error.to_string())).ok()
    }

    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    pub fn into_problems(self) -> Vec<InputProblem> {
        self.found
    }

    /// The first as one sentence.
    pub fn first_told(&self) -> String {
        self.found.first().map(|first| format!("{}: {}", first.field, first.message)).unwrap_or_default()
    }
}

/// A key as a segment of a JSON pointer.
fn below(place: &str, name: &str) -> String {
    format!("{place}/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// Finds every fault, or makes the plan that the interpreter follows.
pub fn check(definition: &DeclaredWorkflow) -> Result<Plan, Faults> {
    let mut faults = Faults::default();
    check_size(definition, &mut faults);
    if !faults.found.is_empty() {
        return Err(faults);
    }
    let stuck_to: BTreeSet<&str> =
        definition.tasks.values().filter_map(|task| Some(&*task.sticky.as_ref()?.to)).collect();
    let tasks: BTreeMap<String, PlannedTask> = definition
        .tasks
        .iter()
        .map(|(name, task)| {
            let place = below("/tasks", name);
            check_task_name(name, &place, &mut faults);
            check_parents(definition, name, task, &place, &mut faults);
            check_sticky(definition, task, &place, &mut faults);
            let is_remembered = stuck_to.contains(name.as_str());
            (name.clone(), PlannedTask { is_remembered, ..planned(task, &place, &OF_TASKS, &mut faults) })
        })
        .collect();
    check_cycle(definition, &mut faults);
    for (name, task) in &tasks {
        check_uses(task, &below("/tasks", name), &mut faults);
    }
    let on_failure = definition.on_failure.as_ref().map(|task| {
        check_on_failure(task, &mut faults);
        planned(task, "/on_failure", &OF_FAILURE, &mut faults)
    });
    let output = definition.output.as_ref().and_then(|text| faults.expression("/output", text, &OF_OUTPUT));
    if let Some(output) = &output {
        check_names(output, "tasks", |name| tasks.contains_key(name), "/output", &mut faults);
    }
    if faults.found.is_empty() { Ok(Plan { tasks, on_failure, output }) } else { Err(faults) }
}

fn check_size(definition: &DeclaredWorkflow, faults: &mut Faults) {
    if let Some(name) = &definition.name
        && !is_workflow_name(name)
    {
        faults.add("/name", WORKFLOW_NAME_RULE);
    }
    if definition.tasks.is_empty() {
        faults.add("/tasks", "a workflow has at least one task");
    }
    if definition.tasks.len() > DECLARED_TASKS_MAX {
        let message = format!("at most {DECLARED_TASKS_MAX} tasks: divide the work among several workflows");
        faults.add("/tasks", message);
    }
    let bytes = serde_json::to_vec(definition).map_or(usize::MAX, |text| text.len());
    if bytes > DECLARED_BYTES_MAX {
        let message =
            format!("a definition has at most {DECLARED_BYTES_MAX} bytes; keep data in files or in the input");
        faults.add("", message);
    }
}

/// What names a workflow, also in paths.
pub const WORKFLOW_NAME_RULE: &str =
    "a name has 1 to 128 characters: a-z, A-Z, 0-9, `.`, `_` and `-`, the first a letter or digit";

/// Whether a workflow may be called so.
pub fn is_workflow_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric();
    name.len() <= NAME_BYTES_MAX
        && name.bytes().next().is_some_and(plain)
        && name.bytes().all(|byte| plain(byte) || matches!(byte, b'.' | b'_' | b'-'))
}

fn is_task_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(plain)
}

fn check_task_name(name: &str, place: &str, faults: &mut Faults) {
    if !is_task_name(name) {
        faults.add(place, "a task's name has 1 to 128 characters: a-z, A-Z, 0-9, `_` and `-`");
    }
}

fn check_parents(definition: &DeclaredWorkflow, name: &str, task: &Task, place: &str, faults: &mut Faults) {
    let mut seen = BTreeSet::new();
    for (index, parent) in task.parents.iter().enumerate() {
        let place = format!("{place}/parents/{index}");
        if parent == name {
            faults.add(&place, "a task cannot wait for itself: take it out of its own parents");
        } else if !definition.tasks.contains_key(parent) {
            let parent: String = parent.chars().take(NAME_BYTES_MAX).collect();
            faults.add(&place, format!("there is no task `{parent}`; add it to `tasks`, or take it out"));
        } else if !seen.insert(parent) {
            faults.add(&place, format!("`{parent}` is named twice; once is enough"));
        }
    }
}

/// A task sticks to the worker of a step that has ended before it, whatever becomes of the others.
fn check_sticky(definition: &DeclaredWorkflow, task: &Task, place: &str, faults: &mut Faults) {
    let Some(sticky) = &task.sticky else { return };
    let place = format!("{place}/sticky/to");
    let told: String = sticky.to.chars().take(NAME_BYTES_MAX).collect();
    let Some(earlier) = definition.tasks.get(&sticky.to) else {
        return faults.add(&place, format!("there is no task `{told}`; add it to `tasks`, or name another"));
    };
    if !follows_from(definition, task, &sticky.to) {
        faults.add(
            &place,
            format!("`{told}` may end after this task begins: add it to `parents`, or name a task before"),
        );
    } else if earlier.workflow.is_some() {
        faults.add(&place, format!("`{told}` is a run, which no worker ends by itself: name a task with `step`"));
    }
}

/// Whether the task of this name is a parent of `task`, or of one that it follows from.
fn follows_from(definition: &DeclaredWorkflow, task: &Task, ancestor: &str) -> bool {
    let mut seen = BTreeSet::new();
    let mut left = vec![task];
    while let Some(task) = left.pop() {
        if task.parents.iter().any(|parent| parent == ancestor) {
            return true;
        }
        let new = task.parents.iter().filter(|parent| seen.insert(parent.as_str()));
        left.extend(new.filter_map(|parent| definition.tasks.get(parent)));
    }
    false
}

/// Names the first cycle, from its least name on.
fn check_cycle(definition: &DeclaredWorkflow, faults: &mut Faults) {
    let Some(cycle) = find_cycle(definition) else { return };
    let place = format!("{}/parents", below("/tasks", cycle[0]));
    let told = cycle.iter().chain(cycle.first()).copied().collect::<Vec<_>>().join(" → ");
    faults.add(&place, format!("these tasks wait for each other: {told}; take one of these parents out"));
}

/// Takes away tasks whose parents are all gone until nothing more goes; among the rest, parents lead into a cycle.
fn find_cycle(definition: &DeclaredWorkflow) -> Option<Vec<&str>> {
    let mut left: BTreeSet<&str> = definition.tasks.keys().map(String::as_str).collect();
    let parent_left = |name: &str, left: &BTreeSet<&str>| {
        let parents = definition.tasks.get(name).map_or(&[][..], |task| &task.parents);
        parents
            .iter()
            .map(String::as_str)
            .find(|parent| *parent != name && left.contains(parent))
            .map(ToOwned::to_owned)
    };
    loop {
        let free: Vec<&str> = left.iter().copied().filter(|name| parent_left(name, &left).is_none()).collect();
        if free.is_empty() {
            break;
        }
        left.retain(|name| !free.contains(name));
    }
    let mut path: Vec<&str> = vec![left.first().copied()?];
    loop {
        let next = parent_left(path.last()?, &left)?;
        let next = *left.get(next.as_str())?;
        if let Some(begin) = path.iter().position(|name| *name == next) {
            let mut cycle = path.split_off(begin);
            let least = cycle.iter().enumerate().min_by_key(|(_, name)| **name).map_or(0, |(at, _)| at);
            cycle.rotate_left(least);
            return Some(cycle);
        }
        path.push(next);
    }
}

/// A task sees its own parents and nothing else: what is not its parent may not have ended.
fn check_uses(task: &PlannedTask, place: &str, faults: &mut Faults) {
    let is_parent = |name: &str| task.parents.iter().any(|parent| parent == name);
    let is_waited_for = |name: &str| task.waits.iter().flatten().any(|wait| wait.alias.as_deref() == Some(name));
    let mut inside = Vec::new();
    if let Some(input) = &task.input {
        input.expressions(&mut inside);
    }
    let conditions = [("skip_if", &task.skip_if), ("cancel_if", &task.cancel_if)].into_iter();
    let conditions = conditions.filter_map(|(field, expression)| Some((field, expression.as_ref()?)));
    for (field, expression) in conditions.chain(inside.into_iter().map(|expression| ("input", expression))) {
        let place = format!("{place}/{field}");
        check_names(expression, "parents", is_parent, &place, faults);
        check_names(expression, WAITED, is_waited_for, &place, faults);
    }
}

fn check_names(
    expression: &Expression,
    variable: &str,
    is_known: impl Fn(&str) -> bool,
    place: &str,
    faults: &mut Faults,
) {
    for used in expression.uses().iter().filter(|used| used.variable == variable) {
        match &used.field {
            None if variable == WAITED => {
                faults.add(place, "`waited` is used with what a wait is called by its `as`: `waited.paid.came`");
            }
            None => faults.add(place, format!("`{variable}` is used with a task's name: `{variable}.fetch.output`")),
            Some(name) if !is_known(name) && variable == WAITED => {
                faults.add(place, format!("nothing in `wait_for` is called `{name}` by its `as`"));
            }
            Some(name) if !is_known(name) => {
                let fix = if variable == "parents" { "; add it to `parents`" } else { "" };
                faults.add(place, format!("`{name}` is none of its {variable}{fix}"));
            }
            Some(_) => {}
        }
    }
}

fn check_on_failure(task: &Task, faults: &mut Faults) {
    let given = [
        ("parents", !task.parents.is_empty()),
        ("wait_for", !task.wait_for.is_empty()),
        ("skip_if", task.skip_if.is_some()),
        ("cancel_if", task.cancel_if.is_some()),
        ("sticky", task.sticky.is_some()),
    ];
    for (field, _) in given.into_iter().filter(|(_, given)| *given) {
        faults.add(&format!("/on_failure/{field}"), format!("it runs whenever a task has failed: leave `{field}` out"));
    }
}

fn planned(task: &Task, place: &str, variables: &[&str], faults: &mut Faults) -> PlannedTask {
    let at = |field: &str| format!("{place}/{field}");
    let condition = |field: &str, text: &Option<String>, faults: &mut Faults| {
        text.as_ref().and_then(|text| faults.expression(&at(field), text, variables))
    };
    PlannedTask {
        work: work(task, place, faults),
        parents: task.parents.clone(),
        waits: waits(task, &at("wait_for"), faults),
        input: task.input.as_ref().map(|input| Template::read(input, &at("input"), variables, faults)),
        skip_if: condition("skip_if", &task.skip_if, faults),
        cancel_if: condition("cancel_if", &task.cancel_if, faults),
        is_remembered: false,
        sticky: task.sticky.clone(),
    }
}

fn waits(task: &Task, place: &str, faults: &mut Faults) -> Vec<Vec<PlannedWait>> {
    let groups = &task.wait_for;
    if groups.iter().map(Vec::len).sum::<usize>() > DECLARED_WAITS_MAX {
        faults.add(place, format!("a task waits for at most {DECLARED_WAITS_MAX} things"));
        return Vec::new();
    }
    let (mut names, mut planned) = (BTreeSet::new(), Vec::new());
    for (index, group) in groups.iter().enumerate() {
        let place = format!("{place}/{index}");
        if group.is_empty() {
            faults.add(&place, "a group has at least one thing to wait for");
        }
        let mut waits = Vec::new();
        for (index, wait) in group.iter().enumerate() {
            let place = format!("{place}/{index}");
            if let Some(alias) = &wait.alias {
                if !is_task_name(alias) {
                    faults.add(&format!("{place}/as"), "a name has 1 to 128 characters: a-z, A-Z, 0-9, `_` and `-`");
                } else if !names.insert(alias.as_str()) {
                    faults.add(&format!("{place}/as"), format!("`{alias}` is another's name already"));
                }
            }
            let until = until(task, wait, &place, faults);
            waits.extend(until.map(|until| PlannedWait { until, alias: wait.alias.clone() }));
        }
        planned.push(waits);
    }
    planned
}

fn until(task: &Task, wait: &TaskWait, place: &str, faults: &mut Faults) -> Option<Until> {
    if let Some(filter) = &wait.filter {
        let at = format!("{place}/if");
        if wait.signal.is_none() && wait.event.is_none() {
            faults.add(&at, "it chooses among signals or events: say in `signal` or `event` which");
        }
        faults.expression(&at, filter, &FILTER_VARIABLES);
    }
    if let Some(scope) = &wait.scope {
        let at = format!("{place}/scope");
        if wait.event.is_none() {
            faults.add(&at, "events have scopes: say in `event` which");
        }
        check_event_key(scope, &at, faults);
    }
    match (&wait.sleep, &wait.signal, &wait.event) {
        (Some(sleep), None, None) => {
            Some(Until::Slept { millis: span(Some(sleep), &format!("{place}/sleep"), faults)? })
        }
        (None, Some(name), None) => {
            if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
                faults.add(
                    &format!("{place}/signal"),
                    "the name of a signal has 1 to 128 bytes, and no control characters",
                );
            } else if is_channel(name) {
                faults.add(&format!("{place}/signal"), "events come by this name, and no signals");
            }
            Some(Until::Signal { name: name.clone(), filter: wait.filter.clone() })
        }
        (None, None, Some(key)) => {
            let key = planned_key(task, key, &format!("{place}/event"), faults)?;
            Some(Until::Published { key, scope: wait.scope.clone(), filter: wait.filter.clone() })
        }
        (None, None, None) => {
            faults.add(place, "say what is waited for: `sleep`, `signal` or `event`");
            None
        }
        _ => {
            faults.add(place, "one of `sleep`, `signal` and `event`; put another beside it in the group");
            None
        }
    }
}

fn planned_key(task: &Task, key: &EventKey, place: &str, faults: &mut Faults) -> Option<PlannedKey> {
    match key {
        EventKey::Pattern(pattern) => {
            check_event_key(pattern, place, faults);
            Some(PlannedKey::Pattern(pattern.clone()))
        }
        EventKey::Computed(computed) => {
            let at = format!("{place}/$cel");
            let expression = faults.expression(&at, &computed.cel, &OF_KEYS)?;
            check_names(&expression, "parents", |name| task.parents.iter().any(|parent| parent == name), &at, faults);
            Some(PlannedKey::Computed(expression))
        }
    }
}

fn check_event_key(text: &str, place: &str, faults: &mut Faults) {
    if !is_event_key(text) {
        faults.add(place, EVENT_KEY_RULE);
    }
}

fn work(task: &Task, place: &str, faults: &mut Faults) -> Work {
    let at = |field: &str| format!("{place}/{field}");
    let Some(workflow) = &task.workflow else {
        let name = task.step.clone().unwrap_or_default();
        if task.step.is_none() {
            faults.add(&at("step"), "a task names the `step` that a worker does, or the `workflow` that is run for it");
        } else if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
            faults.add(&at("step"), "the name of a step has 1 to 128 bytes, and no control characters");
        }
        return Work::Step { name, policy: Box::new(policy(task, place, faults)) };
    };
    if !is_workflow_name(workflow) {
        faults.add(&at("workflow"), WORKFLOW_NAME_RULE);
    }
    let of_steps = [
        ("step", task.step.is_some()),
        ("queue", task.queue.is_some()),
        ("max_attempts", task.max_attempts.is_some()),
        ("backoff", task.backoff.is_some()),
        ("execution_timeout", task.execution_timeout.is_some()),
        ("schedule_timeout", task.schedule_timeout.is_some()),
        ("non_retryable", !task.non_retryable.is_empty()),
        ("priority", task.priority.is_some()),
        ("on_exhausted", task.on_exhausted.is_some()),
        ("labels", !task.labels.is_empty()),
        ("prefer_labels", !task.prefer_labels.is_empty()),
        ("sticky", task.sticky.is_some()),
    ];
    for (field, _) in of_steps.into_iter().filter(|(_, given)| *given) {
        faults.add(&at(field), format!("a task with `workflow` is a run, not a step: leave `{field}` out"));
    }
    Work::Child { workflow: workflow.clone() }
}

fn policy(task: &Task, place: &str, faults: &mut Faults) -> StepPolicy {
    let at = |field: &str| format!("{place}/{field}");
    let default = StepPolicy::default();
    let queue = task.queue.as_deref().unwrap_or(DEFAULT_QUEUE);
    if !is_queue_name(queue) {
        faults.add(&at("queue"), "a queue's name has 1 to 64 characters: a-z, 0-9, `.`, `_` and `-`");
    }
    let max_attempts = task.max_attempts.unwrap_or(default.max_attempts);
    if !(1..=DECLARED_ATTEMPTS_MAX).contains(&max_attempts) {
        faults.add(&at("max_attempts"), format!("1 to {DECLARED_ATTEMPTS_MAX} attempts"));
    }
    let codes = task.non_retryable.iter();
    if task.non_retryable.len() > DECLARED_CODES_MAX {
        faults.add(&at("non_retryable"), format!("at most {DECLARED_CODES_MAX} codes"));
    }
    for (index, _) in codes.enumerate().filter(|(_, code)| code.is_empty() || code.len() > NAME_BYTES_MAX) {
        faults.add(&at(&format!("non_retryable/{index}")), "a code has 1 to 128 bytes");
    }
    check_labels(queue, &task.labels, &at("labels"), faults);
    for (place, problem) in preference_problems(queue, &task.labels, &task.prefer_labels) {
        faults.add(&at(&format!("prefer_labels{place}")), problem);
    }
    StepPolicy {
        queue: queue.to_owned(),
        max_attempts,
        backoff: task.backoff.map_or(default.backoff, |given| backoff(given, &at("backoff"), faults)),
        execution_timeout_ms: span(task.execution_timeout.as_ref(), &at("execution_timeout"), faults)
            .unwrap_or(default.execution_timeout_ms),
        schedule_timeout_ms: span(task.schedule_timeout.as_ref(), &at("schedule_timeout"), faults),
        non_retryable: task.non_retryable.clone(),
        on_exhausted: task.on_exhausted.unwrap_or_default(),
        priority: task.priority.unwrap_or_default(),
        required_labels: task.labels.clone(),
        prefer_labels: task.prefer_labels.clone(),
        ..default
    }
}

/// What code may require. A fault of one label is told at that label.
fn check_labels(queue: &str, labels: &BTreeMap<String, String>, place: &str, faults: &mut Faults) {
    let wrong = |(name, value): (&String, &String)| Some((below(place, name), label_problem(name, value)?));
    let wrong: Vec<(String, String)> = labels.iter().filter_map(wrong).collect();
    if wrong.is_empty() || labels.len() > LABELS_REQUIRED_MAX {
        if let Some(problem) = labels_problem(queue, labels) {
            faults.add(place, problem);
        }
        return;
    }
    for (place, problem) in wrong {
        faults.add(&place, problem);
    }
}

fn is_queue_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name.len() <= 64
        && name.bytes().next().is_some_and(plain)
        && name.bytes().all(|byte| plain(byte) || matches!(byte, b'.' | b'_' | b'-'))
}

fn span(span: Option<&Span>, place: &str, faults: &mut Faults) -> Option<u64> {
    let span = span?;
    let millis = span.millis().filter(|millis| (1..=DECLARED_SPAN_MS_MAX).contains(millis));
    if millis.is_none() {
        faults.add(
            place,
            "a duration is milliseconds, or a text such as \"500ms\", \"90s\", \"5m\", \"2h\"; at most 30 days",
        );
    }
    millis
}

fn backoff(given: TaskBackoff, place: &str, faults: &mut Faults) -> Backoff {
    let default = Backoff::default();
    let initial_ms = given.initial_ms.unwrap_or(default.initial_ms);
    let backoff = Backoff {
        initial_ms,
        factor: given.factor.unwrap_or(default.factor),
        // Whoever begins late does not also have to say where to end.
        max_ms: given.max_ms.unwrap_or(default.max_ms.max(initial_ms)),
        jitter: given.jitter.unwrap_or(default.jitter),
    };
    if !(1.0..=100.0).contains(&backoff.factor) {
        faults.add(&format!("{place}/factor"), "a factor of 1 to 100");
    }
    if !(0.0..=1.0).contains(&backoff.jitter) {
        faults.add(&format!("{place}/jitter"), "a share of 0 to 1");
    }
    if backoff.max_ms > DECLARED_SPAN_MS_MAX {
        faults.add(&format!("{place}/max_ms"), "at most 30 days");
    }
    if backoff.initial_ms > backoff.max_ms {
        faults.add(&format!("{place}/initial_ms"), "at most `max_ms`");
    }
    backoff
}
