//! Why a run is not moving, in words.

use serde_json::Value;
use valet_core::Timestamp;
use valet_core::decide::BUDGET;
use valet_core::run::Reason;

use super::{text, when};

/// Columns of a foreign text inside.
const TEXT_COLUMNS_MAX: usize = 300;

/// `a person: unknown_question (ends in 1 h)`. A reason that this build does not know shows as it came.
pub fn short(reason: &Value, now: Timestamp) -> String {
    let Ok(reason) = serde_json::from_value(reason.clone()) else {
        return text::cut(&text::line(&reason.to_string()), TEXT_COLUMNS_MAX);
    };
    let words = match reason {
        Reason::Step { name, .. } => format!("step {name}"),
        Reason::NoWorker { name, labels, .. } => {
            let labels: Vec<String> = labels.iter().map(|(label, value)| format!("{label}={value}")).collect();
            format!("step {name}: no worker has the labels {}", labels.join(", "))
        }
        Reason::Limit { name, limit, key, .. } if key.is_empty() => format!("step {name}: limit {limit}"),
        Reason::Limit { name, limit, key, .. } => format!("step {name}: limit {limit} of {key}"),
        Reason::BackingOff { name, until, .. } => format!("step {name}: next attempt {}", when::relative(until, now)),
        Reason::Parked { name, code, .. } => format!("step {name} waits for an operator: {code}"),
        Reason::Stopping { name, .. } => format!("step {name} is told to stop"),
        Reason::Person { reason, until } => format!("a person: {reason} (ends {})", when::relative(until, now)),
        Reason::Signal { name } => format!("signal {name}"),
        Reason::Event { key } => format!("event {key}"),
        Reason::Timer { until } => format!("timer: {}", when::relative(until, now)),
        Reason::Child { workflow } => format!("child {workflow}"),
        Reason::Completion { name, until } => {
            format!("somebody outside: {name} (ends {})", when::relative(until, now))
        }
        Reason::Paused { by } if by == BUDGET => {
            "its budget is spent: `valet runs budget`, or resume it as it is".to_owned()
        }
        Reason::Paused { by } => format!("paused by {by}"),
        Reason::Stuck { text } => text,
        Reason::Held => "results wait for a resume; see valet pauses".to_owned(),
        Reason::NewerBuild { build } => format!("an engine with build {build} or later"),
    };
    text::cut(&text::line(&words), TEXT_COLUMNS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_reason_of_a_newer_engine_shows_as_it_came() {
        let now = "2026-11-21T06:05:00Z".parse().unwrap();
        assert_eq!(short(&json!({ "kind": "signal", "name": "go" }), now), "signal go");
        assert_eq!(short(&json!({ "kind": "weather", "key": "x" }), now), r#"{"key":"x","kind":"weather"}"#);
    }
}
