//! The form that a seed stands for: pages, fields, wording, and how they are presented. Pure data: it is drawn once per
//! request, holds no HTML, and never knows what somebody typed.

mod build;
pub mod field;
pub mod look;
pub mod naming;
mod simple;
mod steps;

use serde::{Deserialize, Serialize};

use crate::draw::Draw;
use crate::meaning::Meaning;
use crate::posting::Posting;
use crate::wording;
use build::Builder;
use field::Field;
use look::{Behaviour, Decoys, Look};

/// Which kind of application form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FormKind {
    /// Everything on one page.
    Simple,
    /// Several pages with a review before the end, and one question that only a person can answer.
    Steps,
}

impl FormKind {
    pub const ALL: [Self; 2] = [Self::Simple, Self::Steps];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Simple => "simple",
            Self::Steps => "steps",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|form| form.as_str() == text)
    }

    /// Keeps the draws of two forms of one seed apart.
    fn stream(self) -> u32 {
        match self {
            Self::Simple => 1,
            Self::Steps => 2,
        }
    }
}

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
        let look = Look::draw(&mut draw);
        let behaviour = Behaviour::draw(&mut draw, form);
        let decoys = Decoys::draw(&mut draw);
        let mut builder = Builder::new(&mut draw, look.clone(), posting.country);
        let pages = match form {
            FormKind::Simple => simple::pages(&mut builder),
            FormKind::Steps => steps::pages(&mut builder),
        };
        Self { form, seed, posting, title, pages, buttons, confirmation, look, behaviour, decoys }
    }

    /// The address of the posting page.
    pub fn posting_path(&self) -> String {
        format!("/jobs/{}/{}", self.form.as_str(), self.seed)
    }

    /// The address of an application page; pages are numbered from 1.
    pub fn page_path(&self, number: usize) -> String {
        format!("{}/apply/{number}", self.posting_path())
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
