//! Limits: which keys a step must have a slot of before a worker is given it. How many there are, and who is next, the store knows.
//!
//! A limit is of a workflow's runs or of one of its steps; its keys are what an expression comes to. A run's slot is kept from step to
//! step while the run is at work, and given back when it waits.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::bounds::{LIMIT_KEY_BYTES_MAX, LIMIT_STEPS_MAX};
use crate::declared::Faults;
use crate::expression::{Budget, Expression, Variables};
use crate::payload::Payload;
use crate::run::Identity;
use crate::transition::column_text;

/// What a limit's expressions see: the run's input, what is known of the run, the step's name and input.
pub const LIMIT_VARIABLES: [&str; 3] = ["input", "run", "step"];

/// A limit as it is set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitText {
    pub tenant: String,
    pub name: String,
    pub workflow: String,
    /// Of this step only; `None`: of the whole run.
    pub step: Option<String>,
    /// Which key's slot is needed; `None`: all have one.
    pub key: Option<String>,
    /// Among whom the turns of a key go round; `None`: whoever came first.
    pub share: Option<String>,
    /// How many turns a share has while the others have one.
    #[serde(default)]
    pub weights: BTreeMap<String, u32>,
}

/// A limit with its expressions.
#[derive(Clone, Debug)]
struct Limit {
    text: LimitText,
    key: Option<Expression>,
    share: Option<Expression>,
}

/// The limits that an engine knows.
#[derive(Clone, Debug, Default)]
pub struct Limits(Vec<Limit>);

/// What a step must have a slot of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Slot {
    pub limit: String,
    pub key: String,
    /// One is enough for all steps of the run.
    pub of_run: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<String>,
    /// How far a turn moves its share back: one by the share's weight.
    #[serde(default)]
    pub turn: f64,
}

impl Slot {
    /// The same slot of the same run.
    fn is_passed_on_to(&self, other: &Self) -> bool {
        self.of_run && other.of_run && self.limit == other.limit && self.key == other.key
    }
}

/// A key of a limit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LimitKey {
    pub tenant: String,
    pub limit: String,
    pub key: String,
}

impl LimitKey {
    pub fn of(tenant: &str, slot: &Slot) -> Self {
        Self { tenant: tenant.to_owned(), limit: slot.limit.clone(), key: slot.key.clone() }
    }
}

/// Finds every fault of a limit's expressions, each at its place.
pub fn check(text: &LimitText, faults: &mut Faults) {
    for (at, expression) in [("/key", &text.key), ("/share", &text.share)] {
        if let Some(expression) = expression {
            faults.expression(at, expression, &LIMIT_VARIABLES);
        }
    }
}

/// Whether a step that begins with the end of another has its slots from it.
pub(crate) fn pass_on(from: &[Slot], to: &[Slot]) -> bool {
    from.len() == to.len() && from.iter().zip(to).all(|(from, to)| from.is_passed_on_to(to))
}

impl Limits {
    /// Texts were checked when they were set. One that this build cannot read has one key for all: nothing gets by.
    pub fn new(texts: Vec<LimitText>) -> Self {
        let compile = |text: &Option<String>| {
            text.as_ref().map(|text| Expression::compile(text, &LIMIT_VARIABLES)).transpose().ok().flatten()
        };
        let limit = |text: LimitText| Limit { key: compile(&text.key), share: compile(&text.share), text };
        Self(texts.into_iter().map(limit).collect())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What a step of this run needs, in the order of the limits' names.
    pub(crate) fn slots(&self, run: &Identity, input: &Payload, step: &str, step_input: &Payload) -> Vec<Slot> {
        let of_step = |limit: &&Limit| {
            limit.text.tenant == run.tenant
                && limit.text.workflow == run.workflow
                && limit.text.step.as_ref().is_none_or(|name| name == step)
        };
        let mut limits: Vec<&Limit> = self.0.iter().filter(of_step).collect();
        if limits.is_empty() {
            return Vec::new();
        }
        limits.sort_by(|a, b| a.text.name.cmp(&b.text.name));
        let reads = limits.iter().any(|limit| limit.key.is_some() || limit.share.is_some());
        let variables = if reads { variables(run, input, step, step_input) } else { Variables::new() };
        limits.into_iter().map(|limit| limit.slot(&variables)).collect()
    }
}

fn variables(run: &Identity, input: &Payload, step: &str, step_input: &Payload) -> Variables {
    let of = |payload: &Payload| payload.read::<Value>().unwrap_or(Value::Null);
    let run = serde_json::json!({
        "id": run.id.to_string(), "workflow": run.workflow, "subject": run.subject, "plan": run.plan, "tenant": run.tenant,
    });
    let step = serde_json::json!({ "name": step, "input": of(step_input) });
    let values: [crate::expression::Value; 3] = [of(input).into(), run.into(), step.into()];
    LIMIT_VARIABLES.into_iter().zip(values).collect()
}

impl Limit {
    fn slot(&self, variables: &Variables) -> Slot {
        let word = |expression: &Expression| {
            let mut budget = Budget::new(LIMIT_STEPS_MAX);
            let text = match expression.value(variables, &mut budget) {
                Ok(Value::String(text)) => text,
                Ok(value @ (Value::Number(_) | Value::Bool(_))) => value.to_string(),
                // What comes to nothing has a key in common with all that do: it does not get by.
                _ => String::new(),
            };
            column_text(text, LIMIT_KEY_BYTES_MAX)
        };
        let share = self.share.as_ref().map(word);
        let weight = share.as_ref().and_then(|share| self.text.weights.get(share)).copied().unwrap_or(1).max(1);
        Slot {
            limit: self.text.name.clone(),
            key: self.key.as_ref().map(word).unwrap_or_default(),
            of_run: self.text.step.is_none(),
            turn: if share.is_some() { 1.0 / f64::from(weight) } else { 0.0 },
            share,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::id::RunId;

    fn limit(name: &str, step: Option<&str>, key: Option<&str>) -> LimitText {
        LimitText {
            tenant: "acme".to_owned(),
            name: name.to_owned(),
            workflow: "apply".to_owned(),
            step: step.map(ToOwned::to_owned),
            key: key.map(ToOwned::to_owned),
            share: None,
            weights: BTreeMap::new(),
        }
    }

    fn keys(limits: Vec<LimitText>, tenant: &str, step: &str) -> Vec<(String, String)> {
        let identity = Identity {
            id: RunId::root(crate::Timestamp::UNIX_EPOCH, [1; 16]),
            tenant: tenant.to_owned(),
            subject: "ada".to_owned(),
            workflow: "apply".to_owned(),
            plan: "gold".to_owned(),
            parent: None,
            created_at: crate::Timestamp::UNIX_EPOCH,
        };
        let input = Payload::of(&json!({ "site": "a.example", "n": 7, "long": "x".repeat(1_000) })).unwrap();
        let slots = Limits::new(limits).slots(&identity, &input, step, &Payload::of(&json!({ "url": "u" })).unwrap());
        slots.into_iter().map(|slot| (slot.limit, slot.key)).collect()
    }

    #[test]
    fn a_step_needs_the_slots_of_its_runs_limits_and_of_its_own() {
        let limits = || vec![limit("b", Some("open"), Some("input.site")), limit("a", None, Some("run.plan"))];
        let pair = |limit: &str, key: &str| (limit.to_owned(), key.to_owned());
        assert_eq!(keys(limits(), "acme", "open"), [pair("a", "gold"), pair("b", "a.example")]);
        assert_eq!(keys(limits(), "acme", "submit"), [pair("a", "gold")]);
        assert_eq!(keys(limits(), "umbrella", "open"), []);
    }

    #[test]
    fn what_comes_to_nothing_shares_one_key_and_gets_by_no_limit() {
        for key in ["input.none", "input", "null", "input.n / 0", "no expression ("] {
            assert_eq!(
                keys(vec![limit("a", None, Some(key))], "acme", "s"),
                [("a".to_owned(), String::new())],
                "{key}"
            );
        }
        let one = |key: &str| keys(vec![limit("a", None, Some(key))], "acme", "s").remove(0).1;
        assert_eq!(one("input.n"), "7");
        assert_eq!(one("step.input.url + step.name"), "us");
        assert_eq!(one("input.long").len(), LIMIT_KEY_BYTES_MAX);
    }

    #[test]
    fn only_a_runs_slot_is_passed_on_and_only_to_the_same_key() {
        let slot = |of_run, key: &str| Slot { limit: "a".into(), key: key.into(), of_run, share: None, turn: 0.0 };
        assert!(pass_on(&[slot(true, "k")], &[slot(true, "k")]));
        assert!(!pass_on(&[slot(true, "k")], &[slot(true, "l")]));
        assert!(!pass_on(&[slot(false, "k")], &[slot(false, "k")]));
        assert!(!pass_on(&[slot(true, "k")], &[slot(true, "k"), slot(false, "k")]));
        assert!(pass_on(&[], &[]));
    }
}
