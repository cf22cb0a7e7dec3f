//! The plan for one page: what to write where, what to ask a person, and which button goes on. Pure.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::answers::{self, Match};
use super::applicant::{Applicant, DocumentKind};
use super::buttons::{self, NextButton, NextKind};
use super::field::{Field, InputKind, read_fields};
use super::field_kind::FieldKind;
use super::main_form::MainForm;
use super::page_kind::{PageKind, PageReport, classify_read};
use super::phone;
use super::places;
use super::question::{Question, Reason};
use super::snapshot::Snapshot;
use super::values::{self, Say};
use crate::browser::{Action, ActionValue};

/// Everything a step needs to go on with the page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    pub page: PageReport,
    pub fills: Vec<FieldPlan>,
    /// Required, and nothing known answers them.
    pub unknown: Vec<Question>,
    pub next: Option<NextButton>,
}

impl Plan {
    /// What is still to be written.
    pub fn pending(&self) -> impl Iterator<Item = &FieldPlan> {
        self.fills.iter().filter(|fill| !fill.satisfied)
    }

    /// Nothing is left to write or to ask.
    pub fn is_complete(&self) -> bool {
        self.unknown.is_empty() && self.pending().next().is_none()
    }
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct FieldPlan {
    pub key: String,
    pub label: String,
    pub kind: FieldKind,
    /// What a person would read in the field afterwards. Personal.
    pub value: String,
    pub confidence: f32,
    pub evidence: Vec<String>,
    pub actions: Vec<Action>,
    /// Other ways to write it, should the page refuse the first.
    pub other_ways: Vec<ActionValue>,
    /// Which of all ways is the first now, counted from 0 as they were planned.
    #[serde(default)]
    pub first_way: usize,
    pub required: bool,
    /// The field says it already.
    pub satisfied: bool,
}

impl fmt::Debug for FieldPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FieldPlan")
            .field("key", &self.key)
            .field("kind", &self.kind)
            .field("satisfied", &self.satisfied)
            .finish_non_exhaustive()
    }
}

pub fn plan(page: &Snapshot, applicant: &Applicant) -> Plan {
    let fields = read_fields(page);
    let main = MainForm::of(page, &fields);
    let next = buttons::next_button(page, &fields, main.as_ref());
    let report = classify_read(page, &fields, main.as_ref(), next.as_ref());
    let mut planner = Planner {
        page,
        applicant,
        fields: &fields,
        main: main.as_ref(),
        written: Vec::new(),
        fills: Vec::new(),
        unknown: Vec::new(),
    };
    for &index in main.iter().flat_map(|main| &main.fields) {
        planner.field(&fields[index]);
    }
    let Planner { fills, unknown, .. } = planner;
    let next = match report.kind {
        PageKind::Posting => buttons::apply_button(page),
        PageKind::Form | PageKind::Step | PageKind::Review => next,
        // An explanation before the form.
        PageKind::Unknown => next.filter(|next| main.is_some() || next.kind == NextKind::Next),
        _ => None,
    };
    Plan { page: report, fills, unknown, next }
}

struct Planner<'a> {
    page: &'a Snapshot,
    applicant: &'a Applicant,
    fields: &'a [Field],
    main: Option<&'a MainForm>,
    /// Kinds that have their field; a second one of the kind asks for something else.
    written: Vec<FieldKind>,
    fills: Vec<FieldPlan>,
    unknown: Vec<Question>,
}

impl Planner<'_> {
    fn field(&mut self, field: &Field) {
        let never = matches!(field.kind, FieldKind::Honeypot | FieldKind::Search | FieldKind::Language);
        if never {
            return;
        }
        if self.clears_tick(field) {
            return;
        }
        let answer = answers::find(&self.applicant.answers, field)
            .filter(|(_, how)| *how == Match::Exact || may_be_alike(field.kind));
        let answered = answer.and_then(|(answer, how)| {
            let ways = answer_to_say(field, &answer.answer, self.applicant)?;
            Some((
                values::say(self.page, field, &ways)?,
                if how == Match::Exact { 1.0 } else { 0.85 },
                "a stored answer".to_owned(),
            ))
        });
        let known = || {
            let what = self.known(field)?;
            Some((values::say(self.page, field, &what)?, field.confidence, "the applicant".to_owned()))
        };
        let had_something = answer.is_some() || self.known(field).is_some();
        match answered.or_else(known) {
            Some((saying, confidence, source)) => {
                self.written.push(field.kind);
                let mut evidence = field.evidence.clone();
                evidence.push(source);
                self.fills.push(FieldPlan {
                    key: field.key.clone(),
                    label: field.label.clone(),
                    kind: field.kind,
                    value: saying.shown,
                    confidence,
                    evidence,
                    other_ways: other_ways(field, saying.other_ways),
                    first_way: 0,
                    actions: saying.actions,
                    required: field.required,
                    satisfied: saying.satisfied,
                });
            }
            None => self.ask(field, if had_something { Reason::NoOption } else { Reason::NoAnswer }),
        }
    }

    /// A box that the page ticked itself, for letters nobody asked for, is cleared: what is sent would be the applicant's word.
    fn clears_tick(&mut self, field: &Field) -> bool {
        let ticked =
            field.kind == FieldKind::Newsletter && field.input == InputKind::Checkbox && !field.is_empty(self.page);
        if !ticked || answers::find(&self.applicant.answers, field).is_some_and(|(_, how)| how == Match::Exact) {
            return false;
        }
        let Some(saying) = values::say(self.page, field, &Say::YesNo { yes: false, in_words: None }) else {
            return false;
        };
        let mut evidence = field.evidence.clone();
        evidence.push("nobody asked for it".to_owned());
        self.fills.push(FieldPlan {
            key: field.key.clone(),
            label: field.label.clone(),
            kind: field.kind,
            value: saying.shown,
            confidence: field.confidence,
            evidence,
            other_ways: Vec::new(),
            first_way: 0,
            actions: saying.actions,
            required: false,
            satisfied: saying.satisfied,
        });
        true
    }

    /// Required by a mark, or by the page's message after it was sent.
    fn ask(&mut self, field: &Field, reason: Reason) {
        let required = field.required || (!field.error.is_empty() && field.is_empty(self.page));
        if required && field.is_empty(self.page) && !self.other_way_in(field) {
            self.unknown.push(Question::about(self.page, field, reason));
        }
    }

    /// The text of a document whose file is uploaded beside it.
    fn other_way_in(&self, field: &Field) -> bool {
        let is_file = |other: &Field| {
            other.kind.as_text() == Some(field.kind) && self.applicant.document(document_kind(other.kind)).is_some()
        };
        let own = self.main.iter().flat_map(|main| &main.fields).map(|&index| &self.fields[index]);
        !field.required && own.into_iter().any(is_file)
    }

    /// What the applicant says to a field of this kind; `None` for what is not known or never guessed.
    fn known(&self, field: &Field) -> Option<Say> {
        use FieldKind as K;
        let applicant = self.applicant;
        let address = &applicant.address;
        let text = |value: &str| (!value.trim().is_empty()).then(|| Say::Text(vec![value.trim().to_owned()]));
        let optional = |value: &Option<String>| value.as_deref().and_then(text);
        // A second field of a kind asks for another person's, another number or another address.
        let twice = self.written.contains(&field.kind)
            && field.kind.is_identity()
            && !matches!(field.kind, K::Email | K::ConfirmEmail | K::PhoneCountryCode);
        if twice {
            return None;
        }
        match field.kind {
            K::FirstName => text(&applicant.first_name),
            K::LastName => text(&applicant.last_name),
            K::FullName => text(&applicant.full_name()),
            K::MiddleName => self.middle_name(field),
            K::PreferredName => optional(&applicant.preferred_name),
            K::Email | K::ConfirmEmail => text(&applicant.email),
            K::Phone => self.phone(),
            K::PhoneCountryCode => self.dial(),
            K::Street if !self.has(K::Street2) => self.street_alone(),
            K::Street => text(&address.street),
            K::Street2 => optional(&address.street2),
            K::City => text(&address.city),
            K::State => (!address.state.is_empty())
                .then(|| Say::State { state: address.state.clone(), country: address.country.clone() }),
            K::PostalCode => text(&address.postal_code),
            K::Country => (!address.country.is_empty()).then(|| Say::Country(address.country.clone())),
            K::Location => self.location(),
            K::Linkedin => optional(&applicant.links.linkedin),
            K::Github => optional(&applicant.links.github),
            K::Website => optional(&applicant.links.website).or_else(|| optional(&applicant.links.portfolio)),
            K::Portfolio => optional(&applicant.links.portfolio).or_else(|| optional(&applicant.links.website)),
            K::Twitter => optional(&applicant.links.twitter),
            K::WorkAuthorization => self.work_authorization(field),
            K::Sponsorship => self.sponsorship(),
            K::Salary => self.salary(field),
            K::StartDate => optional(&applicant.start_date),
            K::Resume | K::CoverLetter => applicant
                .document(document_kind(field.kind))
                .map(|document| Say::File(document.path.clone(), document.filename.clone())),
            _ => None,
        }
    }

    fn has(&self, kind: FieldKind) -> bool {
        self.main.iter().flat_map(|main| &main.fields).any(|&index| self.fields[index].kind == kind)
    }

    fn middle_name(&self, field: &Field) -> Option<Say> {
        let name = self.applicant.middle_name.as_deref().map(str::trim).filter(|name| !name.is_empty())?;
        let initial = super::text::words(&field.label).iter().any(|word| word == "initial" || word == "mi");
        let name = if initial { name.chars().next()?.to_string() } else { name.to_owned() };
        Some(Say::Text(vec![name]))
    }

    fn phone(&self) -> Option<Say> {
        let country = places::country(&self.applicant.address.country);
        let ways = phone::ways_to_write(&self.applicant.phone, country, self.has(FieldKind::PhoneCountryCode));
        (!ways.is_empty()).then_some(Say::Text(ways))
    }

    fn dial(&self) -> Option<Say> {
        let country = places::country(&self.applicant.address.country);
        let code = phone::dial_code(&self.applicant.phone, country).filter(|_| !self.applicant.phone.is_empty())?;
        Some(Say::Dial { code: code.to_owned(), country: self.applicant.address.country.clone() })
    }

    fn street_alone(&self) -> Option<Say> {
        let address = &self.applicant.address;
        let second = address.street2.as_deref().unwrap_or_default().trim();
        let street = address.street.trim();
        (!street.is_empty())
            .then(|| Say::Text(vec![if second.is_empty() { street.to_owned() } else { format!("{street}, {second}") }]))
    }

    fn location(&self) -> Option<Say> {
        let address = &self.applicant.address;
        let join = |parts: &[&String]| {
            let mut said: Vec<&str> = parts.iter().map(|part| part.trim()).filter(|part| !part.is_empty()).collect();
            // A city that is its own state is named once.
            said.dedup();
            said.join(", ")
        };
        let ways = vec![
            join(&[&address.city, &address.state, &address.country]),
            join(&[&address.city, &address.state]),
            address.city.clone(),
        ];
        (!address.city.is_empty()).then_some(Say::Text(ways))
    }

    /// A question that names a country the applicant did not speak of is not answered.
    fn work_authorization(&self, field: &Field) -> Option<Say> {
        let stated = self.applicant.work_authorization.as_ref()?;
        let asked = places::countries_in(&field.label);
        let listed: Vec<_> = stated.countries.iter().filter_map(|country| places::country(country)).collect();
        if !listed.is_empty() && !asked.is_empty() && !asked.iter().all(|country| listed.contains(country)) {
            return None;
        }
        let without_help = super::text::any(&super::wording::Wording::get().without, &super::text::words(&field.label))
            && field.label.to_lowercase().contains("sponsor");
        let yes =
            if without_help { stated.authorized && !self.applicant.needs_sponsorship? } else { stated.authorized };
        Some(Say::YesNo { yes, in_words: stated.text.clone().filter(|_| !without_help) })
    }

    fn sponsorship(&self) -> Option<Say> {
        Some(Say::YesNo { yes: self.applicant.needs_sponsorship?, in_words: None })
    }

    fn salary(&self, field: &Field) -> Option<Say> {
        let salary = self.applicant.salary.as_deref().map(str::trim).filter(|salary| !salary.is_empty())?;
        let digits: String = salary.chars().filter(char::is_ascii_digit).collect();
        let amounts = salary
            .split(|c: char| !c.is_ascii_digit() && c != ',' && c != '.')
            .filter(|part| part.chars().any(|c| c.is_ascii_digit()))
            .count();
        Some(Say::Text(match field.input {
            // A range is not a number.
            InputKind::Number if amounts == 1 => vec![digits],
            InputKind::Number => return None,
            _ => vec![salary.to_owned()],
        }))
    }
}

/// Kinds whose questions are worded freely; for the others only the very words count.
pub(super) fn may_be_alike(kind: FieldKind) -> bool {
    !kind.is_identity()
        && !kind.is_credential_or_payment()
        && !matches!(kind, FieldKind::Consent | FieldKind::Signature | FieldKind::Demographic)
}

fn document_kind(kind: FieldKind) -> DocumentKind {
    if kind == FieldKind::CoverLetter { DocumentKind::CoverLetter } else { DocumentKind::Resume }
}

/// A stored answer in the form the field takes. A file's answer names a document.
fn answer_to_say(field: &Field, answer: &str, applicant: &Applicant) -> Option<Say> {
    if answer.trim().is_empty() {
        return None;
    }
    Some(match field.input {
        InputKind::File => {
            let name = answer.trim();
            let named = applicant.documents.iter().find(|document| document.id == name || document.filename == name)?;
            Say::File(named.path.clone(), named.filename.clone())
        }
        InputKind::Checkboxes | InputKind::MultiSelect => {
            Say::Choices(answer.lines().map(str::to_owned).filter(|line| !line.trim().is_empty()).collect())
        }
        _ => Say::Text(vec![answer.trim().to_owned()]),
    })
}

fn other_ways(field: &Field, ways: Vec<String>) -> Vec<ActionValue> {
    let choice = |label: String| ActionValue::Options(vec![crate::browser::OptionChoice { label, value: None }]);
    ways.into_iter()
        .map(|way| if field.input == InputKind::Combobox { choice(way) } else { ActionValue::Text(way) })
        .collect()
}

/// A question about one field of the page, by key: for a person to put right what the page refused.
pub fn question_about(page: &Snapshot, key: &str, reason: Reason) -> Option<Question> {
    read_fields(page).iter().find(|field| field.key == key).map(|field| Question::about(page, field, reason))
}
