//! What stands between the browser and the form and is for a person: a login, a code that was sent, a puzzle. Pure.
//!
//! An obstacle says what to ask the person and where the answers go; it never holds an answer. `unlock` types them.

use serde::{Deserialize, Serialize};

use super::barrier::{self, Barrier, is_box, is_password};
use super::buttons::NextButton;
use super::captcha_widget;
use super::field::{Field, InputKind, read_fields, without_mark};
use super::field_kind::FieldKind;
use super::page_kind::{PageKind, classify};
use super::snapshot::Snapshot;
use super::text::{self, words};
use super::wording::Wording;
use crate::browser::Selectors;

/// A prompt is a few sentences.
const PROMPT_MAX_CHARS: usize = 500;
const LINE_MAX_CHARS: usize = 240;
const LINES_MAX: usize = 4;
/// A code's field without a label, or the one that stands for its boxes.
const CODE_LABEL: &str = "Code";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ObstacleKind {
    Captcha,
    Login,
    Code,
}

/// What is asked of a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObstacleField {
    /// Name the answer by this; unique within the obstacle, and the same when the page is read again.
    pub key: String,
    pub label: String,
    /// Never to be shown, logged or stored in the clear.
    pub secret: bool,
    /// Hints and messages of the page beside it.
    pub help: String,
    /// Where the answer goes: one element, or one for each of its characters.
    pub targets: Vec<Selectors>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Obstacle {
    pub kind: ObstacleKind,
    /// What the page says, for the person.
    pub prompt: String,
    /// Empty where nothing can be typed: the puzzle is solved in the browser itself.
    pub fields: Vec<ObstacleField>,
    /// Whose puzzle it is, where it is a vendor's.
    pub vendor: Option<String>,
    /// Hands the answers in.
    pub button: Option<NextButton>,
}

impl Obstacle {
    /// Whether it is the same one, asking the same again.
    pub fn asks_the_same(&self, other: &Self) -> bool {
        let keys = |obstacle: &Self| obstacle.fields.iter().map(|field| field.key.clone()).collect::<Vec<_>>();
        self.kind == other.kind && self.vendor == other.vendor && keys(self) == keys(other)
    }

    /// Where the document is that it stands in: the way to its frame.
    pub fn frame(&self) -> &[String] {
        let field = self.fields.iter().flat_map(|field| &field.targets).map(|target| target.frame.as_slice()).next();
        field.or_else(|| self.button.as_ref().map(|button| button.action.target.frame.as_slice())).unwrap_or_default()
    }
}

/// What is in the way of going on; `None` where the page can be gone on with. A vendor's puzzle inside a form is an obstacle only once the
/// page speaks of it: most of them let everybody pass.
pub fn obstacle(page: &Snapshot) -> Option<Obstacle> {
    let fields = read_fields(page);
    let report = classify(page);
    let kind = match report.kind {
        PageKind::Captcha => ObstacleKind::Captcha,
        PageKind::Login => ObstacleKind::Login,
        PageKind::Code => ObstacleKind::Code,
        PageKind::Form | PageKind::Step | PageKind::Review if widget_is_asked_for(page, &fields) => {
            return Some(of_widget(page));
        }
        _ => return None,
    };
    // A puzzle over a page belongs to the vendor, whatever form is behind it.
    if kind == ObstacleKind::Captcha && captcha_widget::challenge(page).is_some() {
        return Some(of_widget(page));
    }
    let Some(barrier) = Barrier::of(page, &fields).filter(|barrier| barrier.kind == report.kind) else {
        let vendor = captcha_widget::shown(page).filter(|_| kind == ObstacleKind::Captcha);
        return Some(Obstacle {
            kind,
            prompt: prompt(page, kind, &[]),
            fields: Vec::new(),
            vendor: vendor.and_then(|frame| captcha_widget::vendor(&frame.src)).map(str::to_owned),
            button: None,
        });
    };
    let asked = fields_of(page, &fields, &barrier);
    Some(Obstacle {
        kind,
        prompt: prompt(page, kind, &asked),
        fields: asked,
        vendor: None,
        button: barrier::button(page, &barrier),
    })
}

fn of_widget(page: &Snapshot) -> Obstacle {
    let frame = captcha_widget::challenge(page).or_else(|| captcha_widget::shown(page));
    Obstacle {
        kind: ObstacleKind::Captcha,
        prompt: prompt(page, ObstacleKind::Captcha, &[]),
        fields: Vec::new(),
        vendor: frame.and_then(|frame| captcha_widget::vendor(&frame.src)).map(str::to_owned),
        button: None,
    }
}

/// A vendor's box is shown, and a message of the page is about it.
fn widget_is_asked_for(page: &Snapshot, fields: &[Field]) -> bool {
    let wording = Wording::get();
    let about = |message: &str| {
        let said = words(message);
        text::any(wording.page("captcha"), &said)
            || text::any(wording.page("puzzle"), &said)
            || said.iter().any(|word| word.contains("captcha") || word == "robot" || word == "human")
    };
    captcha_widget::shown(page).is_some()
        && (page.alerts.iter().any(|alert| about(alert)) || fields.iter().any(|field| about(&field.error)))
}

fn fields_of(page: &Snapshot, fields: &[Field], barrier: &Barrier) -> Vec<ObstacleField> {
    let own: Vec<&Field> = barrier
        .fields
        .iter()
        .map(|&index| &fields[index])
        .filter(|field| field.input.is_typed() || is_password(field))
        .filter(|field| !matches!(field.kind, FieldKind::Honeypot | FieldKind::Search | FieldKind::Newsletter))
        .collect();
    let (boxes, single): (Vec<&Field>, Vec<&Field>) = own.into_iter().partition(|field| is_box(page, field));
    let target = |field: &Field| {
        let control = field.first(page);
        Selectors { frame: control.frame.clone(), candidates: control.selectors.clone() }
    };
    let mut asked: Vec<ObstacleField> = single
        .into_iter()
        // An address the code was sent to is shown for information.
        .filter(|field| barrier.kind == PageKind::Login || field.is_empty(page) || !is_address(field.kind))
        .map(|field| ObstacleField {
            key: field.key.clone(),
            label: label_of(field, barrier.kind),
            secret: is_password(field)
                || barrier.kind == PageKind::Code && !is_address(field.kind)
                || field.kind == FieldKind::Totp,
            help: help_of(page, field),
            targets: vec![target(field)],
        })
        .collect();
    if !boxes.is_empty() {
        asked.push(ObstacleField {
            key: CODE_LABEL.to_lowercase(),
            label: CODE_LABEL.into(),
            secret: true,
            help: help_of(page, boxes[0]),
            targets: boxes.into_iter().map(target).collect(),
        });
    }
    asked
}

fn is_address(kind: FieldKind) -> bool {
    matches!(kind, FieldKind::Email | FieldKind::ConfirmEmail | FieldKind::UsernameOrEmail | FieldKind::Phone)
}

/// Where nothing but the page's heading says what belongs into it, a word that does.
fn label_of(field: &Field, kind: PageKind) -> String {
    let label = without_mark(&field.label).trim();
    match (label.is_empty(), field.input) {
        (false, _) => label.chars().take(LINE_MAX_CHARS).collect(),
        (true, InputKind::Password) => "Password".into(),
        (true, _) if kind == PageKind::Code => CODE_LABEL.into(),
        (true, _) => "Answer".into(),
    }
}

fn help_of(page: &Snapshot, field: &Field) -> String {
    let control = field.first(page);
    let parts = [control.description.as_str(), field.error.as_str()].into_iter().filter(|text| !text.is_empty());
    parts.collect::<Vec<_>>().join(" ").chars().take(LINE_MAX_CHARS).collect()
}

/// The page's heading, its messages and the lines that are about the obstacle.
fn prompt(page: &Snapshot, kind: ObstacleKind, fields: &[ObstacleField]) -> String {
    let wording = Wording::get();
    let names: &[&str] = match kind {
        ObstacleKind::Captcha => &["captcha", "puzzle"],
        ObstacleKind::Login => &["login", "login_wall"],
        ObstacleKind::Code => &["code"],
    };
    let heading = page.headings.first().map(|heading| heading.text.as_str()).or(Some(page.title.as_str()));
    let about = page.text.lines().filter(|line| {
        let said = words(line);
        names.iter().any(|name| text::any(wording.page(name), &said))
    });
    let labels = fields.iter().map(|field| field.label.as_str());
    let mut lines: Vec<String> = Vec::new();
    for line in heading.into_iter().chain(page.alerts.iter().map(String::as_str)).chain(about).chain(labels) {
        let line: String = line.trim().chars().take(LINE_MAX_CHARS).collect();
        if !line.is_empty() && !lines.iter().any(|known| known.contains(&line)) && lines.len() < LINES_MAX {
            lines.push(line);
        }
    }
    lines.join("\n").chars().take(PROMPT_MAX_CHARS).collect()
}
