//! A vendor's questions as a page has them, and the answers as the vendor takes them. Pure.

use std::path::Path;

use crate::browser::ActionValue;
use crate::form::Plan;
use crate::form::snapshot::{Choice, Control, FormInfo, Heading, LabelSource, Rect, Snapshot};

/// What a job asks.
#[derive(Clone, Debug)]
pub struct JobForm {
    pub title: Option<String>,
    pub company: Option<String>,
    /// Where people see the job.
    pub url: String,
    pub page: Snapshot,
    /// What the interface cannot carry although the job requires it.
    pub unfit: Option<String>,
    /// Endings of the names of files that it takes; empty: any.
    pub file_kinds: &'static [&'static str],
}

/// One answer, by the name of its field.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    pub name: String,
    pub value: EntryValue,
}

#[derive(Clone, PartialEq, Eq)]
pub enum EntryValue {
    Text(String),
    /// A file, by its id.
    File(String),
}

/// A question to be.
pub(super) struct Ask<'a> {
    /// What the vendor calls the field.
    pub name: &'a str,
    pub label: &'a str,
    /// As HTML calls such fields: `text`, `textarea`, `email`, `tel`, `file`, `select`, `select-multiple`, `checkbox`, `date`, `number`.
    pub kind: &'a str,
    pub required: bool,
    /// What is sent, and what people read.
    pub options: Vec<(String, String)>,
}

/// A page that asks these.
pub(super) fn page(url: &str, title: &str, asked: &[Ask<'_>]) -> Snapshot {
    let controls = asked.iter().enumerate().map(|(index, ask)| control(index, ask)).collect();
    Snapshot {
        url: url.to_owned(),
        title: title.to_owned(),
        ready: "complete".to_owned(),
        headings: vec![Heading { level: 1, text: title.to_owned() }],
        controls,
        forms: vec![FormInfo { visible: true, ..FormInfo::default() }],
        ..Snapshot::default()
    }
}

fn control(index: usize, ask: &Ask<'_>) -> Control {
    const HEIGHT: i32 = 40;
    let order = u32::try_from(index).unwrap_or(u32::MAX);
    Control {
        order,
        selectors: vec![ask.name.to_owned()],
        tag: if ask.kind == "textarea" || ask.kind.starts_with("select") { ask.kind } else { "input" }.to_owned(),
        type_: ask.kind.to_owned(),
        label: ask.label.to_owned(),
        label_source: LabelSource::Label,
        required: ask.required,
        tab_stop: true,
        options: ask
            .options
            .iter()
            .map(|(value, label)| Choice { value: value.clone(), label: label.clone(), ..Choice::default() })
            .collect(),
        label_visible: true,
        enabled: true,
        form: Some(0),
        multiple: ask.kind == "select-multiple",
        rect: Rect {
            x: 0,
            y: HEIGHT.saturating_mul(i32::try_from(index).unwrap_or(i32::MAX)),
            width: 400,
            height: HEIGHT,
        },
        ..Control::default()
    }
}

/// What a plan writes, by the names that the fields have at the vendor.
pub fn entries(plan: &Plan) -> Vec<Entry> {
    let actions = plan.pending().flat_map(|fill| &fill.actions);
    let mut entries = Vec::new();
    for action in actions {
        let Some(name) = action.target.candidates.first() else { continue };
        let mut push = |value| entries.push(Entry { name: name.clone(), value });
        match &action.value {
            Some(ActionValue::Text(text)) => push(EntryValue::Text(text.clone())),
            Some(ActionValue::Options(options)) => {
                for option in options {
                    push(EntryValue::Text(option.value.clone().unwrap_or_else(|| option.label.clone())));
                }
            }
            Some(ActionValue::Checked(yes)) => push(EntryValue::Text(yes.to_string())),
            Some(ActionValue::File(path)) => push(EntryValue::File(path.display().to_string())),
            Some(ActionValue::Key(_) | ActionValue::WaitMs(_)) | None => {}
        }
    }
    entries
}

/// Whether a vendor that takes only some kinds of files takes this one.
pub fn is_taken(kinds: &[&str], filename: &str) -> bool {
    let ending = Path::new(filename).extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    kinds.is_empty() || kinds.iter().any(|kind| ending.eq_ignore_ascii_case(kind))
}
