//! What one page said at one moment, as read by `snapshot.js`: plain data, so that everything decided from it is tested without a browser.

use serde::{Deserialize, Serialize};

use super::captcha_widget;

/// The script that reads one document; runs as a function's body in the page.
pub const SNAPSHOT_JS: &str =
    concat!(include_str!("../browser/loading.js"), include_str!("elements.js"), include_str!("snapshot.js"));

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Snapshot {
    pub url: String,
    pub title: String,
    pub lang: String,
    /// HTTP status of the document, where the browser tells it.
    pub status: Option<u16>,
    /// When the document began to load, in milliseconds since the Unix epoch: another value is another document.
    pub loaded_at: f64,
    pub ready: String,
    pub headings: Vec<Heading>,
    /// Visible text, bounded.
    pub text: String,
    pub controls: Vec<Control>,
    pub buttons: Vec<Button>,
    pub forms: Vec<FormInfo>,
    pub frames: Vec<Frame>,
    /// Messages the page announces: alerts and error summaries.
    pub alerts: Vec<String>,
    pub json_ld: Vec<serde_json::Value>,
    pub pairs: Vec<Pair>,
    /// A bound was met; what is beyond it was not read.
    pub truncated: bool,
    /// The document says that something of it is still on its way.
    pub loading: bool,
    /// Nothing but its visitor changes the document: it runs no script and moves nothing.
    pub inert: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heading {
    pub level: u8,
    pub text: String,
}

/// One `input`, `select`, `textarea`, editable element or ARIA widget. Radio buttons and check boxes are one control each; those of one
/// question share `set`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Control {
    /// Place in document order, counted together with buttons.
    pub order: u32,
    /// Frames to enter from the top, one selector each.
    pub frame: Vec<String>,
    /// Each alone finds this element within its frame; ` >>> ` enters a shadow root.
    pub selectors: Vec<String>,
    pub tag: String,
    /// `input`'s type; else `select`, `select-multiple`, `textarea`, `contenteditable` or `aria-{role}`.
    #[serde(rename = "type")]
    pub type_: String,
    pub role: String,
    pub name: String,
    pub id: String,
    /// `data-control`: what whoever saved the page calls it.
    pub mark: String,
    /// Accessible name.
    pub label: String,
    pub label_source: LabelSource,
    pub autocomplete: String,
    pub placeholder: String,
    /// What stood in a field to type in before anybody wrote there.
    pub preset: String,
    pub title: String,
    pub input_mode: String,
    pub pattern: String,
    pub max_length: Option<u32>,
    pub min: String,
    pub max: String,
    pub accept: String,
    pub multiple: bool,
    /// By attribute, ARIA or a generated asterisk; the wording of labels is judged later.
    pub required: bool,
    pub read_only: bool,
    /// False when it was taken out of the tab order.
    pub tab_stop: bool,
    pub options: Vec<Choice>,
    pub value: String,
    pub checked: bool,
    /// Why it cannot be seen; empty when it can.
    pub hidden: String,
    /// Its label or the button that stands for it can be seen.
    pub label_visible: bool,
    pub enabled: bool,
    /// Question of the nearest named `fieldset` or ARIA group.
    pub group: String,
    pub set: String,
    pub set_question: String,
    /// Text that stands before it.
    pub nearby: String,
    /// Text that follows it, for check boxes and radio buttons.
    pub after: String,
    /// Text of the smallest element around it that has any.
    pub container: String,
    /// Nearest heading above.
    pub section: String,
    pub description: String,
    pub error: String,
    /// Everything said in the largest element around it that holds no other control.
    pub own_text: String,
    pub invalid: bool,
    /// The browser's own complaint (constraint validation), which stops a form before anything is sent.
    pub native_error: String,
    pub form: Option<usize>,
    pub landmark: String,
    /// Telling words in the ids and classes around it.
    pub context: Vec<String>,
    pub rect: Rect,
    /// A picture or a sound stands beside it.
    pub picture: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LabelSource {
    Labelledby,
    AriaLabel,
    /// `label for`.
    Label,
    /// A label around it.
    Wrapping,
    Title,
    Placeholder,
    #[default]
    None,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Choice {
    pub value: String,
    pub label: String,
    pub disabled: bool,
    pub selected: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rect {
    pub x: i32,
    pub y: i32,
    pub width: i32,
    pub height: i32,
}

impl Rect {
    pub fn area(&self) -> i64 {
        i64::from(self.width.max(0)) * i64::from(self.height.max(0))
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Button {
    pub order: u32,
    pub frame: Vec<String>,
    pub selectors: Vec<String>,
    pub tag: String,
    /// `submit`, `button`, `reset` or `link`.
    #[serde(rename = "type")]
    pub type_: String,
    pub text: String,
    pub name: String,
    pub id: String,
    pub value: String,
    pub href: String,
    pub hidden: String,
    pub enabled: bool,
    pub form: Option<usize>,
    pub landmark: String,
    pub context: Vec<String>,
    pub section: String,
    pub rect: Rect,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FormInfo {
    pub id: String,
    pub name: String,
    pub label: String,
    pub action: String,
    pub method: String,
    pub role: String,
    pub landmark: String,
    pub context: Vec<String>,
    pub visible: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Frame {
    pub path: Vec<String>,
    pub src: String,
    pub title: String,
    pub hidden: String,
    pub rect: Rect,
    /// Read along with its parent; frames of other origins are read by entering them.
    pub readable: bool,
    /// When its document began to load, as in [`Snapshot::loaded_at`]; 0 where it was not read.
    pub loaded_at: f64,
    /// What it says, its own frames left out; empty where it was not read.
    pub text: String,
    pub landmark: String,
    /// Telling words in its own names and in those around it.
    pub context: Vec<String>,
}

/// A label and its value as the page shows them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair {
    pub label: String,
    pub value: String,
    /// `microdata`, `dl`, `table` or `text`.
    pub source: String,
}

/// Frames of other origins that are worth entering: visible and large enough to hold a form.
const FRAME_MIN_AREA: i64 = 20_000;

impl Snapshot {
    /// Frames that were not read along and may hold a form.
    pub fn unread_frames(&self) -> impl Iterator<Item = &Frame> {
        self.frames.iter().filter(|frame| {
            !frame.readable
                && frame.loaded_at == 0.0
                && frame.hidden.is_empty()
                && frame.rect.area() >= FRAME_MIN_AREA
                && !frame.path.is_empty()
                && captcha_widget::vendor(&frame.src).is_none()
        })
    }

    /// When the document of the page or of a frame, given by the way to it, began to load; `None` where it was not read.
    pub fn loaded_at_of(&self, frame: &[String]) -> Option<f64> {
        if frame.is_empty() {
            return Some(self.loaded_at);
        }
        self.frame(frame).map(|frame| frame.loaded_at).filter(|at| *at > 0.0)
    }

    pub fn frame(&self, path: &[String]) -> Option<&Frame> {
        self.frames.iter().find(|frame| frame.path == path)
    }

    /// Adds what was read inside a frame of another origin, entered by `path`.
    pub fn merge_frame(&mut self, path: &[String], inner: Self) {
        let order = self
            .controls
            .iter()
            .map(|c| c.order)
            .chain(self.buttons.iter().map(|b| b.order))
            .max()
            .map_or(0, |last| last + 1);
        let forms = self.forms.len();
        if let Some(frame) = self.frames.iter_mut().find(|frame| frame.path == path) {
            frame.loaded_at = inner.loaded_at;
            frame.text.clone_from(&inner.text);
        }
        let prefixed = |inner: &[String]| path.iter().chain(inner).cloned().collect::<Vec<_>>();
        let set = |name: String| if name.is_empty() { name } else { format!("{}|{name}", path.join("|")) };
        self.controls.extend(inner.controls.into_iter().map(|control| Control {
            order: control.order + order,
            frame: prefixed(&control.frame),
            form: control.form.map(|form| form + forms),
            set: set(control.set),
            ..control
        }));
        self.buttons.extend(inner.buttons.into_iter().map(|button| Button {
            order: button.order + order,
            frame: prefixed(&button.frame),
            form: button.form.map(|form| form + forms),
            ..button
        }));
        self.forms.extend(inner.forms);
        self.headings.extend(inner.headings);
        self.alerts.extend(inner.alerts);
        self.json_ld.extend(inner.json_ld);
        self.pairs.extend(inner.pairs);
        self.frames.extend(inner.frames.into_iter().map(|frame| Frame { path: prefixed(&frame.path), ..frame }));
        if !inner.text.is_empty() {
            self.text = format!("{}\n{}", self.text, inner.text);
        }
        self.truncated |= inner.truncated;
        self.loading |= inner.loading;
    }
}
