//! Names and ids of controls in the styles of different form builders.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::draw::Draw;
use crate::meaning::Meaning;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NameStyle {
    /// `first_name`
    Snake,
    /// `firstName`
    Camel,
    /// `question_48213`
    Numbered,
    /// `job_application[first_name]`
    Bracketed,
    /// `f-kq3x9d`
    Opaque,
    /// `cards[9f31…][field3]`
    Cards,
}

impl NameStyle {
    pub const ALL: [Self; 6] = [Self::Snake, Self::Camel, Self::Numbered, Self::Bracketed, Self::Opaque, Self::Cards];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum IdStyle {
    /// The control's name with every other character replaced.
    FromName,
    /// `kq3x9dvb`
    Opaque,
    /// `:r1f:`, which has to be escaped in CSS selectors.
    Framework,
    /// `input-12`
    Numbered,
}

impl IdStyle {
    pub const ALL: [Self; 4] = [Self::FromName, Self::Opaque, Self::Framework, Self::Numbered];
}

/// Gives out names and ids that no other control of the form has.
pub struct Naming {
    names: NameStyle,
    ids: IdStyle,
    prefix: &'static str,
    card: String,
    next: u32,
    used_names: BTreeSet<String>,
    used_ids: BTreeSet<String>,
}

impl Naming {
    pub fn new(draw: &mut Draw, names: NameStyle, ids: IdStyle) -> Self {
        Self {
            names,
            ids,
            prefix: draw.pick(&["job_application", "candidate", "applicant", "application"]),
            card: format!("{}-{}", draw.token(8), draw.token(4)),
            next: draw.number(10_000..90_000),
            used_names: BTreeSet::new(),
            used_ids: BTreeSet::new(),
        }
    }

    pub fn name(&mut self, draw: &mut Draw, meaning: Meaning) -> String {
        let word = word(draw, meaning);
        self.next += draw.number(1..9);
        let name = match self.names {
            NameStyle::Snake => word.to_owned(),
            NameStyle::Camel => camel(word),
            NameStyle::Numbered => format!("question_{}", self.next),
            NameStyle::Bracketed => format!("{}[{word}]", self.prefix),
            NameStyle::Opaque => format!("f-{}", draw.token(6)),
            NameStyle::Cards => format!("cards[{}][field{}]", self.card, self.next % 1000),
        };
        unique(&mut self.used_names, &name)
    }

    pub fn id(&mut self, draw: &mut Draw, name: &str) -> String {
        self.next += draw.number(1..9);
        let id = match self.ids {
            IdStyle::FromName => name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect(),
            IdStyle::Opaque => draw.token(8),
            IdStyle::Framework => format!(":r{:x}:", self.next % 4096),
            IdStyle::Numbered => format!("input-{}", self.next),
        };
        unique(&mut self.used_ids, &id)
    }
}

/// The semantic names differ from builder to builder too.
fn word(draw: &mut Draw, meaning: Meaning) -> &'static str {
    let words: &[&'static str] = match meaning {
        Meaning::FirstName => &["first_name", "given_name", "fname"],
        Meaning::LastName => &["last_name", "family_name", "lname"],
        Meaning::FullName => &["full_name", "name"],
        Meaning::Email => &["email", "email_address"],
        Meaning::EmailConfirm => &["email_confirm", "confirm_email"],
        Meaning::Phone => &["phone", "phone_number", "mobile"],
        Meaning::Street => &["street", "address_line_1"],
        Meaning::City => &["city", "location"],
        Meaning::PostalCode => &["postal_code", "zip"],
        Meaning::Linkedin => &["linkedin", "linkedin_url"],
        Meaning::Website => &["website", "portfolio"],
        Meaning::Resume => &["resume", "cv", "resume_file"],
        Meaning::WorkAuthorization => &["work_authorization", "work_auth"],
        Meaning::Sponsorship => &["sponsorship", "visa_sponsorship"],
        other => return other.as_str(),
    };
    draw.pick(words)
}

fn unique(used: &mut BTreeSet<String>, wanted: &str) -> String {
    let mut candidate = wanted.to_owned();
    let mut copy = 2;
    while !used.insert(candidate.clone()) {
        candidate = format!("{wanted}_{copy}");
        copy += 1;
    }
    candidate
}

fn camel(word: &str) -> String {
    let mut camel = String::with_capacity(word.len());
    let mut upper = false;
    for c in word.chars() {
        if c == '_' {
            upper = true;
        } else if upper {
            camel.push(c.to_ascii_uppercase());
            upper = false;
        } else {
            camel.push(c);
        }
    }
    camel
}
