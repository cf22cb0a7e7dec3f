//! One field: its control, its name for people and machines, its hint and its error.

use std::fmt::Write as _;

use super::Esc;
use crate::check::ACCEPT;
use crate::model::field::{Choice, Control, Field, FileLook, Labelling, RadioLook};
use crate::model::look::{Layout, Look, Mark};

/// A field with what is known about it on this showing of the page.
pub struct FieldView<'a> {
    pub field: &'a Field,
    pub value: Option<&'a str>,
    /// The name of a file that was uploaded before and is kept.
    pub kept_file: Option<&'a str>,
    /// The message to show next to the control.
    pub inline_error: Option<&'a str>,
    /// The field was refused, wherever that is told.
    pub refused: bool,
}

/// The two halves of a field: a table puts them in two cells, other layouts one above the other.
struct Halves {
    caption: String,
    control: String,
}

pub fn field(look: &Look, view: &FieldView) -> String {
    let mut halves = match &view.field.control {
        Control::Radio { choices, look: radio } => radios(look, view, choices, *radio),
        Control::Checkbox { value } => checkbox(look, view, value),
        Control::File { look: file_look, button } => file(look, view, *file_look, button),
        _ => labelled(look, view, &plain_control(look, view)),
    };
    halves.control.push_str(&notes(view));
    let soup = look.soup_depth as usize;
    let open = "<div class=\"w\">".repeat(soup);
    let close = "</div>".repeat(soup);
    let Halves { caption, control } = halves;
    match look.layout {
        Layout::Table => format!("<tr><td>{caption}</td><td>{open}{control}{close}</td></tr>"),
        Layout::Stacked => format!("<div class=\"field\">{open}{caption}{control}{close}</div>"),
        Layout::Grid => {
            let wide = matches!(
                view.field.control,
                Control::Radio { .. } | Control::Area | Control::Checkbox { .. } | Control::File { .. }
            );
            let class = if wide { "field wide" } else { "field" };
            format!("<div class=\"{class}\">{open}{caption}{control}{close}</div>")
        }
    }
}

/// Hint and error, which the control refers to by `aria-describedby`.
fn notes(view: &FieldView) -> String {
    let id = Esc(&view.field.id);
    let mut notes = String::new();
    if let Some(hint) = view.field.hint {
        let _ = write!(notes, "<p class=\"hint\" id=\"{id}-hint\">{}</p>", Esc(hint));
    }
    if let Some(error) = view.inline_error {
        let _ = write!(notes, "<p class=\"error\" id=\"{id}-error\">{}</p>", Esc(error));
    }
    notes
}

fn described_by(view: &FieldView) -> String {
    let id = Esc(&view.field.id);
    let mut ids = Vec::new();
    if view.field.hint.is_some() {
        ids.push(format!("{id}-hint"));
    }
    if view.inline_error.is_some() {
        ids.push(format!("{id}-error"));
    }
    let mut attributes = String::new();
    if !ids.is_empty() {
        let _ = write!(attributes, " aria-describedby=\"{}\"", ids.join(" "));
    }
    if view.refused {
        attributes.push_str(" aria-invalid=\"true\"");
    }
    attributes
}

/// The label's text and its mark.
fn caption(look: &Look, field: &Field) -> String {
    let label = Esc(&field.label);
    match (look.mark, field.required) {
        (Mark::Asterisk, true) => format!("{label} *"),
        (Mark::HiddenAsterisk, true) => {
            format!("{label}<span class=\"mark\" aria-hidden=\"true\"> *</span>")
        }
        (Mark::Word, true) => format!("{label} (required)"),
        (Mark::OptionalWord, false) => format!("{label} <span class=\"note\">(optional)</span>"),
        _ => label.to_string(),
    }
}

fn labelled(look: &Look, view: &FieldView, control: &str) -> Halves {
    let field = view.field;
    let text = caption(look, field);
    let id = Esc(&field.id);
    let (caption, control) = match field.labelling {
        Labelling::For => (format!("<label class=\"label\" for=\"{id}\">{text}</label>"), control.to_owned()),
        Labelling::Wrap => (String::new(), format!("<label><span class=\"label\">{text}</span>{control}</label>")),
        Labelling::LabelledBy => (format!("<div class=\"label\" id=\"{id}-label\">{text}</div>"), control.to_owned()),
        Labelling::AriaLabel => (format!("<div class=\"label\">{text}</div>"), control.to_owned()),
        Labelling::Placeholder => (String::new(), control.to_owned()),
    };
    Halves { caption, control }
}

/// Attributes that every control but a radio button has.
fn attributes(look: &Look, view: &FieldView) -> String {
    let field = view.field;
    let id = Esc(&field.id);
    let mut attributes = format!(" id=\"{id}\" name=\"{}\"", Esc(&field.name));
    match field.labelling {
        Labelling::LabelledBy => {
            let _ = write!(attributes, " aria-labelledby=\"{id}-label\"");
        }
        Labelling::AriaLabel => {
            let _ = write!(attributes, " aria-label=\"{}\"", Esc(&field.label));
        }
        _ => {}
    }
    // A kept file needs no new one.
    if field.required && view.kept_file.is_none() {
        attributes.push_str(if look.native_required { " required" } else { " aria-required=\"true\"" });
    }
    attributes + &described_by(view)
}

fn plain_control(look: &Look, view: &FieldView) -> String {
    let field = view.field;
    let mut attributes = attributes(look, view);
    let placeholder = match field.labelling {
        Labelling::Placeholder if field.required => Some(format!("{} *", field.label)),
        Labelling::Placeholder => Some(field.label.clone()),
        _ => field.placeholder.map(str::to_owned),
    };
    if let Some(placeholder) = placeholder {
        let _ = write!(attributes, " placeholder=\"{}\"", Esc(&placeholder));
    }
    if let Some(token) = field.meaning.autocomplete().filter(|_| look.autocomplete) {
        let _ = write!(attributes, " autocomplete=\"{token}\"");
    }
    let value = view.value.unwrap_or_default();
    match &field.control {
        Control::Area => format!("<textarea{attributes} rows=\"5\">\n{}</textarea>", Esc(value)),
        Control::Select { choices, prompt } => select(&attributes, choices, prompt, value),
        Control::Line { kind } => format!("<input type=\"{}\"{attributes} value=\"{}\">", kind.html_type(), Esc(value)),
        // The other kinds have templates of their own.
        Control::Radio { .. } | Control::Checkbox { .. } | Control::File { .. } => String::new(),
    }
}

fn select(attributes: &str, choices: &[Choice], prompt: &str, value: &str) -> String {
    let mut html = format!("<select{attributes}><option value=\"\">{}</option>", Esc(prompt));
    for choice in choices {
        let selected = if choice.value == value { " selected" } else { "" };
        let _ = write!(html, "<option value=\"{}\"{selected}>{}</option>", Esc(&choice.value), Esc(&choice.label));
    }
    html + "</select>"
}

fn radios(look: &Look, view: &FieldView, choices: &[Choice], radio: RadioLook) -> Halves {
    let field = view.field;
    let id = Esc(&field.id);
    let mut buttons = String::new();
    for (index, choice) in choices.iter().enumerate() {
        let required = if field.required && look.native_required { " required" } else { "" };
        let checked = if view.value == Some(choice.value.as_str()) { " checked" } else { "" };
        let input = format!(
            "<input type=\"radio\" id=\"{id}-{index}\" name=\"{}\" value=\"{}\"{required}{checked}>",
            Esc(&field.name),
            Esc(&choice.value)
        );
        let label = Esc(&choice.label);
        let _ = if field.labelling == Labelling::Wrap && radio != RadioLook::Buttons {
            write!(buttons, "<label>{input}{label}</label>")
        } else {
            write!(buttons, "<span>{input}<label for=\"{id}-{index}\">{label}</label></span>")
        };
    }
    let text = caption(look, field);
    let described = described_by(view);
    let class = if radio == RadioLook::Buttons { "pills" } else { "choices" };
    // A legend has to be inside its fieldset, so a table cannot have it in another cell.
    if radio == RadioLook::Fieldset && look.layout != Layout::Table {
        return Halves {
            caption: String::new(),
            control: format!(
                "<fieldset id=\"{id}\"{described}><legend>{text}</legend>\
                 <div class=\"{class}\">{buttons}</div></fieldset>"
            ),
        };
    }
    let required = if field.required { " aria-required=\"true\"" } else { "" };
    Halves {
        caption: format!("<div class=\"label\" id=\"{id}-label\">{text}</div>"),
        control: format!(
            "<div class=\"{class}\" role=\"radiogroup\" id=\"{id}\" tabindex=\"-1\" \
             aria-labelledby=\"{id}-label\"{required}{described}>{buttons}</div>"
        ),
    }
}

fn checkbox(look: &Look, view: &FieldView, value: &str) -> Halves {
    let field = view.field;
    let checked = if view.value.is_some() { " checked" } else { "" };
    let input = format!("<input type=\"checkbox\"{} value=\"{}\"{checked}>", attributes(look, view), Esc(value));
    let text = caption(look, field);
    let id = Esc(&field.id);
    let inner = match field.labelling {
        Labelling::Wrap => format!("<label>{input}{text}</label>"),
        Labelling::LabelledBy => format!("{input}<span id=\"{id}-label\">{text}</span>"),
        Labelling::AriaLabel => format!("{input}<span>{text}</span>"),
        Labelling::For | Labelling::Placeholder => {
            format!("{input}<label for=\"{id}\">{text}</label>")
        }
    };
    Halves { caption: String::new(), control: format!("<div class=\"tick\">{inner}</div>") }
}

fn file(look: &Look, view: &FieldView, file_look: FileLook, button: &str) -> Halves {
    let id = Esc(&view.field.id);
    let button = Esc(button);
    let input = |class: &str| format!("<input type=\"file\"{}{class} accept=\"{ACCEPT}\">", attributes(look, view));
    let hidden = || input(" class=\"undisplayed\"");
    let chosen = "<span class=\"chosen\" data-chosen>No file chosen</span>";
    let control = match file_look {
        FileLook::Visible => input(""),
        FileLook::BehindLabel => format!(
            "<div data-file>{}<label class=\"button secondary\" for=\"{id}\">{button}</label>{chosen}</div>",
            hidden()
        ),
        FileLook::BehindButton => format!(
            "<div data-file>{}<button type=\"button\" class=\"secondary\" data-opens-file>{button}</button>\
             {chosen}</div>",
            hidden()
        ),
        FileLook::Overlay => {
            format!("<div class=\"drop\" data-file><span>{button} or drop it here</span>{chosen}{}</div>", input(""))
        }
    };
    let mut halves = labelled(look, view, &control);
    if let Some(kept) = view.kept_file {
        let _ = write!(
            halves.control,
            "<p class=\"hint\">Uploaded: <strong>{}</strong>. Choose another file to replace it.</p>",
            Esc(kept)
        );
    }
    halves
}
