//! Questions that appear when others were answered in a certain way.

use super::Esc;
use crate::check;
use crate::model::FormModel;
use crate::model::field::Field;
use crate::model::twist::{Hiding, Twist};
use crate::visit::Visit;

/// Shows what is asked by the answers so far, at first and after every change. Questions stand after those that they
/// depend on, so one pass in the order of the page is enough.
pub const SCRIPT: &str = "<script>(function () {\
     var boxes = [].slice.call(document.querySelectorAll('[data-follows]'));\
     function shown(box) { return !box || box.getAttribute('data-shown') === 'yes'; }\
     function answer(name) { var found = null;\
     [].forEach.call(document.getElementsByName(name), function (control) {\
     if (control.type !== 'radio') { found = control; } else if (control.checked) { found = control; } });\
     return found && shown(found.closest('[data-follows]')) ? found.value : null; }\
     function show(box, on) { var was = box.getAttribute('data-shown');\
     if (was === (on ? 'yes' : 'no')) { return; } box.setAttribute('data-shown', on ? 'yes' : 'no');\
     var held = box.querySelector('template');\
     if (held) { while (held.nextSibling) { held.nextSibling.remove(); }\
     if (on) { box.appendChild(held.content.cloneNode(true)); } return; }\
     box.style.display = on ? '' : 'none';\
     if (box.tagName === 'FIELDSET') { box.disabled = !on; return; }\
     box.querySelectorAll('input, select, textarea').forEach(function (control) {\
     if (control.required) { control.setAttribute('data-asks', ''); }\
     control.required = on && control.hasAttribute('data-asks');\
     if (on) { return; }\
     if (control.type === 'radio') { control.checked = false; } else { control.value = ''; } }); }\
     function all() { boxes.forEach(function (box) {\
     show(box, answer(box.getAttribute('data-follows')) === box.getAttribute('data-answer')); }); }\
     document.addEventListener('change', all); all(); })();</script>";

/// A field that is asked always, or in its box that script shows.
pub fn boxed(model: &FormModel, visit: &Visit, field: &Field, html: String) -> String {
    let (Some(condition), Twist::Conditional(hiding)) = (&field.when, &model.twist) else {
        return html;
    };
    let Some(asked) = model.field(condition.meaning) else {
        return html;
    };
    let answer = asked.choices().iter().find(|choice| choice.canonical == condition.is);
    let follows = format!(
        "data-follows=\"{}\" data-answer=\"{}\"",
        Esc(&asked.name),
        Esc(answer.map_or("", |answer| answer.value.as_str()))
    );
    let undisplayed = if check::asks(model, field, &visit.values) { "" } else { " style=\"display: none\"" };
    match hiding {
        Hiding::Disabled => {
            let disabled = if undisplayed.is_empty() { "" } else { " disabled" };
            format!("<fieldset {follows}{undisplayed}{disabled}>{html}</fieldset>")
        }
        Hiding::Absent => format!("<div {follows}><template>{html}</template></div>"),
        Hiding::Undisplayed => format!("<div {follows}{undisplayed}>{html}</div>"),
    }
}
