//! A part of the form that comes later by script, and by some seeds is replaced once.

use super::Esc;
use super::form::{FILE_WIRING, link_query};
use crate::model::FormModel;
use crate::model::twist::Lateness;
use crate::visit::Visit;
use crate::wording::twist::MOVED_NOTICE;

/// Stands where the part will be.
pub fn box_for_later(model: &FormModel, lateness: &Lateness, visit: &Visit) -> String {
    let query = link_query(model, visit);
    let query = query.strip_suffix('&').unwrap_or(&query);
    format!(
        "<div data-later=\"{}/part?{}\" aria-busy=\"true\"><p role=\"status\">{}</p></div>",
        Esc(&model.posting_path()),
        Esc(query),
        Esc(lateness.hint)
    )
}

/// Fetches the part. What was typed before it is replaced is kept, only the elements are others.
pub fn script(lateness: &Lateness) -> String {
    let after_ms = if lateness.by_server { 0 } else { lateness.after_ms };
    let moves = lateness.moves_after_ms.map_or(String::new(), |ms| format!("setTimeout(move, {ms});"));
    format!(
        "<script>(function () {{ {FILE_WIRING}\
         var box = document.querySelector('[data-later]');\
         function move() {{ var other = box.cloneNode(true);\
         var from = box.querySelectorAll('input, select, textarea');\
         other.querySelectorAll('input, select, textarea').forEach(function (control, i) {{\
         if (control.type === 'file') {{ control.files = from[i].files; }}\
         else if (control.type === 'radio' || control.type === 'checkbox') {{ control.checked = from[i].checked; }}\
         else {{ control.value = from[i].value; }} }});\
         var note = document.createElement('p'); note.textContent = '{MOVED_NOTICE}';\
         box.replaceWith(note, other); wireFiles(other); }}\
         setTimeout(function () {{ fetch(box.getAttribute('data-later'), {{ credentials: 'same-origin' }})\
         .then(function (answer) {{ return answer.text(); }})\
         .then(function (html) {{ box.innerHTML = html; box.removeAttribute('aria-busy'); wireFiles(box); {moves} }});\
         }}, {after_ms}); }})();</script>"
    )
}
