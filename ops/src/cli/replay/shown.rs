//! An entry as it is shown to whoever may not see what people wrote.
//!
//! Only what is known to be harmless is left: a field that a later build adds is hidden until it is listed here.

use serde_json::{Map, Value};

const HIDDEN: &str = "•••";

/// Fields whose own fields are looked at: the parts of an entry, never a payload.
const PARTS: [&str; 32] = [
    "op",
    "with",
    "why",
    "outcome",
    "task",
    "policy",
    "backoff",
    "error",
    "failure",
    "step",
    "sleep",
    "wait",
    "event",
    "human",
    "child",
    "finally",
    "finally_now",
    "log",
    "status",
    "emit",
    "step_done",
    "step_failed",
    "child_ended",
    "answered",
    "rejected",
    "failed",
    "exhausted",
    "blocked",
    "in_doubt",
    "not_started",
    "timed_out",
    "mismatch",
];

/// Fields whose plain values are shown: numbers, instants, names that code chose, ids.
const PLAIN: [&str; 41] = [
    "seq",
    "attempt",
    "lease",
    "name",
    "queue",
    "host",
    "session",
    "hard",
    "remembers",
    "heartbeat_timeout_ms",
    "workflow",
    "kind",
    "until",
    "deadline",
    "next_at",
    "start_by",
    "of",
    "code",
    "reason",
    "by",
    "key",
    "scope",
    "cleanup",
    "max_attempts",
    "initial_ms",
    "factor",
    "max_ms",
    "jitter",
    "execution_timeout_ms",
    "schedule_timeout_ms",
    "effect_once",
    "non_retryable",
    "on_exhausted",
    "priority",
    "recorded",
    "asked",
    "with",
    "why",
    "outcome",
    "bad_output",
    "cancelled",
];

/// The entry without payloads and texts.
pub fn shown(entry: &Value) -> Value {
    match entry {
        // The kind itself.
        Value::Object(tagged) => {
            let fields = tagged.iter().map(|(kind, fields)| (kind.clone(), parts(kind, fields)));
            Value::Object(fields.collect())
        }
        plain => plain.clone(),
    }
}

/// `reason` is a word of the code in a task, and a person's text anywhere else.
fn parts(of: &str, value: &Value) -> Value {
    let Value::Object(fields) = value else { return value.clone() };
    let see = |(name, value): (&String, &Value)| {
        let is_text = name == "reason" && of != "task";
        let seen = match value {
            Value::Object(_) if PARTS.contains(&name.as_str()) => parts(name, value),
            Value::Object(_) | Value::Null => hidden(value),
            Value::Array(_) if name != "non_retryable" => hidden(value),
            plain if PLAIN.contains(&name.as_str()) && !is_text => plain.clone(),
            other => hidden(other),
        };
        (name.clone(), seen)
    };
    Value::Object(fields.iter().map(see).collect::<Map<_, _>>())
}

fn hidden(value: &Value) -> Value {
    if value.is_null() { Value::Null } else { Value::String(HIDDEN.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_people_wrote_is_hidden_and_what_the_code_named_is_shown() {
        let check = |entry: Value, expect: Value| assert_eq!(shown(&entry), expect);
        check(json!("ended"), json!("ended"));
        check(json!({ "started": { "input": { "name": "Ada" } } }), json!({ "started": { "input": HIDDEN } }));
        check(
            json!({ "op": { "seq": 1, "op": { "step": { "name": "fill", "input": { "name": "Ada" }, "policy": { "queue": "q" } } } } }),
            json!({ "op": { "seq": 1, "op": { "step": { "name": "fill", "input": HIDDEN, "policy": { "queue": "q" } } } } }),
        );
        check(
            json!({ "resolved": { "seq": 1, "with": { "step_failed": { "attempt": 1, "lease": null,
                "failure": { "failed": { "code": "x", "message": "Ada is not there", "details": { "code": "secret" } } } } } } }),
            json!({ "resolved": { "seq": 1, "with": { "step_failed": { "attempt": 1, "lease": null,
                "failure": { "failed": { "code": "x", "message": HIDDEN, "details": HIDDEN } } } } } }),
        );
        check(
            json!({ "op": { "seq": 2, "op": { "human": { "task": { "reason": "review", "title": "Ada", "form": {} } } } } }),
            json!({ "op": { "seq": 2, "op": { "human": { "task": { "reason": "review", "title": HIDDEN, "form": HIDDEN } } } } }),
        );
        check(
            json!({ "cancel_requested": { "by": "ops", "reason": "Ada called" } }),
            json!({ "cancel_requested": { "by": "ops", "reason": HIDDEN } }),
        );
        check(
            json!({ "op": { "seq": 3, "op": { "log": { "message": "Ada" } } } }),
            json!({ "op": { "seq": 3, "op": { "log": { "message": HIDDEN } } } }),
        );
    }

    #[test]
    fn a_field_that_a_later_build_adds_is_hidden() {
        let entry = json!({ "signed": { "seq": 1, "signature": "Ada", "letter": { "name": "Ada" } } });
        assert_eq!(shown(&entry), json!({ "signed": { "seq": 1, "signature": HIDDEN, "letter": HIDDEN } }));
    }
}
