//! Pages that end or interrupt an application.

use super::{Esc, application, plain};
use crate::model::FormModel;
use crate::model::twist::{Closure, Twist};
use crate::wording;

const ALL_JOBS: &str = "<p><a href=\"/\">All jobs</a></p>";

pub fn confirmation(model: &FormModel, reference: &str) -> String {
    let confirmation = &model.confirmation;
    let body = format!(
        "<h1>{}</h1><p>{}</p><p class=\"reference\">{} <strong>{}</strong></p>{}",
        Esc(confirmation.heading),
        Esc(confirmation.sentence),
        Esc(confirmation.reference_line),
        Esc(reference),
        // The list has no place in a frame.
        if matches!(model.twist, Twist::Frame(_)) { "" } else { ALL_JOBS }
    );
    application(model, confirmation.heading, &body)
}

pub fn already_applied(model: &FormModel, reference: &str) -> String {
    let body = format!(
        "<h1>{}</h1><p>We already have your application for {}. You do not need to send it again.</p>\
         <p class=\"reference\">{} <strong>{}</strong></p>",
        wording::ALREADY_APPLIED,
        Esc(&model.posting.title),
        Esc(model.confirmation.reference_line),
        Esc(reference)
    );
    application(model, wording::ALREADY_APPLIED, &body)
}

/// The visit is unknown: it was forgotten, or never was.
pub fn expired(model: &FormModel) -> String {
    let body = format!(
        "<h1>Your session has expired</h1><p>Please <a href=\"{}\">start your application again</a>.</p>",
        Esc(&format!("{}/apply", model.posting_path()))
    );
    application(model, "Your session has expired", &body)
}

/// Nobody can apply any more.
pub fn closed(model: &FormModel, closure: &Closure) -> String {
    let body = format!("<h1>{}</h1><p>{}</p>{ALL_JOBS}", Esc(closure.heading), Esc(closure.sentence));
    application(model, closure.heading, &body)
}

/// Anything that went wrong outside a form.
pub fn problem(title: &str, sentence: &str) -> String {
    let body = format!("<h1>{}</h1><p>{}</p>{ALL_JOBS}", Esc(title), Esc(sentence));
    plain(title, &body)
}
