//! The form that a seed stands for: pages, fields, wording, and how they are presented. Pure data: it is drawn once per
//! request, holds no HTML, and never knows what somebody typed.

mod build;
mod conditional;
pub mod field;
mod kind;
pub mod look;
pub mod naming;
mod simple;
mod steps;
pub mod twist;

pub use kind::FormKind;

use crate::draw::Draw;
use crate::gate::Gate;
use crate::meaning::Meaning;
use crate::posting::Posting;
use crate::wording;
use build::Builder;
use field::Field;
use look::{Behaviour, Decoys, Layout, Look};
use twist::Twist;

#[derive(Clone, Debug, PartialEq)]
pub struct FormModel {
    pub form: FormKind,
    pub seed: u32,
    pub posting: Posting,
    pub title: &'static str,
    pub pages: Vec<Page>,
    pub buttons: Buttons,
    pub confirmation: Confirmation,
    pub look: Look,
    pub behaviour: Behaviour,
    pub decoys: Decoys,
    pub twist: Twist,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    pub title: &'static str,
    pub sections: Vec<Section>,
    /// Shows everything that was entered so far.
    pub review: bool,
}

/// A page in its form, with its number, which starts at 1.
#[derive(Clone, Copy)]
pub struct PageOf<'a> {
    pub model: &'a FormModel,
    pub number: usize,
    pub page: &'a Page,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Section {
    pub title: &'static str,
    pub fields: Vec<Field>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Buttons {
    pub apply: &'static str,
    pub next: &'static str,
    pub back: &'static str,
    pub submit: &'static str,
    pub draft: &'static str,
    pub cancel: &'static str,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Confirmation {
    pub heading: &'static str,
    pub sentence: &'static str,
    pub reference_line: &'static str,
    pub reference_prefix: &'static str,
}

impl FormModel {
    /// The form of this kind and seed. Equal arguments give equal forms.
    pub fn draw(form: FormKind, seed: u32) -> Self {
        let mut draw = Draw::new(form.stream(), seed);
        let posting = Posting::draw(&mut draw);
        let title = draw.pick(wording::FORM_TITLES);
        let buttons = Buttons::draw(&mut draw);
        let confirmation = Confirmation::draw(&mut draw);
        let mut look = Look::draw(&mut draw);
        // Rows of a table cannot be shown and hidden as one.
        if form == FormKind::Conditional && look.layout == Layout::Table {
            look.layout = Layout::Stacked;
        }
        let behaviour = Behaviour::draw(&mut draw, form);
        let mut decoys = Decoys::draw(&mut draw);
        // Where one has to sign in, that is no decoy.
        decoys.login &= form != FormKind::Login;
        let mut builder = Builder::new(&mut draw, look.clone(), posting.country);
        let pages = match form {
            FormKind::Closed => Vec::new(),
            FormKind::Conditional => conditional::pages(&mut builder),
            FormKind::Steps => steps::pages(&mut builder),
            _ => simple::pages(&mut builder),
        };
        // Drawn last, so that a plain form keeps what it was.
        let twist = Twist::draw(&mut draw, form);
        Self { form, seed, posting, title, pages, buttons, confirmation, look, behaviour, decoys, twist }
    }

    /// The address of the posting page.
    pub fn posting_path(&self) -> String {
        format!("/jobs/{}/{}", self.form.as_str(), self.seed)
    }

    /// The address of an application page; pages are numbered from 1.
    pub fn page_path(&self, number: usize) -> String {
        format!("{}/apply/{number}", self.posting_path())
    }

    /// The address of the page that stands before the form or before its end.
    pub fn gate_path(&self, gate: Gate) -> String {
        format!("{}/{}", self.posting_path(), gate.as_str())
    }

    pub fn page(&self, number: usize) -> Option<PageOf<'_>> {
        let page = self.pages.get(number.checked_sub(1)?)?;
        Some(PageOf { model: self, number, page })
    }

    pub fn fields(&self) -> impl Iterator<Item = &Field> {
        self.pages.iter().flat_map(Page::fields)
    }

    pub fn field(&self, meaning: Meaning) -> Option<&Field> {
        self.fields().find(|field| field.meaning == meaning)
    }
}

impl PageOf<'_> {
    pub fn is_last(&self) -> bool {
        self.number == self.model.pages.len()
    }
}

impl Page {
    pub fn fields(&self) -> impl Iterator<Item = &Field> {
        self.sections.iter().flat_map(|section| &section.fields)
    }

    pub fn has_files(&self) -> bool {
        self.fields().any(Field::is_file)
    }
}

impl Buttons {
    fn draw(draw: &mut Draw) -> Self {
        Self {
            apply: draw.pick(wording::APPLY),
            next: draw.pick(wording::NEXT),
            back: draw.pick(wording::BACK),
            submit: draw.pick(wording::SUBMIT),
            draft: draw.pick(wording::DRAFT),
            cancel: draw.pick(wording::CANCEL),
        }
    }
}

impl Confirmation {
    fn draw(draw: &mut Draw) -> Self {
        let (heading, sentence) = draw.pick(wording::CONFIRMATIONS);
        Self {
            heading,
            sentence,
            reference_line: draw.pick(wording::REFERENCE_LINES),
            reference_prefix: draw.pick(wording::REFERENCE_PREFIXES),
        }
    }

    /// A regular expression that the shown reference matches.
    pub fn reference_pattern(&self) -> String {
        format!("{}-[0-9A-F]{{8}}", self.reference_prefix)
    }
}
