//! Fields that are not meant for a person: traps for machines. Left alone, always. Pure.

use super::field::{Field, InputKind};
use super::snapshot::Control;
use super::text::{self, name_words, words};
use super::wording::Wording;

/// Why the control is a trap; `None` when it is not.
pub fn honeypot(control: &Control, field: &Field) -> Option<String> {
    if !field.input.is_typed() && field.input != InputKind::Checkbox {
        return None;
    }
    let wording = Wording::get();
    let says = |text: &str| text::any(&wording.decoy, &words(text));
    if [&field.label, &control.label, &control.nearby, &control.description, &control.placeholder, &control.container]
        .into_iter()
        .any(|text| says(text))
    {
        return Some("its words ask to leave it empty".into());
    }
    let named = |name: &str| text::any(&wording.decoy_name, &name_words(name));
    if named(&control.name) || named(&control.id) || control.context.iter().any(|word| word == "honeypot") {
        return Some("it is named as a trap".into());
    }
    // Taken out of the tab order and shown to nobody's machine reader: nobody is meant to reach it.
    (field.input.is_typed()
        && !control.tab_stop
        && control.hidden.is_empty()
        && matches!(control.autocomplete.as_str(), "off" | "nope" | "")
        && !control.required
        && control.role.is_empty())
    .then(|| "it is out of the tab order".into())
}
