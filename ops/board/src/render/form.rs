//! An application page: its sections, its buttons, and what is between them.

use std::fmt::Write as _;

use super::field::{FieldView, field};
use super::{Esc, application, follow, late};
use crate::check::{self, Errors};
use crate::model::field::{Control, Field, FileLook};
use crate::model::look::{ErrorPlace, Honeypot, Layout};
use crate::model::twist::{LatePart, Lateness, Twist};
use crate::model::{FormModel, Page, PageOf, Section};
use crate::visit::Visit;

/// What the buttons of a form send besides the fields.
pub const INTENT_BACK: &str = "back";
pub const INTENT_DRAFT: &str = "draft";
pub const INTENT_CANCEL: &str = "cancel";

/// Names of uploads are shown by script, because an invisible control does not show its own.
pub const FILE_WIRING: &str = "function wireFiles(root) { root.querySelectorAll('[data-file]').forEach(function (box) {\
     var input = box.querySelector('input[type=file]');\
     var chosen = box.querySelector('[data-chosen]');\
     var opener = box.querySelector('[data-opens-file]');\
     input.addEventListener('change', function () {\
     chosen.textContent = input.files.length ? input.files[0].name : 'No file chosen'; });\
     if (opener) { opener.addEventListener('click', function () { input.click(); }); } }); }";

/// A page as this visitor sees it now.
pub struct PageView<'a> {
    pub at: PageOf<'a>,
    pub visit: &'a Visit,
    pub errors: &'a Errors,
    pub notice: Option<&'a str>,
}

pub fn page(view: &PageView) -> String {
    let model = view.at.model;
    let mut body = format!(
        "<h1>{}</h1><p class=\"company\">{} at {}</p>",
        Esc(model.title),
        Esc(&model.posting.title),
        Esc(model.posting.company)
    );
    if model.pages.len() > 1 {
        let _ = write!(
            body,
            "<p class=\"progress\">Step {} of {}: {}</p>",
            view.at.number,
            model.pages.len(),
            Esc(view.at.page.title)
        );
    }
    if let Some(notice) = view.notice {
        let _ = write!(body, "<p class=\"notice\" role=\"status\">{}</p>", Esc(notice));
    }
    body.push_str(&summary(view));
    let encoding = if view.at.page.has_files() { " enctype=\"multipart/form-data\"" } else { "" };
    let _ = write!(body, "<form method=\"post\" action=\"{}\"{encoding}>", Esc(&model.page_path(view.at.number)));
    if !model.behaviour.cookie {
        let _ = write!(
            body,
            "<input type=\"hidden\" name=\"{}\" value=\"{}\">",
            model.behaviour.visit_name,
            Esc(&view.visit.token)
        );
    }
    if let Twist::Late(lateness) = &model.twist {
        let later = late::box_for_later(model, lateness, view.visit);
        body.push_str(&match lateness.part {
            LatePart::Fields => later + &actions(view),
            LatePart::Button => fields(view) + &later,
        });
    } else {
        body.push_str(&fields(view));
        body.push_str(&actions(view));
    }
    body.push_str("</form>");
    if has_scripted_files(view.at.page) {
        let _ = write!(body, "<script>{FILE_WIRING} wireFiles(document);</script>");
    }
    match &model.twist {
        Twist::Late(lateness) => body.push_str(&late::script(lateness)),
        Twist::Conditional(_) => body.push_str(follow::SCRIPT),
        _ => {}
    }
    application(model, &format!("{}: {}", model.title, model.posting.title), &body)
}

/// The part of the page that comes later, as it is put in.
pub fn later(view: &PageView, lateness: &Lateness) -> String {
    match lateness.part {
        LatePart::Fields => fields(view),
        LatePart::Button => actions(view),
    }
}

fn fields(view: &PageView) -> String {
    let mut html = String::new();
    if view.at.page.review {
        html.push_str(&review(view));
    }
    for section in &view.at.page.sections {
        html.push_str(&sectioned(view, section));
    }
    if let Some(honeypot) = view.at.model.decoys.honeypot.as_ref().filter(|_| view.at.is_last()) {
        html.push_str(&trap(honeypot));
    }
    html
}

fn has_scripted_files(page: &Page) -> bool {
    page.fields().any(|field| matches!(field.control, Control::File { look, .. } if look != FileLook::Visible))
}

/// Messages above the form, each leading to its field.
fn summary(view: &PageView) -> String {
    let look = &view.at.model.look;
    if view.errors.is_empty() || look.errors == ErrorPlace::Inline {
        return String::new();
    }
    let mut html = format!("<div class=\"summary\" role=\"alert\"><h2>{}</h2><ul>", Esc(look.summary_title));
    for field in view.at.page.fields() {
        if let Some(message) = view.errors.get(&field.meaning) {
            let _ =
                write!(html, "<li><a href=\"#{}\">{}</a>: {}</li>", Esc(&field.id), Esc(&field.label), Esc(message));
        }
    }
    html + "</ul></div>"
}

fn sectioned(view: &PageView, section: &Section) -> String {
    let look = &view.at.model.look;
    let (open, close) = match look.layout {
        Layout::Stacked => ("", ""),
        Layout::Grid => ("<div class=\"grid\">", "</div>"),
        Layout::Table => ("<table class=\"form\" role=\"presentation\"><tbody>", "</tbody></table>"),
    };
    let mut fields = open.to_owned();
    for one in &section.fields {
        let html = field(look, &field_view(view, one));
        fields.push_str(&follow::boxed(view.at.model, view.visit, one, html));
    }
    fields.push_str(close);
    let title = Esc(section.title);
    if section.title.is_empty() {
        fields
    } else if look.fieldset_sections {
        format!("<fieldset class=\"section\"><legend>{title}</legend>{fields}</fieldset>")
    } else {
        format!("<section><h2>{title}</h2>{fields}</section>")
    }
}

fn field_view<'a>(view: &PageView<'a>, field: &'a Field) -> FieldView<'a> {
    let error = view.errors.get(&field.meaning).map(String::as_str);
    let inline = view.at.model.look.errors != ErrorPlace::Summary;
    FieldView {
        field,
        value: view.visit.values.get(&field.meaning).map(String::as_str),
        kept_file: view.visit.files.get(&field.meaning).map(|file| file.filename.as_str()).filter(|_| error.is_none()),
        inline_error: error.filter(|_| inline),
        refused: error.is_some(),
    }
}

fn review(view: &PageView) -> String {
    let model = view.at.model;
    let mut html = String::from("<h2>Your answers</h2>");
    for (index, page) in model.pages.iter().enumerate().filter(|(_, page)| !page.review) {
        html.push_str("<dl class=\"review\">");
        for field in page.fields() {
            let answer = if field.is_file() {
                view.visit.files.get(&field.meaning).map(|file| file.filename.clone())
            } else {
                view.visit.values.get(&field.meaning).map(|value| shown(field, value))
            };
            let _ = write!(
                html,
                "<dt>{}</dt><dd>{}</dd>",
                Esc(&field.label),
                Esc(answer.as_deref().filter(|answer| !answer.is_empty()).unwrap_or("–"))
            );
        }
        let _ = write!(html, "</dl><p><a href=\"{}\">Edit</a></p>", Esc(&link(model, index + 1, view.visit)));
    }
    html
}

/// A choice is shown by its label.
fn shown(field: &Field, value: &str) -> String {
    field
        .choices()
        .iter()
        .find(|choice| choice.value == value)
        .map_or_else(|| check::canonical(field, value), |choice| choice.label.clone())
}

/// The address of a page within this visit.
pub fn link(model: &FormModel, number: usize, visit: &Visit) -> String {
    within(model, visit, &model.page_path(number))
}

/// An address that names its visit where no cookie does.
pub fn within(model: &FormModel, visit: &Visit, path: &str) -> String {
    if model.behaviour.cookie { path.to_owned() } else { format!("{path}?visit={}", visit.token) }
}

/// The same for an address with more behind the question mark.
pub fn link_query(model: &FormModel, visit: &Visit) -> String {
    if model.behaviour.cookie { String::new() } else { format!("visit={}&", visit.token) }
}

fn trap(honeypot: &Honeypot) -> String {
    let class = if honeypot.undisplayed { "undisplayed" } else { "outside" };
    let name = Esc(&honeypot.name);
    format!(
        "<div class=\"{class}\" aria-hidden=\"true\"><label for=\"{name}-box\">{}</label>\
         <input type=\"text\" id=\"{name}-box\" name=\"{name}\" tabindex=\"-1\" autocomplete=\"off\"></div>",
        Esc(honeypot.label)
    )
}

fn actions(view: &PageView) -> String {
    let model = view.at.model;
    let last = view.at.is_last();
    let label = if last { model.buttons.submit } else { model.buttons.next };
    let send = if model.look.input_buttons {
        format!("<input type=\"submit\" value=\"{}\">", Esc(label))
    } else {
        format!("<button type=\"submit\">{}</button>", Esc(label))
    };
    let mut others = String::new();
    if view.at.number > 1 {
        others.push_str(&back(view));
    }
    if model.decoys.draft {
        others.push_str(&intent_button(model, INTENT_DRAFT, model.buttons.draft));
    }
    if model.decoys.cancel {
        others.push_str(&intent_button(model, INTENT_CANCEL, model.buttons.cancel));
    }
    if model.decoys.decoys_first {
        format!("<div class=\"actions\">{others}{send}</div>")
    } else {
        format!("<div class=\"actions\">{send}{others}</div>")
    }
}

fn back(view: &PageView) -> String {
    let model = view.at.model;
    if model.behaviour.back_is_link {
        format!(
            "<a class=\"button secondary\" href=\"{}\">{}</a>",
            Esc(&link(model, view.at.number - 1, view.visit)),
            Esc(model.buttons.back)
        )
    } else {
        intent_button(model, INTENT_BACK, model.buttons.back)
    }
}

fn intent_button(model: &FormModel, intent: &str, label: &str) -> String {
    format!(
        "<button type=\"submit\" class=\"secondary\" name=\"{}\" value=\"{intent}\" formnovalidate>{}</button>",
        model.behaviour.intent_name,
        Esc(label)
    )
}
