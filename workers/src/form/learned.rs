//! What filling a site's forms has taught, without any model: which way of writing a field its page took. Pure; no value is ever kept.
//!
//! A form is known again by its fields, not by its address. What was learned only says what to try first: everything that is written is read
//! back as on a form that nobody saw before.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::field::read_fields;
use super::field_kind::FieldKind;
use super::main_form::MainForm;
use super::plan::Plan;
use super::snapshot::Snapshot;

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
    taken: u32,
    refused: u32,
}

/// What became of one field: the way that was taken, or `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lesson {
    pub key: String,
    pub kind: FieldKind,
    pub way: Option<usize>,
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
    /// Puts the way that the form took before first. A field that is another one by now keeps its plan.
    pub fn advise(&self, signature: &str, plan: &mut Plan) {
        let Some(form) = self.forms.get(signature) else { return };
        for fill in &mut plan.fills {
            let Some(known) = form.fields.get(&fill.key).filter(|known| known.kind == fill.kind) else { continue };
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
        for Lesson { key, kind, way } in lessons {
            let fresh = || KnownField { kind: *kind, way: 0, taken: 0, refused: 0 };
            let known = form.fields.entry(key.clone()).or_insert_with(fresh);
            if known.kind != *kind {
                *known = fresh();
            }
            known.way = way.unwrap_or(0);
            let count = if way.is_some() { &mut known.taken } else { &mut known.refused };
            *count = count.saturating_add(1);
        }
        if self.forms.len() > FORMS_MAX
            && let Some(oldest) = self.forms.iter().min_by_key(|(_, form)| form.met).map(|(name, _)| name.clone())
        {
            self.forms.remove(&oldest);
        }
    }

    /// How often a field of a form took what was written, and how often it did not.
    pub fn successes(&self, signature: &str, key: &str) -> Option<(u32, u32)> {
        let known = self.forms.get(signature)?.fields.get(key)?;
        Some((known.taken, known.refused))
    }
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

    use super::{FORMS_MAX, Learned, Lesson, signature, way_at};
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
        let lesson = |way| Lesson { key: "phone".into(), kind: FieldKind::Phone, way };
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
        assert_eq!((order(&again), learned.successes("a", "phone")), (ways.map(str::to_owned).to_vec(), Some((1, 1))));
        let kept = serde_json::to_string(&learned).expect("json");
        assert!(!kept.contains("555"), "{kept}");
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
            learned.note(&at.to_string(), &[Lesson { key: "k".into(), kind: FieldKind::City, way: Some(0) }]);
        }
        assert_eq!((learned.successes("0", "k"), learned.successes("1", "k")), (None, Some((1, 0))));
    }
}
