//! What filling a site's forms has taught, without any model: on which element each field was written, which way of writing it its page took,
//! and how often. Pure; no value is ever kept.
//!
//! A form is known again by its fields, not by its address. What was learned only says what to try first: everything that is written is read
//! back as on a form that nobody saw before. Where an element is not where it was, the one that took the field's value takes its place.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::field::read_fields;
use super::field_kind::FieldKind;
use super::main_form::MainForm;
use super::plan::{FieldPlan, Plan};
use super::snapshot::Snapshot;
use crate::browser::{Action, ActionKind, Selectors};

/// In a selector: what an element held, which may be somebody's.
const OF_A_VALUE: &str = "[value=";
/// Forms of one site; of more the one that was not met for longest is forgotten.
const FORMS_MAX: usize = 64;

/// One site's.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Learned {
    /// Counts the fillings, so that it is known which form was met last.
    clock: u64,
    forms: BTreeMap<String, KnownForm>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct KnownForm {
    met: u64,
    fields: BTreeMap<String, KnownField>,
}

/// How often a field took what was written, and in which way the last time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct KnownField {
    kind: FieldKind,
    /// Index of the way among all that were planned.
    way: usize,
    /// What was done the last time that it took something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    action: Option<KeptAction>,
    taken: u32,
    refused: u32,
    /// How often another element had taken the place of the kept one.
    #[serde(default)]
    healed: u32,
}

/// An action as it is kept: what was done on which element, never with which value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptAction {
    pub kind: ActionKind,
    pub target: Selectors,
}

impl KeptAction {
    /// `None` where the choice itself is an element: which one it was would tell what was chosen.
    pub fn of(fill: &FieldPlan) -> Option<Self> {
        let [Action { kind: kind @ (ActionKind::Fill | ActionKind::Select | ActionKind::Upload), target, .. }] =
            fill.actions.as_slice()
        else {
            return None;
        };
        let mut target = target.clone();
        target.candidates.retain(|selector| !selector.contains(OF_A_VALUE));
        (!target.candidates.is_empty()).then_some(Self { kind: *kind, target })
    }

    fn leads_to(&self, target: &Selectors) -> bool {
        self.target.frame == target.frame && target.candidates.iter().any(|one| self.target.candidates.contains(one))
    }
}

/// What became of one field: the way that was taken, or `None`, and what was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lesson {
    pub key: String,
    pub kind: FieldKind,
    pub way: Option<usize>,
    pub action: Option<KeptAction>,
}

/// What tells one form of a site from the others: the keys of its fields and the sort of each, whatever their order.
pub fn signature(page: &Snapshot) -> Option<String> {
    let fields = read_fields(page);
    let main = MainForm::of(page, &fields)?;
    let own = main.fields.iter().map(|&index| &fields[index]);
    let mut lines: Vec<String> = own.map(|field| format!("{}\n{}\n", field.key, field.input.as_str())).collect();
    lines.sort();
    // FNV-1a, the same in every version of the program.
    let sum = lines
        .concat()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    Some(format!("{sum:016x}"))
}

impl Learned {
    /// Puts what led to the element before, and the way that the form took before, first. A field that is another one by now keeps its plan.
    pub fn advise(&self, signature: &str, plan: &mut Plan) {
        let Some(form) = self.forms.get(signature) else { return };
        for fill in &mut plan.fills {
            let Some(known) = form.fields.get(&fill.key).filter(|known| known.kind == fill.kind) else { continue };
            if let (Some(kept), Some(action)) = (&known.action, fill.actions.first_mut())
                && kept.target.frame == action.target.frame
            {
                // What lasted from one visit to the next is worth more than what is new.
                action.target.candidates.sort_by_key(|selector| !kept.target.candidates.contains(selector));
            }
            let Some(place) = known.way.checked_sub(1).filter(|place| *place < fill.other_ways.len()) else { continue };
            let Some(first) = fill.actions.first_mut().and_then(|action| action.value.as_mut()) else { continue };
            let before = std::mem::replace(first, fill.other_ways.remove(place));
            fill.other_ways.insert(0, before);
            fill.first_way = known.way;
        }
    }

    pub fn note(&mut self, signature: &str, lessons: &[Lesson]) {
        self.clock += 1;
        let form = self.forms.entry(signature.to_owned()).or_default();
        form.met = self.clock;
        for Lesson { key, kind, way, action } in lessons {
            let fresh = || KnownField { kind: *kind, way: 0, action: None, taken: 0, refused: 0, healed: 0 };
            let known = form.fields.entry(key.clone()).or_insert_with(fresh);
            if known.kind != *kind {
                *known = fresh();
            }
            known.way = way.unwrap_or(0);
            let count = if way.is_some() { &mut known.taken } else { &mut known.refused };
            *count = count.saturating_add(1);
            if let (Some(_), Some(action)) = (way, action) {
                let moved = known.action.as_ref().is_some_and(|kept| !kept.leads_to(&action.target));
                known.healed = known.healed.saturating_add(u32::from(moved));
                known.action = Some(action.clone());
            }
        }
        if self.forms.len() > FORMS_MAX
            && let Some(oldest) = self.forms.iter().min_by_key(|(_, form)| form.met).map(|(name, _)| name.clone())
        {
            self.forms.remove(&oldest);
        }
    }

    /// How often a field of a form took what was written, how often it did not, and by which action.
    pub fn success(&self, signature: &str, key: &str) -> Option<Success<'_>> {
        let KnownField { taken, refused, healed, action, .. } = self.forms.get(signature)?.fields.get(key)?;
        Some(Success { taken: *taken, refused: *refused, healed: *healed, action: action.as_ref() })
    }
}

/// What is known of one field of a form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Success<'a> {
    pub taken: u32,
    pub refused: u32,
    pub healed: u32,
    pub action: Option<&'a KeptAction>,
}

/// The index among all ways as planned, of the one at this position when `first` was put in front.
pub(super) fn way_at(position: usize, first: usize) -> usize {
    match position {
        0 => first,
        // What stood in front came right behind it.
        position if position <= first => position - 1,
        position => position,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{FORMS_MAX, KeptAction, Learned, Lesson, signature, way_at};
    use crate::browser::{Action, ActionKind, ActionValue, Selectors};
    use crate::form::plan::{FieldPlan, Plan};
    use crate::form::{Applicant, FieldKind, Snapshot, plan};

    fn page(labels: &[&str]) -> Snapshot {
        let controls: Vec<_> = labels
            .iter()
            .map(|label| json!({"type": "text", "label": label, "label_source": "label", "enabled": true, "tab_stop": true, "selectors": ["#x"], "form": 0}))
            .collect();
        serde_json::from_value(json!({"controls": controls, "forms": [{}]})).expect("a snapshot")
    }

    fn planned(ways: &[&str]) -> Plan {
        let mut all = ways.iter().map(|way| ActionValue::Text((*way).to_owned()));
        let action = Action {
            kind: ActionKind::Fill,
            target: Selectors::css("#phone"),
            description: "Phone".into(),
            value: all.next(),
        };
        let fill = FieldPlan {
            key: "phone".into(),
            label: "Phone".into(),
            kind: FieldKind::Phone,
            value: ways[0].into(),
            confidence: 1.0,
            evidence: Vec::new(),
            actions: vec![action],
            other_ways: all.collect(),
            first_way: 0,
            required: true,
            satisfied: false,
        };
        Plan { fills: vec![fill], ..plan(&Snapshot::default(), &Applicant::default()) }
    }

    fn order(plan: &Plan) -> Vec<String> {
        let fill = &plan.fills[0];
        let said = |value: &ActionValue| if let ActionValue::Text(text) = value { text.clone() } else { String::new() };
        fill.actions[0].value.iter().chain(&fill.other_ways).map(said).collect()
    }

    #[test]
    fn what_a_form_took_before_is_tried_first_and_known_by_its_place() {
        let ways = ["+1 555", "555", "(555)"];
        let mut learned = Learned::default();
        let lesson = |way| Lesson { key: "phone".into(), kind: FieldKind::Phone, way, action: None };
        learned.note("a", &[lesson(Some(2))]);
        let mut plan = planned(&ways);
        learned.advise("a", &mut plan);
        assert_eq!(order(&plan), ["(555)", "+1 555", "555"]);
        for (position, way) in order(&plan).iter().enumerate() {
            assert_eq!(ways[way_at(position, plan.fills[0].first_way)], way, "{position}");
        }
        let mut elsewhere = planned(&ways);
        learned.advise("b", &mut elsewhere);
        assert_eq!(order(&elsewhere), ways);
        // Nothing was taken: it is tried as if nobody knew.
        learned.note("a", &[lesson(None)]);
        let mut again = planned(&ways);
        learned.advise("a", &mut again);
        let counted = learned.success("a", "phone").expect("known");
        assert_eq!((order(&again), counted.taken, counted.refused), (ways.map(str::to_owned).to_vec(), 1, 1));
        let kept = serde_json::to_string(&learned).expect("json");
        assert!(!kept.contains("555"), "{kept}");
    }

    fn lesson_of(key: &str, action: Option<KeptAction>) -> Lesson {
        Lesson { key: key.into(), kind: FieldKind::Phone, way: Some(0), action }
    }

    fn planned_on(candidates: &[&str]) -> Plan {
        let mut plan = planned(&["555"]);
        plan.fills[0].actions[0].target.candidates = candidates.iter().map(ToString::to_string).collect();
        plan
    }

    #[test]
    fn an_action_is_kept_and_one_that_took_its_place_is_kept_in_its_stead() {
        let mut learned = Learned::default();
        let mut meet = |candidates: &[&str]| {
            let mut plan = planned_on(candidates);
            learned.advise("a", &mut plan);
            let tried = plan.fills[0].actions[0].target.candidates.clone();
            learned.note("a", &[lesson_of("phone", KeptAction::of(&plan.fills[0]))]);
            let counted = learned.success("a", "phone").expect("known");
            (tried, counted.taken, counted.healed, counted.action.expect("an action").target.candidates.clone())
        };
        let owned = |all: &[&str]| all.iter().map(ToString::to_string).collect::<Vec<_>>();
        let first = owned(&["#x1", "[name=phone]"]);
        assert_eq!(meet(&["#x1", "[name=phone]"]), (first.clone(), 1, 0, first));
        // Its id is another one each time: what lasts is tried first.
        let lasting = owned(&["[name=phone]", "#x2"]);
        assert_eq!(meet(&["#x2", "[name=phone]"]), (lasting.clone(), 2, 0, lasting));
        let moved = owned(&["#tel"]);
        assert_eq!(meet(&["#tel"]), (moved.clone(), 3, 1, moved));
    }

    #[test]
    fn what_was_chosen_and_what_an_element_held_is_not_kept() {
        let kept = KeptAction::of(&planned_on(&["#p", "input[name=p][value=\"555\"]"]).fills[0]).expect("an action");
        assert_eq!(kept.target.candidates, ["#p"]);
        let mut chosen = planned_on(&["#prefers-not-to-say"]);
        chosen.fills[0].actions[0].kind = ActionKind::Check;
        assert_eq!(KeptAction::of(&chosen.fills[0]), None);
    }

    #[test]
    fn a_form_is_known_by_its_fields_in_whatever_order() {
        let name = |labels: &[&str]| signature(&page(labels)).expect("a form");
        assert_eq!(name(&["First name", "Email"]), name(&["Email", "First name"]));
        assert_ne!(name(&["First name", "Email"]), name(&["First name", "Phone"]));
        assert_eq!(signature(&Snapshot::default()), None);
    }

    #[test]
    fn a_site_of_endless_forms_is_remembered_within_bounds() {
        let mut learned = Learned::default();
        for at in 0..=FORMS_MAX {
            learned.note(&at.to_string(), &[lesson_of("k", None)]);
        }
        assert_eq!(learned.success("0", "k"), None);
        assert_eq!(learned.success("1", "k").map(|counted| counted.taken), Some(1));
    }
}
