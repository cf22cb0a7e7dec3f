//! The pages of a form that turns away browsers without a window.

use super::{Esc, plain_bare};
use crate::model::FormModel;
use crate::model::twist::Guard;

/// Says no, and nothing about the job.
pub fn denied(guard: &Guard) -> String {
    let body = format!("<h1>{}</h1><p>{}</p>", Esc(guard.heading), Esc(guard.sentence));
    plain_bare(guard.heading, &body)
}

/// Looks at the browser and sends what it found. `back` is the path that was asked for.
pub fn looking(model: &FormModel, guard: &Guard, back: &str) -> String {
    let body = format!(
        "<h1>{}</h1><noscript><p>Please enable JavaScript to continue.</p></noscript>\
         <form method=\"post\" action=\"{}/clearance\">\
         <input type=\"hidden\" name=\"back\" value=\"{}\">{}</form>{SCRIPT}",
        Esc(guard.waiting),
        Esc(&model.posting_path()),
        Esc(back),
        SIGNALS.map(|name| format!("<input type=\"hidden\" name=\"{name}\" value=\"\">")).concat()
    );
    plain_bare(guard.waiting, &body)
}

const SIGNALS: [&str; 6] = ["fine", "touch", "width", "height", "outer_width", "outer_height"];

const SCRIPT: &str = "<script>(function () { var form = document.forms[0];\
     var found = { fine: matchMedia('(any-pointer: fine)').matches ? 1 : 0, touch: navigator.maxTouchPoints,\
     width: screen.width, height: screen.height, outer_width: outerWidth, outer_height: outerHeight };\
     Object.keys(found).forEach(function (name) { form.elements[name].value = found[name]; });\
     form.submit(); })();</script>";
