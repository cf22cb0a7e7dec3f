//! Webhooks of this engine's own: who is told what, and how a message is written and signed (Standard Webhooks 1.0). Pure.

use std::collections::{HashMap, HashSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use serde_json::{Value, json};
use uuid::Uuid;
use valet_core::Timestamp;
use valet_core::declared::Faults;
use valet_core::expression::{Budget, Expression, Variables};
use valet_core::id::{RunId, TaskId};
use valet_core::payload::Payload;

use crate::bounds::{OUTGOING_KIND_BYTES_MAX, OUTGOING_KINDS_MAX, TRIGGER_STEPS_MAX};

/// What the filter of a webhook sees.
const VARIABLES: [&str; 4] = ["kind", "workflow", "subject", "data"];
/// Of the names in `notices.target`.
const PREFIX: &str = "webhook/";

/// As `notices` name a webhook.
pub fn target(webhook: Uuid) -> String {
    format!("{PREFIX}{webhook}")
}

/// As receivers know a message, the same in each attempt.
pub fn message_id(notice: Uuid) -> String {
    format!("msg_{}", notice.simple())
}

/// A webhook as commits look at it.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub id: Uuid,
    pub kinds: Vec<String>,
    pub workflow: Option<String>,
    pub filter: Option<Expression>,
}

/// Something that happened to a run.
#[derive(Clone, Copy, Debug)]
pub struct Happening<'a> {
    pub tenant: &'a str,
    pub workflow: &'a str,
    pub subject: &'a str,
    pub kind: &'a str,
    /// What workflow code said.
    pub data: Option<&'a Payload>,
}

impl Wanted {
    /// Whether a webhook of the tenant is told. What its filter cannot be asked about it is not told.
    pub fn wants(&self, what: &Happening<'_>) -> bool {
        let is_of = self.workflow.as_deref().is_none_or(|workflow| workflow == what.workflow) && self.knows(what.kind);
        is_of && self.filter.as_ref().is_none_or(|filter| holds(filter, what))
    }

    fn knows(&self, kind: &str) -> bool {
        self.kinds.iter().any(|pattern| fits(pattern, kind))
    }
}

/// Those of all tenants. One that has none costs a commit a look into a map.
#[derive(Debug, Default)]
pub struct AllWanted(HashMap<String, Vec<Wanted>>);

impl AllWanted {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Names of those in `notices.target` who are told this.
    pub fn told(&self, what: &Happening<'_>) -> Vec<String> {
        let of_tenant = self.0.get(what.tenant).map(Vec::as_slice).unwrap_or_default();
        of_tenant.iter().filter(|webhook| webhook.wants(what)).map(|webhook| target(webhook.id)).collect()
    }

    /// Whether anybody may want to be told of this kind.
    pub fn know(&self, kind: &str) -> bool {
        self.0.values().flatten().any(|webhook| webhook.knows(kind))
    }

    pub fn ids(&self) -> HashSet<Uuid> {
        self.0.values().flatten().map(|webhook| webhook.id).collect()
    }
}

impl FromIterator<(String, Wanted)> for AllWanted {
    fn from_iter<I: IntoIterator<Item = (String, Wanted)>>(webhooks: I) -> Self {
        let mut all = Self::default();
        for (tenant, webhook) in webhooks {
            all.0.entry(tenant).or_default().push(webhook);
        }
        all
    }
}

/// `*` at the end of a pattern stands for anything.
fn fits(pattern: &str, kind: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == kind, |beginning| kind.starts_with(beginning))
}

fn holds(filter: &Expression, what: &Happening<'_>) -> bool {
    let data = what.data.and_then(|data| data.read::<Value>().ok()).unwrap_or_default();
    let values = [what.kind.into(), what.workflow.into(), what.subject.into(), data];
    let variables: Variables = VARIABLES.into_iter().zip(values.map(Into::into)).collect();
    filter.test(&variables, &mut Budget::new(TRIGGER_STEPS_MAX)).unwrap_or(false)
}

/// Every fault of what a webhook wants to be told.
pub fn check(kinds: &[String], filter: Option<&str>, faults: &mut Faults) -> Option<Expression> {
    if !(1..=OUTGOING_KINDS_MAX).contains(&kinds.len()) {
        faults.add("/kinds", format!("1 to {OUTGOING_KINDS_MAX}"));
    }
    for (place, kind) in kinds.iter().enumerate() {
        let beginning = kind.strip_suffix('*').unwrap_or(kind);
        let fits = (1..=OUTGOING_KIND_BYTES_MAX).contains(&kind.len()) && !beginning.contains('*');
        if !fits || kind.chars().any(char::is_control) {
            let rule = "a kind such as `run.failed`, or the beginning of some: `human_task.*`";
            faults.add(&format!("/kinds/{place}"), rule);
        }
    }
    filter.and_then(|text| faults.expression("/filter", text, &VARIABLES))
}

/// What a receiver is told. Ids, states and what the workflow's author chose to say; no inputs, no answers.
#[derive(Clone, Debug)]
pub struct Message<'a> {
    pub kind: &'a str,
    pub at: Timestamp,
    pub tenant: &'a str,
    pub workflow: &'a str,
    pub run: RunId,
    pub task: Option<TaskId>,
    pub said: Option<&'a Value>,
}

impl Message<'_> {
    pub fn body(&self) -> String {
        let mut data = json!({ "tenant": self.tenant, "workflow": self.workflow, "run": self.run.to_string() });
        if let Some(task) = self.task {
            data["task"] = json!(task.to_string());
        }
        if let Some(said) = self.said {
            data["said"] = said.clone();
        }
        let at = self.at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
        json!({ "type": self.kind, "timestamp": at, "data": data }).to_string()
    }
}

/// `webhook-signature`: one for each secret, so that receivers can change over.
pub fn signatures(secrets: &[String], id: &str, seconds: i64, body: &str) -> String {
    let message = format!("{id}.{seconds}.{body}");
    let keys = secrets.iter().filter_map(|secret| super::proof::standard_key(secret));
    let tags = keys.map(|key| {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), message.as_bytes());
        format!("v1,{}", STANDARD.encode(tag.as_ref()))
    });
    tags.collect::<Vec<_>>().join(" ")
}

/// A secret of so many random bytes.
pub fn new_secret(random: &[u8; 32]) -> String {
    format!("whsec_{}", STANDARD.encode(random))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An example of Svix's documentation of Standard Webhooks.
    #[test]
    fn a_message_is_signed_under_each_secret() {
        let body = r#"{"event_type":"ping","data":{"success":true}}"#;
        let signed = |secrets: &[&str]| {
            let secrets: Vec<String> = secrets.iter().map(ToString::to_string).collect();
            signatures(&secrets, "msg_loFOjxBNrRLzqYUf", 1_731_705_121, body)
        };
        let expected = "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0=";
        assert_eq!(signed(&["whsec_plJ3nmyCDGBKInavdOK15jsl"]), expected);
        let both = signed(&["whsec_AAAA", "whsec_plJ3nmyCDGBKInavdOK15jsl"]);
        assert!(both.starts_with("v1,") && both.ends_with(&format!(" {expected}")), "{both}");
    }

    #[test]
    fn a_webhook_is_told_what_it_wants() {
        let check = |kinds: &[&str], workflow: Option<&str>, filter: Option<&str>, expected: bool| {
            let kinds: Vec<String> = kinds.iter().map(ToString::to_string).collect();
            let mut faults = Faults::default();
            let filter = super::check(&kinds, filter, &mut faults);
            assert!(faults.is_empty(), "{faults:?}");
            let wanted = Wanted { id: Uuid::nil(), kinds, workflow: workflow.map(ToOwned::to_owned), filter };
            let all = AllWanted::from_iter([("acme".to_owned(), wanted)]);
            let data = Payload::of(&json!({ "n": 2 })).expect("a payload");
            let what =
                Happening { tenant: "acme", workflow: "apply", subject: "ada", kind: "run.failed", data: Some(&data) };
            let told = if expected { vec![target(Uuid::nil())] } else { Vec::new() };
            assert_eq!(all.told(&what), told, "{all:?}");
            assert!(all.told(&Happening { tenant: "umbrella", ..what }).is_empty(), "{all:?}");
        };
        check(&["run.failed"], None, None, true);
        check(&["run.fail"], None, None, false);
        check(&["human_task.*", "run.*"], None, None, true);
        check(&["*"], Some("apply"), None, true);
        check(&["*"], Some("other"), None, false);
        check(&["*"], None, Some("data.n > 1 && subject == 'ada'"), true);
        check(&["*"], None, Some("kind == 'run.failed' && workflow == 'other'"), false);
        check(&["*"], None, Some("data.missing"), false);
    }

    #[test]
    fn what_no_webhook_can_want_is_told_with_its_place() {
        let check = |kinds: &[&str], filter: Option<&str>, expected: &[&str]| {
            let mut faults = Faults::default();
            super::check(&kinds.iter().map(ToString::to_string).collect::<Vec<_>>(), filter, &mut faults);
            let places: Vec<String> = faults.into_problems().into_iter().map(|fault| fault.field).collect();
            assert_eq!(places, expected);
        };
        check(&[], None, &["/kinds"]);
        check(&["", "run.*.x", "run.failed"], Some("payload.n"), &["/kinds/0", "/kinds/1", "/filter"]);
    }

    #[test]
    fn a_message_has_ids_and_what_code_said() {
        let said = json!({ "n": 1 });
        let message = Message {
            kind: "run.failed",
            at: Timestamp::from_timestamp(0, 0).expect("an instant"),
            tenant: "acme",
            workflow: "apply",
            run: RunId(Uuid::nil()),
            task: None,
            said: Some(&said),
        };
        let body: Value = serde_json::from_str(&message.body()).expect("JSON");
        let data =
            json!({ "tenant": "acme", "workflow": "apply", "run": RunId(Uuid::nil()).to_string(), "said": said });
        assert_eq!(body, json!({ "type": "run.failed", "timestamp": "1970-01-01T00:00:00.000Z", "data": data }));
    }
}
