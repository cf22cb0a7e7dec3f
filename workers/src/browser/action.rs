//! Actions as data: what to do, to which element, with which value. An action replays without anybody deciding anew.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::instruction::Words;
use crate::form::Snapshot;

/// Ways to find one element: frames to enter from the top, then selectors of which the first that finds exactly one element counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Selectors {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub frame: Vec<String>,
    /// CSS; ` >>> ` enters an open shadow root.
    pub candidates: Vec<String>,
}

impl Selectors {
    pub fn css(selector: &str) -> Self {
        Self { frame: Vec::new(), candidates: vec![selector.to_owned()] }
    }
}

impl fmt::Display for Selectors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.candidates.first().map_or("(nothing)", String::as_str))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionKind {
    Click,
    Fill,
    Select,
    Check,
    Upload,
    Press,
    Scroll,
    Wait,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    pub kind: ActionKind,
    #[serde(default)]
    pub target: Selectors,
    /// For people and for finding the element anew; the element's own name, never a value.
    #[serde(default)]
    pub description: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<ActionValue>,
}

/// What an action writes. Its `Debug` tells the kind only: values are personal.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionValue {
    Text(String),
    /// One option, or several of a multiple choice.
    Options(Vec<OptionChoice>),
    Checked(bool),
    /// A path on the browser's machine.
    File(PathBuf),
    Key(Key),
    WaitMs(u64),
}

impl fmt::Debug for ActionValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text(_) => "Text(…)",
            Self::Options(_) => "Options(…)",
            Self::Checked(_) => "Checked(…)",
            Self::File(_) => "File(…)",
            Self::Key(_) => "Key(…)",
            Self::WaitMs(_) => "WaitMs(…)",
        })
    }
}

/// An option by what it shows and, where the page tells it beforehand, by its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OptionChoice {
    pub label: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Key {
    Enter,
    Tab,
    Escape,
    Space,
    ArrowDown,
    ArrowUp,
}

impl Key {
    /// WebDriver §17.4.2, keyboard actions.
    pub(super) fn code(self) -> &'static str {
        match self {
            Self::Enter => "\u{e007}",
            Self::Tab => "\u{e004}",
            Self::Escape => "\u{e00c}",
            Self::Space => " ",
            Self::ArrowDown => "\u{e015}",
            Self::ArrowUp => "\u{e013}",
        }
    }
}

/// What [`super::BrowserAgent::act`] is given.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Instruction {
    Action(Action),
    Words(Words),
}

impl From<Words> for Instruction {
    fn from(words: Words) -> Self {
        Self::Words(words)
    }
}

impl From<Action> for Instruction {
    fn from(action: Action) -> Self {
        Self::Action(action)
    }
}

/// What an action did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acted {
    /// It was read back from the page and is as wanted. False for actions that have nothing to read back.
    pub verified: bool,
    /// The page's own complaint about the value (constraint validation), empty when it has none.
    pub complaint: String,
}

/// What became of an action that was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replayed {
    pub acted: Acted,
    /// To be kept in its place.
    pub healed: Option<Action>,
}

/// The visible, enabled controls, buttons and links of a page as actions without values.
pub fn observe(page: &Snapshot) -> Vec<Action> {
    let controls =
        page.controls
            .iter()
            .filter(|control| control.enabled && (control.hidden.is_empty() || control.label_visible))
            .map(|control| {
                let kind = match control.type_.as_str() {
                    "select" | "select-multiple" | "aria-combobox" | "aria-listbox" => ActionKind::Select,
                    "checkbox" | "radio" | "aria-checkbox" | "aria-radio" | "aria-switch" | "toggle"
                    | "aria-toggle" => ActionKind::Check,
                    "file" => ActionKind::Upload,
                    _ => ActionKind::Fill,
                };
                let description =
                    [&control.label, &control.nearby, &control.name].into_iter().find(|text| !text.is_empty());
                (control.order, kind, &control.frame, &control.selectors, description.cloned().unwrap_or_default())
            });
    let buttons = page
        .buttons
        .iter()
        .filter(|button| button.enabled && button.hidden.is_empty())
        .map(|button| (button.order, ActionKind::Click, &button.frame, &button.selectors, button.text.clone()));
    let mut found: Vec<_> = controls.chain(buttons).collect();
    found.sort_by_key(|(order, ..)| *order);
    found
        .into_iter()
        .map(|(_, kind, frame, candidates, description)| Action {
            kind,
            target: Selectors { frame: frame.clone(), candidates: candidates.clone() },
            description,
            value: None,
        })
        .collect()
}
