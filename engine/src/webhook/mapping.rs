//! What is made of a delivery: whether it is of interest, its sender's id, and the run or the event that it becomes.

use axum::http::HeaderMap;
use serde_json::{Map, Value, json};
use valet_core::declared::Faults;
use valet_core::declared::template::Template;
use valet_core::expression::{Budget, Expression, ExpressionError, Variables};

use super::Proof;
use super::proof::Kind;
use crate::bounds::TRIGGER_STEPS_MAX;
use crate::trigger;

/// What the expressions of a webhook see.
const VARIABLES: [&str; 2] = ["headers", "payload"];
/// What an event may have (`PushEventRequest`).
const OF_EVENTS: [&str; 4] = ["key", "scope", "subject", "payload"];
/// Headers in which senders tell the id of a delivery: Standard Webhooks, GitHub, and whoever else has one.
const ID_HEADERS: [&str; 3] = ["webhook-id", "x-github-delivery", "idempotency-key"];

/// What deliveries are made into, with the JSON that says how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    Run,
    Event,
}

/// A mapping that was found in order.
#[derive(Clone, Debug)]
pub struct Mapping {
    delivery_id: Option<Expression>,
    filter: Option<Expression>,
    made: Template,
}

/// What a sender sent.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    pub proof: &'a Proof,
    pub headers: &'a HeaderMap,
    pub payload: &'a Value,
}

impl Delivery<'_> {
    /// Headers by their lower-case names, without those that hold secrets.
    pub fn variables(&self) -> Variables {
        let mut headers = Map::new();
        for name in self.headers.keys().filter(|name| !self.proof.is_secret(name)) {
            let values = self.headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
            headers.insert(name.as_str().to_owned(), values.collect::<Vec<_>>().join(", ").into());
        }
        VARIABLES.into_iter().zip([Value::Object(headers), self.payload.clone()].map(Into::into)).collect()
    }

    /// The sender's own id, where it is usual to be.
    fn usual_id(&self) -> Option<String> {
        let in_payload = match self.proof.kind {
            Kind::Stripe => self.payload.get("id"),
            Kind::Slack => self.payload.get("event_id"),
            _ => None,
        };
        let in_header = ID_HEADERS.iter().find_map(|name| self.headers.get(*name)?.to_str().ok());
        in_header.or_else(|| in_payload?.as_str()).filter(|id| !id.is_empty()).map(ToOwned::to_owned)
    }
}

impl Mapping {
    /// Finds every fault: of the mapping below `/start/run` or `/publish`.
    pub fn read(target: Target, made: &Value, delivery_id: Option<&str>, filter: Option<&str>) -> Result<Self, Faults> {
        let mut faults = Faults::default();
        let delivery_id = delivery_id.and_then(|text| faults.expression("/delivery_id", text, &VARIABLES));
        let filter = filter.and_then(|text| faults.expression("/filter", text, &VARIABLES));
        let (fields, needed, example): (&[&str], _, _) = match target {
            Target::Run => (&trigger::FIELDS, "input", "{\"input\": {\"$cel\": \"payload\"}}"),
            Target::Event => (&OF_EVENTS, "key", "{\"key\": \"order:paid\"}"),
        };
        let given = made.as_object();
        for name in given.into_iter().flat_map(|given| given.keys()).filter(|name| !fields.contains(&name.as_str())) {
            let place = faults.below(target.place(), name);
            faults.add(&place, format!("there is: {}", fields.join(", ")));
        }
        if !given.is_some_and(|given| given.contains_key(needed)) {
            faults.add(&format!("{}/{needed}", target.place()), format!("say it: {example}"));
        }
        let made = Template::read(made, target.place(), &VARIABLES, &mut faults);
        if faults.is_empty() { Ok(Self { delivery_id, filter, made }) } else { Err(faults) }
    }

    /// Whether the delivery is of interest. One that the filter cannot be asked about is not.
    pub fn fits(&self, variables: &Variables) -> bool {
        let holds = |filter: &Expression| filter.test(variables, &mut budget()).unwrap_or(false);
        self.filter.as_ref().is_none_or(holds)
    }

    /// The sender's id; `None`: it has none. An error: the expression comes to nothing that is one.
    pub fn id(&self, delivery: &Delivery<'_>, variables: &Variables) -> Result<Option<String>, ExpressionError> {
        let Some(expression) = &self.delivery_id else { return Ok(delivery.usual_id()) };
        match expression.value(variables, &mut budget())? {
            Value::String(id) if !id.is_empty() => Ok(Some(id)),
            Value::Number(id) => Ok(Some(id.to_string())),
            _ => Err(ExpressionError::Failed("an id is a text or a number".to_owned())),
        }
    }

    /// The run's start, or the event. An error names its place.
    pub fn made(&self, target: Target, variables: &Variables) -> Result<Value, (String, ExpressionError)> {
        self.made.fill(variables, &mut budget(), target.place())
    }
}

impl Target {
    pub fn place(self) -> &'static str {
        match self {
            Self::Run => "/start/run",
            Self::Event => "/publish",
        }
    }

    /// The event carries the payload where nothing else is said.
    pub fn with_defaults(self, made: Option<Value>) -> Value {
        match (self, made) {
            (Self::Run, made) => made.unwrap_or_else(trigger::default_run),
            (Self::Event, Some(Value::Object(mut event))) => {
                event.entry("payload").or_insert_with(|| json!({ "$cel": "payload" }));
                Value::Object(event)
            }
            (Self::Event, made) => made.unwrap_or_default(),
        }
    }
}

fn budget() -> Budget {
    Budget::new(TRIGGER_STEPS_MAX)
}

#[cfg(test)]
mod tests {
    use valet_protocol::api::IncomingProof;

    use super::*;

    fn proof(kind: &str) -> Proof {
        Proof::read(&IncomingProof { kind: kind.to_owned(), ..IncomingProof::default() }).expect("in order")
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value"))).collect()
    }

    #[test]
    fn every_fault_is_told_with_its_place() {
        let check = |target: Target, made: Value, id: Option<&str>, expected: &[&str]| {
            let made = target.with_defaults(Some(made));
            let faults = Mapping::read(target, &made, id, None).err().map(Faults::into_problems).unwrap_or_default();
            assert_eq!(faults.into_iter().map(|fault| fault.field).collect::<Vec<_>>(), expected, "{made}");
        };
        check(Target::Run, json!({ "input": {} }), Some("payload.id"), &[]);
        check(
            Target::Run,
            json!({ "inputs": {} }),
            Some("payload."),
            &["/delivery_id", "/start/run/inputs", "/start/run/input"],
        );
        check(Target::Run, json!({ "input": { "$cel": "run" } }), None, &["/start/run/input/$cel"]);
        check(Target::Event, json!({ "key": "k" }), None, &[]);
        check(
            Target::Event,
            json!({ "key": { "$cel": "body" }, "run": 1 }),
            None,
            &["/publish/run", "/publish/key/$cel"],
        );
        check(Target::Event, json!("k"), None, &["/publish/key"]);
    }

    #[test]
    fn a_delivery_is_mapped_and_its_secrets_are_not_seen() {
        let made = json!({ "input": { "user": { "$cel": "payload.user" }, "kind": { "$cel": "headers['x-kind']" } } });
        let mapping = Mapping::read(Target::Run, &made, None, Some("headers['x-kind'] == 'new'")).expect("in order");
        let proof = proof("api_key");
        let sent = headers(&[("x-kind", "new"), ("x-api-key", "hush"), ("authorization", "hush"), ("cookie", "hush")]);
        let payload = json!({ "user": "ada" });
        let variables = Delivery { proof: &proof, headers: &sent, payload: &payload }.variables();
        assert!(mapping.fits(&variables));
        assert_eq!(mapping.made(Target::Run, &variables), Ok(json!({ "input": { "user": "ada", "kind": "new" } })));
        assert!(!format!("{variables:?}").contains("hush"));
        let other = Delivery { proof: &proof, headers: &HeaderMap::new(), payload: &payload }.variables();
        assert!(!mapping.fits(&other), "it cannot be asked about this one");
    }

    #[test]
    fn an_id_is_what_the_sender_says_or_what_an_expression_finds() {
        let check = |kind: &str,
                     id: Option<&str>,
                     sent: &[(&'static str, &'static str)],
                     expected: Result<Option<&str>, ()>| {
            let mapping = Mapping::read(Target::Run, &json!({ "input": 0 }), id, None).expect("in order");
            let (proof, headers, payload) =
                (proof(kind), headers(sent), json!({ "id": "evt_1", "event_id": "Ev1", "n": 7 }));
            let delivery = Delivery { proof: &proof, headers: &headers, payload: &payload };
            let found = mapping.id(&delivery, &delivery.variables()).map_err(drop);
            assert_eq!(found, expected.map(|id| id.map(ToOwned::to_owned)), "{kind} {id:?} {sent:?}");
        };
        check("github", None, &[("x-github-delivery", "d-1")], Ok(Some("d-1")));
        check("standard", None, &[("webhook-id", "msg_1")], Ok(Some("msg_1")));
        check("api_key", None, &[("idempotency-key", "k")], Ok(Some("k")));
        check("api_key", None, &[], Ok(None));
        check("stripe", None, &[], Ok(Some("evt_1")));
        check("slack", None, &[], Ok(Some("Ev1")));
        check("github", Some("payload.n"), &[("x-github-delivery", "d-1")], Ok(Some("7")));
        check("github", Some("headers['x-request-id']"), &[("x-request-id", "r-1")], Ok(Some("r-1")));
        check("github", Some("payload.missing"), &[], Err(()));
        check("github", Some("payload"), &[], Err(()));
        check("github", Some("''"), &[], Err(()));
    }
}
