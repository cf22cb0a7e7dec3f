//! One question of a form and the control that asks it.

use serde::Serialize;

use crate::meaning::Meaning;

#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    pub meaning: Meaning,
    pub name: String,
    pub id: String,
    /// Without any mark for required or optional.
    pub label: String,
    pub hint: Option<&'static str>,
    pub placeholder: Option<&'static str>,
    pub required: bool,
    pub control: Control,
    pub labelling: Labelling,
    pub rule: Rule,
    /// Asked only when this holds.
    pub when: Option<Condition>,
}

/// Another field that is asked, and its canonical answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Condition {
    pub meaning: Meaning,
    pub is: &'static str,
}

impl Field {
    pub fn is_file(&self) -> bool {
        matches!(self.control, Control::File { .. })
    }

    pub fn choices(&self) -> &[Choice] {
        match &self.control {
            Control::Select { choices, .. } | Control::Radio { choices, .. } => choices,
            _ => &[],
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum Control {
    Line {
        kind: LineKind,
    },
    Area,
    Select {
        choices: Vec<Choice>,
        prompt: &'static str,
    },
    Radio {
        choices: Vec<Choice>,
        look: RadioLook,
    },
    /// Sends `value` when ticked and nothing otherwise.
    Checkbox {
        value: &'static str,
    },
    File {
        look: FileLook,
        button: &'static str,
    },
}

impl Control {
    /// The kind of control in one word, as tests name it.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Line { .. } => "line",
            Self::Area => "area",
            Self::Select { .. } => "select",
            Self::Radio { .. } => "radio",
            Self::Checkbox { .. } => "checkbox",
            Self::File { .. } => "file",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineKind {
    Text,
    Email,
    Phone,
    Url,
    Date,
}

impl LineKind {
    pub fn html_type(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Email => "email",
            Self::Phone => "tel",
            Self::Url => "url",
            Self::Date => "date",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Choice {
    pub label: String,
    /// What the form sends.
    pub value: String,
    /// What it means, whatever the seed calls it: `yes`, `no`, or a country's common name.
    pub canonical: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RadioLook {
    /// Radio buttons in a fieldset with a legend.
    Fieldset,
    /// Radio buttons in an element with the role of a radio group.
    Group,
    /// Invisible radio buttons behind labels that look like buttons.
    Buttons,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FileLook {
    /// The browser's own control.
    Visible,
    /// Not displayed; a label opens it.
    BehindLabel,
    /// Fully transparent over a drop area.
    Overlay,
    /// Not displayed; a button opens it by script.
    BehindButton,
}

/// Where a control's accessible name comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Labelling {
    /// `<label for>`.
    For,
    /// The label wraps the control.
    Wrap,
    /// `aria-labelledby`.
    LabelledBy,
    /// `aria-label`, beside a caption that is not connected to the control.
    AriaLabel,
    /// Nothing but a placeholder.
    Placeholder,
}

/// What the server accepts in a field that is not empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    Any,
    Email,
    /// The same as the e-mail address.
    SameEmail,
    /// At least six digits.
    Phone,
    /// Begins with `+` and a country code.
    PhoneInternational,
    /// A web address; its scheme may be left out.
    Address,
    /// A web address that begins with `http://` or `https://`.
    AddressWithScheme,
    PostalCode,
    /// `YYYY-MM-DD`, as date controls send it.
    Date,
    /// One of the control's own values.
    Choice,
    /// A file with the extension of a text document.
    Document,
}
