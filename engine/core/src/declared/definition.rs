//! A declared workflow as it is written.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::placement::PreferredLabels;
use crate::step::OnExhausted;

/// Tasks and the order that their parents give them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DeclaredWorkflow {
    /// If given, the name that it is registered under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// JSON Schema that the input of a run must fit; absent: any input will do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_schema: Option<Value>,
    /// By name.
    pub tasks: BTreeMap<String, Task>,
    /// Runs once when a task has failed, before the run ends as failed. Without parents and conditions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<Task>,
    /// CEL over `input`, `tasks.<task>.output`, `tasks.<task>.skipped` and `run.id`. Absent: the outputs of the tasks that
    /// are nobody's parents, by their names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
}

/// One step that a worker does, or one run of another workflow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// The name that workers register the step under. Either this or `workflow`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// The workflow that is run as a child, of code or declared: the newest version when the child begins. Its end is the
    /// task's. Of what follows only `parents`, `wait_for`, `input`, `skip_if` and `cancel_if` are said beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<String>,
    /// The queue of its workers; absent: `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// Tasks that must have ended before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<String>,
    /// JSON in which `{"$cel": "…"}` stands for what the expression comes to. Absent: `{"input": …, "parents": {…}}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Value>,
    /// What must have come, after its parents have ended, before the task begins: something of each group.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wait_for: Vec<Vec<TaskWait>>,
    /// CEL; true: the task is left out and its output is null. Looked at before anything is waited for, unless it asks for `waited`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip_if: Option<String>,
    /// CEL; true: the task and all that follow from it are cancelled. Looked at when `skip_if` is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel_if: Option<String>,
    /// Attempts in all; absent: 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_attempts: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff: Option<TaskBackoff>,
    /// Longest time of one attempt; absent: five minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_timeout: Option<Span>,
    /// Longest time that an attempt waits for a worker; absent: for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule_timeout: Option<Span>,
    /// Codes of errors after which no further attempt is made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub non_retryable: Vec<String>,
    /// Higher goes first within a queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i16>,
    /// `fail`, or `park`: the step waits for an operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_exhausted: Option<OnExhausted>,
    /// Labels that a worker must have, all of them, to be given the step.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Labels that its worker had better have: the sum of the weights decides among workers with a free place. At most 4; nobody is
    /// waited for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prefer_labels: Vec<PreferredLabels>,
    /// Which worker process is to do it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sticky: Option<TaskSticky>,
}

/// One thing to wait for: `sleep`, `signal` or `event`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskWait {
    /// Until so long after its parents have ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sleep: Option<Span>,
    /// Until a signal of this name comes, or one that came and nobody took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
    /// Until an event is published whose key this fits; one from before its parents have ended does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<EventKey>,
    /// Only events of this scope. Absent: of any, and of none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// CEL over `message`, as in `message.amount > 100.0`: other signals are left to others. Of an event, `message` is its `id`, `key`,
    /// `scope`, `subject`, `payload` and `at`.
    #[serde(default, rename = "if", skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// As what expressions of the task see it: `waited.<as>.came`, and of a signal or an event `waited.<as>.message`.
    #[serde(default, rename = "as", skip_serializing_if = "Option::is_none")]
    pub alias: Option<String>,
}

/// Which events are waited for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum EventKey {
    /// A pattern of their keys: `*` stands for any characters.
    Pattern(String),
    Computed(ComputedKey),
}

/// The one key that a CEL expression over `input`, `parents` and `run.id` comes to. No pattern: a `*` in it would be another's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ComputedKey {
    #[serde(rename = "$cel")]
    pub cel: String,
}

/// The worker process that ended an earlier task's step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskSticky {
    /// A task with `step` that this one follows from: a parent, or one of their parents.
    pub to: String,
    pub mode: StickyMode,
}

/// What is done when that worker does not take the step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StickyMode {
    /// After two seconds any worker may take it.
    Soft,
    /// It is waited for; once it has ended, the task fails as `worker_gone`.
    Hard,
}

/// The pause before the next attempt: `initial_ms * factor^n`, at most `max_ms`, shorter by a share of up to `jitter`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskBackoff {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub factor: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_ms: Option<u64>,
    /// 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jitter: Option<f64>,
}

/// A duration: milliseconds, or a number with `ms`, `s`, `m`, `h` or `d`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Span {
    Millis(u64),
    Text(String),
}

impl Span {
    /// In milliseconds; `None`: this is no duration.
    pub fn millis(&self) -> Option<u64> {
        let text = match self {
            Self::Millis(millis) => return Some(*millis),
            Self::Text(text) => text,
        };
        let unit_at = text.find(|c: char| !c.is_ascii_digit())?;
        let (number, unit) = text.split_at(unit_at);
        let unit_ms: u64 = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        number.parse::<u64>().ok()?.checked_mul(unit_ms)
    }
}
