//! How a form looks and behaves, apart from what it asks.

use serde::Serialize;

use super::FormKind;
use super::field::{FileLook, Labelling};
use super::naming::{IdStyle, NameStyle};
use crate::draw::Draw;
use crate::wording;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    Stacked,
    /// Two columns of fields.
    Grid,
    /// A table with labels on the left.
    Table,
}

/// How required fields are told from optional ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    Asterisk,
    /// An asterisk that assistive technology does not read.
    HiddenAsterisk,
    Word,
    /// Optional fields say so, required ones say nothing.
    OptionalWord,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorPlace {
    Inline,
    Summary,
    Both,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FactStyle {
    DefinitionList,
    Table,
    Lines,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Look {
    pub accent: &'static str,
    pub layout: Layout,
    /// Elements around each field that mean nothing.
    pub soup_depth: u32,
    pub labelling: Labelling,
    /// Some fields are labelled in another way than most.
    pub mixed_labelling: bool,
    pub mark: Mark,
    pub native_required: bool,
    pub autocomplete: bool,
    pub placeholders: bool,
    pub file_look: FileLook,
    pub errors: ErrorPlace,
    pub summary_title: &'static str,
    pub missing: &'static str,
    /// Which of the two wordings of a message is used.
    pub tone: usize,
    pub facts: FactStyle,
    pub fieldset_sections: bool,
    /// The send button is an `<input>` instead of a `<button>`.
    pub input_buttons: bool,
    pub names: NameStyle,
    pub ids: IdStyle,
}

/// Dark enough for white text on it.
const ACCENTS: &[&str] = &["#1f5fbf", "#0b6e4f", "#7a3e9d", "#a33b20", "#2b4c5e", "#8a1c4a", "#4a4e00"];

impl Look {
    pub fn draw(draw: &mut Draw) -> Self {
        let layout = draw.pick(&[Layout::Stacked, Layout::Stacked, Layout::Grid, Layout::Table]);
        Self {
            accent: draw.pick(ACCENTS),
            layout,
            soup_depth: draw.number(0..5),
            labelling: draw.pick(&[
                Labelling::For,
                Labelling::For,
                Labelling::Wrap,
                Labelling::LabelledBy,
                Labelling::AriaLabel,
            ]),
            mixed_labelling: draw.chance(35),
            mark: draw.pick(&[Mark::Asterisk, Mark::HiddenAsterisk, Mark::Word, Mark::OptionalWord]),
            native_required: draw.chance(50),
            autocomplete: draw.chance(40),
            placeholders: draw.chance(30),
            file_look: draw.pick(&[
                FileLook::Visible,
                FileLook::BehindLabel,
                FileLook::Overlay,
                FileLook::BehindButton,
            ]),
            errors: draw.pick(&[ErrorPlace::Inline, ErrorPlace::Summary, ErrorPlace::Both]),
            summary_title: draw.pick(wording::SUMMARY_TITLES),
            missing: draw.pick(wording::MISSING),
            tone: draw.number(0..2) as usize,
            facts: draw.pick(&[FactStyle::DefinitionList, FactStyle::Table, FactStyle::Lines]),
            fieldset_sections: draw.chance(30),
            input_buttons: draw.chance(25),
            names: draw.pick(&NameStyle::ALL),
            ids: draw.pick(&IdStyle::ALL),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Behaviour {
    /// The visit travels in a cookie instead of a hidden field.
    pub cookie: bool,
    /// The hidden field that carries the visit when no cookie does.
    pub visit_name: &'static str,
    /// The name of the buttons that tell sending from going back.
    pub intent_name: &'static str,
    /// A refused page is answered with 422 instead of 200.
    pub refused_with_422: bool,
    /// Uploaded files survive a refused page.
    pub keeps_files: bool,
    /// Sending redirects to the confirmation instead of answering with it.
    pub confirms_by_redirect: bool,
    /// Going back is a link instead of a button that keeps what was typed.
    pub back_is_link: bool,
    pub apply_is_button: bool,
}

impl Behaviour {
    pub fn draw(draw: &mut Draw, form: FormKind) -> Self {
        let cookie = draw.chance(50);
        let keeps_files = draw.chance(50);
        Self {
            cookie: match form {
                FormKind::Steps | FormKind::Check | FormKind::Code => cookie,
                // The site remembers who was there.
                FormKind::Double | FormKind::Login => true,
                // The one-page form is a visit per opened page, so that a reload starts over.
                _ => false,
            },
            visit_name: draw.pick(&["visit", "session_token", "authenticity_token", "_token"]),
            intent_name: draw.pick(&["intent", "_action", "commit"]),
            refused_with_422: draw.chance(50),
            keeps_files: form == FormKind::Steps || keeps_files,
            confirms_by_redirect: draw.chance(60),
            back_is_link: draw.chance(40),
            apply_is_button: draw.chance(35),
        }
    }
}

/// Things on the page that an applicant must leave alone.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Decoys {
    pub newsletter: bool,
    pub search: bool,
    pub language: bool,
    pub login: bool,
    pub draft: bool,
    pub cancel: bool,
    /// The other buttons stand before the one that sends.
    pub decoys_first: bool,
    pub honeypot: Option<Honeypot>,
}

/// A field that people do not see; whoever fills it is not one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Honeypot {
    pub name: String,
    pub label: &'static str,
    /// Not displayed at all, instead of placed outside the window.
    pub undisplayed: bool,
}

impl Decoys {
    pub fn draw(draw: &mut Draw) -> Self {
        let honeypot = draw.chance(75).then(|| Honeypot {
            name: format!("{}_{}", draw.pick(&["fax", "url", "contact"]), draw.token(4)),
            label: draw.pick(wording::HONEYPOT_LABELS),
            undisplayed: draw.chance(40),
        });
        Self {
            newsletter: draw.chance(50),
            search: draw.chance(60),
            language: draw.chance(40),
            login: draw.chance(70),
            draft: draw.chance(30),
            cancel: draw.chance(40),
            decoys_first: draw.chance(30),
            honeypot,
        }
    }
}
