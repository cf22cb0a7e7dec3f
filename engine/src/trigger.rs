//! What an event starts: patterns of keys, filters and mappings of triggers. Pure.

use serde_json::{Value, json};
use valet_core::declared::Faults;
use valet_core::declared::template::Template;
use valet_core::expression::{Budget, Expression, ExpressionError, Variables};

use crate::bounds::TRIGGER_STEPS_MAX;

/// What a trigger's expressions see.
const VARIABLES: [&str; 4] = ["key", "scope", "subject", "payload"];
/// What the start of a run may have (`StartRunRequest`).
pub(crate) const FIELDS: [&str; 6] = ["input", "subject", "plan", "attributes", "timeout_seconds", "budget_usd_micros"];

/// A trigger that was found in order.
#[derive(Clone, Debug)]
pub struct Trigger {
    filter: Option<Expression>,
    run: Template,
}

/// What somebody says has happened.
#[derive(Clone, Debug)]
pub struct Event<'a> {
    pub key: &'a str,
    pub scope: Option<&'a str>,
    pub subject: &'a str,
    pub payload: &'a Value,
}

impl Event<'_> {
    pub fn variables(&self) -> Variables {
        let scope = self.scope.map_or(Value::Null, Value::from);
        let values = [self.key.into(), scope, self.subject.into(), self.payload.clone()];
        VARIABLES.into_iter().zip(values.map(Into::into)).collect()
    }
}

impl Trigger {
    /// Finds every fault: of `filter` at `/filter`, of the mapping below `/run`.
    pub fn read(filter: Option<&str>, run: &Value) -> Result<Self, Faults> {
        let mut faults = Faults::default();
        let filter = filter.and_then(|text| faults.expression("/filter", text, &VARIABLES));
        let fields = run.as_object();
        for name in fields.into_iter().flat_map(|fields| fields.keys()).filter(|name| !FIELDS.contains(&name.as_str()))
        {
            let place = faults.below("/run", name);
            faults.add(&place, format!("a run has: {}", FIELDS.join(", ")));
        }
        if !fields.is_some_and(|fields| fields.contains_key("input")) {
            faults.add("/run/input", "say what the run's input is: {\"input\": {\"$cel\": \"payload\"}}");
        }
        let run = Template::read(run, "/run", &VARIABLES, &mut faults);
        if faults.is_empty() { Ok(Self { filter, run }) } else { Err(faults) }
    }

    /// Whether its filter holds. An event that it cannot be asked about is none of its.
    pub fn fits(&self, event: &Variables) -> bool {
        let holds = |filter: &Expression| filter.test(event, &mut Budget::new(TRIGGER_STEPS_MAX)).unwrap_or(false);
        self.filter.as_ref().is_none_or(holds)
    }

    /// The start of the run. An error names its place.
    pub fn run(&self, event: &Variables) -> Result<Value, (String, ExpressionError)> {
        self.run.fill(event, &mut Budget::new(TRIGGER_STEPS_MAX), "/run")
    }
}

/// The event's payload is the run's input.
pub fn default_run() -> Value {
    json!({ "input": { "$cel": "payload" } })
}

/// A pattern of keys, in which `*` stands for any characters, as one of LIKE.
pub fn like(pattern: &str) -> String {
    pattern.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_").replace('*', "%")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(filter: Option<&str>, run: &Value) -> Vec<String> {
        let faults = Trigger::read(filter, run).err().map(Faults::into_problems).unwrap_or_default();
        faults.into_iter().map(|fault| fault.field).collect()
    }

    #[test]
    fn every_fault_is_told_with_its_place() {
        assert_eq!(places(Some("payload.n > 1"), &default_run()), Vec::<String>::new());
        let run = json!({ "inputs": 1, "subject": { "$cel": "nobody" }, "plan": { "$cel": 1 } });
        let expected = ["/filter", "/run/inputs", "/run/input", "/run/plan", "/run/subject/$cel"];
        assert_eq!(places(Some("payload."), &run), expected);
        assert_eq!(places(None, &json!("input")), ["/run/input"]);
    }

    #[test]
    fn an_event_fits_by_its_filter_and_is_mapped() {
        let run = json!({ "input": { "user": { "$cel": "payload.user" }, "key": { "$cel": "key" } }, "plan": "gold" });
        let trigger = Trigger::read(Some("payload.n > 1 && scope == 'eu'"), &run).expect("in order");
        let fits = |scope, payload: &Value| {
            let event = Event { key: "user:new", scope, subject: "ada", payload }.variables();
            (trigger.fits(&event), trigger.run(&event).map_err(|(place, _)| place))
        };
        let mapped = json!({ "input": { "user": "ada", "key": "user:new" }, "plan": "gold" });
        assert_eq!(fits(Some("eu"), &json!({ "n": 2, "user": "ada" })), (true, Ok(mapped)));
        assert_eq!(fits(Some("eu"), &json!({ "n": 2 })), (true, Err("/run/input/user".to_owned())));
        assert!(!fits(None, &json!({ "n": 2, "user": "ada" })).0);
        assert!(!fits(Some("eu"), &json!({ "user": "ada" })).0, "it cannot be asked about this one");
    }

    #[test]
    fn only_the_star_stands_for_others() {
        assert_eq!(like("user:*"), "user:%");
        assert_eq!(like("100%_\\*"), "100\\%\\_\\\\%");
    }
}
