//! Fields: a page's controls as the questions a person sees. Radio buttons and check boxes of one question become one field. Pure.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::classify_field;
use super::field_kind::FieldKind;
use super::places;
use super::snapshot::{Control, LabelSource, Snapshot};
use super::text::{self, normal, words};
use super::values;
use super::wording::Wording;

/// A key is for people and for storing answers; longer labels are cut.
const KEY_MAX_CHARS: usize = 160;
/// Longer than this, text that merely stands next to a field is a paragraph, not its label.
const NEARBY_MAX_WORDS: usize = 40;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InputKind {
    Text,
    LongText,
    Email,
    Tel,
    Url,
    Number,
    Date,
    Password,
    Search,
    Select,
    MultiSelect,
    /// A list made of other elements; its options are not known before it opens.
    Combobox,
    Radio,
    Checkboxes,
    Checkbox,
    File,
    /// Colours, ranges and the like.
    Other,
}

impl InputKind {
    pub fn is_typed(self) -> bool {
        matches!(
            self,
            Self::Text
                | Self::LongText
                | Self::Email
                | Self::Tel
                | Self::Url
                | Self::Number
                | Self::Date
                | Self::Search
        )
    }

    pub fn is_choice(self) -> bool {
        matches!(self, Self::Select | Self::MultiSelect | Self::Combobox | Self::Radio | Self::Checkboxes)
    }

    /// As people call it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text | Self::LongText | Self::Email | Self::Tel | Self::Url | Self::Number => "text field",
            Self::Search => "search field",
            Self::Date => "date field",
            Self::Password => "password field",
            Self::Select | Self::MultiSelect | Self::Combobox => "list",
            Self::Radio => "radio button",
            Self::Checkboxes | Self::Checkbox => "check box",
            Self::File => "file field",
            Self::Other => "field",
        }
    }

    fn of(control: &Control) -> Self {
        match control.type_.as_str() {
            "textarea" | "contenteditable" => Self::LongText,
            "email" => Self::Email,
            "tel" => Self::Tel,
            "url" => Self::Url,
            "number" | "aria-spinbutton" => Self::Number,
            "date" | "month" | "datetime-local" | "week" | "time" => Self::Date,
            "password" => Self::Password,
            "search" => Self::Search,
            "select" => Self::Select,
            "select-multiple" => Self::MultiSelect,
            "aria-combobox" | "aria-listbox" => Self::Combobox,
            "radio" | "aria-radio" | "toggle" | "aria-toggle" => Self::Radio,
            "checkbox" | "aria-checkbox" | "aria-switch" => Self::Checkbox,
            "file" => Self::File,
            "color" | "range" => Self::Other,
            _ if control.role == "combobox" && control.options.is_empty() => Self::Combobox,
            _ => Self::Text,
        }
    }
}

/// Where a field's words are from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NamedBy {
    Label,
    /// The question of a group or set.
    Question,
    Nearby,
    Placeholder,
    /// A heading or paragraph above, which may be about more than this field.
    Section,
    Nothing,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldOption {
    pub label: String,
    pub value: String,
    /// The control of this option, in sets.
    pub member: Option<usize>,
    pub disabled: bool,
    pub chosen: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Field {
    /// Stable across readings of the page: the label's words, made unique within the page.
    pub key: String,
    /// Indexes of its controls in the snapshot.
    pub members: Vec<usize>,
    pub input: InputKind,
    pub label: String,
    pub named_by: NamedBy,
    pub required: bool,
    pub options: Vec<FieldOption>,
    /// The page's message about it.
    pub error: String,
    pub kind: FieldKind,
    /// 0 to 1.
    pub confidence: f32,
    pub evidence: Vec<String>,
}

impl Field {
    pub fn first<'a>(&self, page: &'a Snapshot) -> &'a Control {
        &page.controls[self.members[0]]
    }

    /// Whether something of it speaks for this kind, whatever it was taken for.
    pub fn has_vote(&self, kind: FieldKind) -> bool {
        self.evidence.iter().any(|evidence| evidence.rsplit_once(": ").is_some_and(|(_, voted)| voted == kind.as_str()))
    }

    /// What it counts as where only the type of its value matters: the second e-mail field takes an e-mail address too,
    /// and a list of countries with their dialling codes a country.
    pub fn reported(&self) -> FieldKind {
        match self.kind {
            FieldKind::ConfirmEmail => FieldKind::Email,
            FieldKind::PhoneCountryCode if self.lists_countries() => FieldKind::Country,
            kind => kind,
        }
    }

    fn lists_countries(&self) -> bool {
        let named = |label: &str| {
            let name = label.split(['+', '(']).map(str::trim).find(|part| !part.is_empty());
            name.is_some_and(|name| places::country(name).is_some())
        };
        let (countries, all) = self
            .choices()
            .fold((0, 0), |(countries, all), choice| (countries + usize::from(named(&choice.label)), all + 1));
        all > 2 && countries * 2 > all
    }

    /// A person could use it now.
    pub fn usable(&self, page: &Snapshot) -> bool {
        let stands_in =
            matches!(self.input, InputKind::File | InputKind::Radio | InputKind::Checkboxes | InputKind::Checkbox);
        self.members.iter().map(|&member| &page.controls[member]).any(|control| {
            control.enabled
                && !control.read_only
                && (control.hidden.is_empty()
                    || (stands_in && control.label_visible && control.hidden != "aria-hidden"))
        })
    }

    /// Something is written or chosen in it already.
    pub fn is_empty(&self, page: &Snapshot) -> bool {
        match self.input {
            InputKind::Radio | InputKind::Checkboxes | InputKind::Checkbox => {
                !self.options.iter().any(|option| option.chosen)
            }
            InputKind::Select => self.options.iter().find(|option| option.chosen).is_none_or(is_placeholder),
            InputKind::Combobox => says_nothing(&self.first(page).value),
            _ => self.first(page).value.trim().is_empty(),
        }
    }

    /// Options that mean something.
    pub fn choices(&self) -> impl Iterator<Item = &FieldOption> {
        self.options.iter().filter(|option| !option.disabled && !is_placeholder(option))
    }
}

/// "Select…", "--" or nothing.
pub fn is_placeholder(option: &FieldOption) -> bool {
    option.member.is_none() && says_nothing(&option.label)
}

fn says_nothing(text: &str) -> bool {
    let said = words(text);
    said.is_empty() || Wording::get().placeholder_option.iter().any(|phrase| phrase.is_whole(&said))
}

/// Every field of the page in document order, the hidden ones and decoys included, each with what it is for.
pub fn read_fields(page: &Snapshot) -> Vec<Field> {
    let mut fields = fold(page);
    classify_field::classify_all(page, &mut fields);
    make_keys(page, &mut fields);
    fields
}

fn fold(page: &Snapshot) -> Vec<Field> {
    let mut fields: Vec<Field> = Vec::new();
    let mut sets: HashMap<(&[String], &str), usize> = HashMap::new();
    for (index, control) in page.controls.iter().enumerate() {
        if !control.set.is_empty() {
            let place = *sets.entry((&control.frame, &control.set)).or_insert_with(|| {
                fields.push(set_field(control));
                fields.len() - 1
            });
            let field = &mut fields[place];
            field.members.push(index);
            field.required |=
                control.required && field.input == InputKind::Radio || says_required(&control.set_question);
            field.options.push(FieldOption {
                label: option_label(control),
                value: control.value.clone(),
                member: Some(index),
                disabled: !control.enabled,
                chosen: control.checked,
            });
            continue;
        }
        fields.push(single_field(index, control, alone_below_heading(page, control)));
    }
    fields.retain(|field| !field.first(page).type_.ends_with("toggle") || asks_by_buttons(page, field));
    fields
}

/// A heading above one field and no other may be its label.
fn alone_below_heading(page: &Snapshot, control: &Control) -> bool {
    let same = |other: &&Control| {
        other.frame == control.frame
            && other.form == control.form
            && other.section == control.section
            && other.hidden.is_empty()
    };
    !control.section.is_empty() && page.controls.iter().filter(same).take(2).count() == 1
}

/// Buttons beside each other answer a question where they are made to be pressed and stay so, or say yes and no.
fn asks_by_buttons(page: &Snapshot, field: &Field) -> bool {
    let pressed = field.members.iter().all(|&member| page.controls[member].type_ == "aria-toggle");
    let said = || field.options.iter().map(|option| values::yes_or_no(&option.label)).collect::<Vec<_>>();
    !field.label.is_empty() && (pressed || matches!(said()[..], [Some(first), Some(second)] if first != second))
}

fn set_field(control: &Control) -> Field {
    let input = if InputKind::of(control) == InputKind::Radio { InputKind::Radio } else { InputKind::Checkboxes };
    let label = [&control.set_question, &control.group, &control.nearby]
        .into_iter()
        .find(|text| !text.is_empty())
        .cloned()
        .unwrap_or_default();
    Field {
        key: String::new(),
        members: Vec::new(),
        input,
        named_by: if label.is_empty() { NamedBy::Nothing } else { NamedBy::Question },
        required: says_required(&label),
        error: error_of(control, &label),
        label,
        options: Vec::new(),
        kind: FieldKind::Unknown,
        confidence: 0.0,
        evidence: Vec::new(),
    }
}

fn single_field(index: usize, control: &Control, alone: bool) -> Field {
    let input = InputKind::of(control);
    let (label, named_by) = label_of(control, input, alone);
    let required = !says_optional(&label)
        && (control.required
            || says_required(&label)
            || says_required(&control.label)
            || container_marks_required(control, &label));
    let options = if input == InputKind::Checkbox {
        let option = FieldOption {
            label: label.clone(),
            value: control.value.clone(),
            member: Some(index),
            disabled: !control.enabled,
            chosen: control.checked,
        };
        vec![option]
    } else {
        let choice = |choice: &super::snapshot::Choice| FieldOption {
            label: choice.label.clone(),
            value: choice.value.clone(),
            member: None,
            disabled: choice.disabled,
            chosen: choice.selected,
        };
        control.options.iter().map(choice).collect()
    };
    Field {
        key: String::new(),
        members: vec![index],
        input,
        error: error_of(control, &label),
        label,
        named_by,
        required,
        options,
        kind: FieldKind::Unknown,
        confidence: 0.0,
        evidence: Vec::new(),
    }
}

fn label_of(control: &Control, input: InputKind, alone: bool) -> (String, NamedBy) {
    let nearby_is_label = !control.nearby.is_empty()
        && words(&control.nearby).len() <= NEARBY_MAX_WORDS
        && (alone && asks(&control.nearby) || words(&control.nearby) != words(&control.section));
    match control.label_source {
        LabelSource::Labelledby | LabelSource::AriaLabel | LabelSource::Label | LabelSource::Wrapping
            if !words(&control.label).is_empty() =>
        {
            (control.label.clone(), NamedBy::Label)
        }
        _ if input == InputKind::Checkbox && !control.after.is_empty() => (control.after.clone(), NamedBy::Nearby),
        _ if nearby_is_label => (control.nearby.clone(), NamedBy::Nearby),
        LabelSource::Title => (control.label.clone(), NamedBy::Label),
        LabelSource::Placeholder => (control.label.clone(), NamedBy::Placeholder),
        _ if !control.group.is_empty() => (control.group.clone(), NamedBy::Question),
        _ if !control.nearby.is_empty() => (control.nearby.clone(), NamedBy::Section),
        _ => (String::new(), NamedBy::Nothing),
    }
}

/// A heading that is a question, or that is marked as what must be answered.
fn asks(heading: &str) -> bool {
    heading.contains('?') || says_required(heading)
}

fn option_label(control: &Control) -> String {
    let named = matches!(
        control.label_source,
        LabelSource::Labelledby | LabelSource::AriaLabel | LabelSource::Label | LabelSource::Wrapping
    );
    [if named { &control.label } else { "" }, &control.after, &control.label, &control.value]
        .into_iter()
        .find(|text| !text.is_empty())
        .unwrap_or_default()
        .to_owned()
}

/// An asterisk at either end, or the word as a mark; a question may contain it otherwise.
pub fn says_required(label: &str) -> bool {
    let label = label.trim();
    let asterisk = |c: char| matches!(c, '*' | '\u{2217}' | '\u{ff0a}' | '\u{2731}');
    if label.starts_with(asterisk) || label.trim_end_matches([':', ')', '?', ' ']).ends_with(asterisk) {
        return true;
    }
    let lower = label.to_lowercase();
    let marks = [
        "(required)",
        "[required]",
        "- required",
        "\u{2013} required",
        "*required",
        "* required",
        "(mandatory)",
        ": required",
    ];
    marks.iter().any(|mark| lower.contains(mark))
        || (lower.ends_with(" required") && !lower.contains('?') && words(label).len() <= 6)
}

/// A label without its mark: the asterisk, or "(required)", "(optional)" and the like behind it.
pub fn without_mark(label: &str) -> &str {
    let asterisk = |c: char| c.is_whitespace() || matches!(c, '*' | '\u{2217}' | '\u{ff0a}' | '\u{2731}');
    let mut bare = label.trim_matches(asterisk);
    let opening = if bare.ends_with(')') { '(' } else { '[' };
    if bare.ends_with([')', ']'])
        && let Some((text, mark)) = bare.rsplit_once(opening)
    {
        let mark = words(mark);
        let optional = Wording::get().optional.iter().any(|phrase| phrase.is_whole(&mark));
        if mark.is_empty() || optional || matches!(mark.as_slice(), [word] if word == "required" || word == "mandatory")
        {
            bare = text.trim_matches(asterisk);
        }
    }
    if bare.is_empty() { label } else { bare }
}

fn says_optional(label: &str) -> bool {
    text::any(&Wording::get().optional, &words(label))
}

/// The page's message, marked as one or recognised by its words beside the label.
fn error_of(control: &Control, label: &str) -> String {
    if !control.error.is_empty() {
        return control.error.clone();
    }
    let rest = control.own_text.replacen(label, " ", 1);
    let missing = text::any(&Wording::get().missing, &words(&rest));
    if missing { rest.split_whitespace().collect::<Vec<_>>().join(" ") } else { String::new() }
}

/// The asterisk may be an element of its own beside a label that does not contain it.
fn container_marks_required(control: &Control, label: &str) -> bool {
    control.container.len() <= label.len() + 15 && says_required(&control.container)
}

fn make_keys(page: &Snapshot, fields: &mut [Field]) {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let base = |text: &str| normal(text).chars().take(KEY_MAX_CHARS).collect::<String>();
    let labels: Vec<String> = fields.iter().map(|field| base(&field.label)).collect();
    for (place, field) in fields.iter_mut().enumerate() {
        let twin = labels.iter().enumerate().any(|(other, label)| other != place && *label == labels[place]);
        let first = field.first(page);
        let around =
            if first.group.is_empty() || base(&first.group) == labels[place] { &first.section } else { &first.group };
        let mut key = match (labels[place].is_empty(), twin) {
            (true, _) => base(&format!("{} {}", first.name, first.placeholder)),
            (false, true) if !around.is_empty() => format!("{} {}", base(around), labels[place]),
            _ => labels[place].clone(),
        };
        if key.is_empty() {
            "field".clone_into(&mut key);
        }
        let count = seen.entry(key.clone()).or_default();
        *count += 1;
        field.key = if *count == 1 { key } else { format!("{key} {count}") };
    }
}

#[cfg(test)]
mod tests {
    use super::{says_required, without_mark};

    #[test]
    fn people_are_asked_without_the_mark() {
        for label in
            ["Why us?", "Why us? *", "* Why us?", "Why us? (required)", "Why us? (Required) *", "Why us? [optional]"]
        {
            assert_eq!(without_mark(label), "Why us?", "{label}");
        }
        assert_eq!(without_mark("Location (city)"), "Location (city)");
        assert_eq!(without_mark("*"), "*");
    }

    #[test]
    fn a_mark_is_told_from_a_word() {
        for label in ["Name *", "* Name", "Name*:", "Name (required)", "Email required", "Name (*)"] {
            assert!(says_required(label), "{label}");
        }
        for label in [
            "Name",
            "Is sponsorship required?",
            "Describe what is required of a good leader",
            "Rate 5* hotels you know",
        ] {
            assert!(!says_required(label), "{label}");
        }
    }
}
