//! Draws single fields in the look of their form. Which fields a form has is decided in `simple`,
//! `steps` and `conditional`.

use super::field::{Choice, Control, Field, FileLook, Labelling, LineKind, RadioLook, Rule};
use super::look::{Layout, Look};
use super::naming::Naming;
use super::{Page, Section};
use crate::draw::Draw;
use crate::meaning::Meaning;
use crate::wording;

pub struct Builder<'a> {
    pub draw: &'a mut Draw,
    look: Look,
    naming: Naming,
    /// The country of the job, as in a sentence.
    country: &'static str,
    /// Every web address has to name its scheme.
    strict_addresses: bool,
}

impl<'a> Builder<'a> {
    pub fn new(draw: &'a mut Draw, look: Look, country: &'static str) -> Self {
        let naming = Naming::new(draw, look.names, look.ids);
        let strict_addresses = draw.chance(30);
        Self { draw, look, naming, country, strict_addresses }
    }

    pub fn page(&mut self, titles: &[&'static str], sections: Vec<Section>) -> Page {
        Page { title: self.draw.pick(titles), sections, review: false }
    }

    /// A section with its fields in a drawn order, except that a repeated e-mail follows the first one.
    pub fn section(&mut self, titles: &[&'static str], mut fields: Vec<Field>) -> Section {
        let confirm =
            fields.iter().position(|field| field.meaning == Meaning::EmailConfirm).map(|index| fields.remove(index));
        self.draw.shuffle(&mut fields);
        let email = fields.iter().position(|field| field.meaning == Meaning::Email);
        if let (Some(confirm), Some(email)) = (confirm, email) {
            fields.insert(email + 1, confirm);
        }
        Section { title: self.draw.pick(titles), fields }
    }

    pub fn line(&mut self, meaning: Meaning, required: bool) -> Field {
        let (kind, rule) = match meaning {
            Meaning::Email => (LineKind::Email, Rule::Email),
            Meaning::EmailConfirm => (LineKind::Email, Rule::SameEmail),
            Meaning::Phone => (LineKind::Phone, Rule::Phone),
            Meaning::PostalCode => (LineKind::Text, Rule::PostalCode),
            Meaning::StartDate => (LineKind::Date, Rule::Date),
            Meaning::Linkedin | Meaning::Website | Meaning::Github => self.address(),
            _ => (LineKind::Text, Rule::Any),
        };
        // Many forms use plain text controls for everything.
        let kind = if kind != LineKind::Date && self.draw.chance(25) { LineKind::Text } else { kind };
        self.field(meaning, required, Control::Line { kind }, rule)
    }

    fn address(&self) -> (LineKind, Rule) {
        if self.strict_addresses {
            (LineKind::Url, Rule::AddressWithScheme)
        } else {
            // The browser's own address control would insist on a scheme.
            (LineKind::Text, Rule::Address)
        }
    }

    pub fn area(&mut self, meaning: Meaning, required: bool) -> Field {
        self.field(meaning, required, Control::Area, Rule::Any)
    }

    pub fn file(&mut self, meaning: Meaning, required: bool) -> Field {
        let control = Control::File { look: self.look.file_look, button: self.draw.pick(wording::FILE_BUTTONS) };
        self.field(meaning, required, control, Rule::Document)
    }

    pub fn checkbox(&mut self, meaning: Meaning, required: bool) -> Field {
        let value = self.draw.pick(&["on", "1", "true", "yes"]);
        self.field(meaning, required, Control::Checkbox { value }, Rule::Any)
    }

    /// A question for yes or no, as radio buttons, as buttons, or as a list.
    pub fn yes_no(&mut self, meaning: Meaning, required: bool) -> Field {
        let words = match meaning {
            Meaning::WorkAuthorization => wording::AUTHORIZATION_YES_NO,
            Meaning::Sponsorship => wording::SPONSORSHIP_YES_NO,
            _ => wording::YES_NO,
        };
        let (yes, no) = self.draw.pick(words);
        let (yes_value, no_value) = if self.draw.chance(20) {
            let first = self.draw.number(100_000..900_000);
            (first.to_string(), (first + 1).to_string())
        } else {
            let (yes, no) = self.draw.pick(wording::YES_NO_VALUES);
            (yes.to_owned(), no.to_owned())
        };
        let mut choices = vec![choice(yes, &yes_value, "yes"), choice(no, &no_value, "no")];
        if self.draw.chance(25) {
            choices.reverse();
        }
        let control = self.one_of(choices);
        self.field(meaning, required, control, Rule::Choice)
    }

    fn one_of(&mut self, choices: Vec<Choice>) -> Control {
        let looks = [RadioLook::Fieldset, RadioLook::Group, RadioLook::Buttons];
        if self.draw.chance(35) {
            self.select(choices)
        } else {
            Control::Radio { choices, look: self.draw.pick(&looks) }
        }
    }

    fn select(&mut self, choices: Vec<Choice>) -> Control {
        Control::Select { choices, prompt: self.draw.pick(wording::SELECT_PROMPTS) }
    }

    /// A country, mostly from a list.
    pub fn country(&mut self, required: bool) -> Field {
        if self.draw.chance(20) {
            return self.line(Meaning::Country, required);
        }
        let codes = self.draw.chance(50);
        let second_names = self.draw.chance(30);
        let choices = wording::COUNTRIES
            .iter()
            .map(|(code, name, second_name)| {
                let label = if second_names { second_name } else { name };
                choice(label, if codes { code } else { label }, name)
            })
            .collect();
        let control = self.select(choices);
        self.field(Meaning::Country, required, control, Rule::Choice)
    }

    pub fn how_heard(&mut self) -> Field {
        let numbers = self.draw.chance(40);
        let choices = wording::HOW_HEARD
            .iter()
            .enumerate()
            .map(|(index, label)| {
                let value = if numbers { (index + 1).to_string() } else { (*label).to_owned() };
                choice(label, &value, label)
            })
            .collect();
        let control = self.select(choices);
        self.field(Meaning::HowHeard, false, control, Rule::Choice)
    }

    /// A name in one field or in two.
    pub fn names(&mut self) -> Vec<Field> {
        if self.draw.chance(35) {
            vec![self.line(Meaning::FullName, true)]
        } else {
            vec![self.line(Meaning::FirstName, true), self.line(Meaning::LastName, true)]
        }
    }

    fn field(&mut self, meaning: Meaning, required: bool, control: Control, rule: Rule) -> Field {
        let name = self.naming.name(self.draw, meaning);
        let id = self.naming.id(self.draw, &name);
        let label = self.draw.pick(wording::labels(meaning)).replace("{country}", self.country);
        let hints = wording::hints(meaning);
        let hint = (!hints.is_empty() && self.draw.chance(40)).then(|| self.draw.pick(hints));
        let labelling = self.labelling(&control);
        let typed = matches!(control, Control::Line { .. } | Control::Area);
        let placeholder = (self.look.placeholders && typed).then(|| wording::placeholder(meaning));
        Field { meaning, name, id, label, hint, placeholder, required, control, labelling, rule, when: None }
    }

    fn labelling(&mut self, control: &Control) -> Labelling {
        let drawn = if self.look.mixed_labelling && self.draw.chance(40) {
            self.draw.pick(&[
                Labelling::For,
                Labelling::Wrap,
                Labelling::LabelledBy,
                Labelling::AriaLabel,
                Labelling::Placeholder,
            ])
        } else {
            self.look.labelling
        };
        let line = matches!(control, Control::Line { kind } if *kind != LineKind::Date);
        let scripted_file = matches!(control, Control::File { look, .. } if *look != FileLook::Visible);
        match drawn {
            // Only a text line shows a placeholder; a label cannot wrap two cells of a table.
            Labelling::Placeholder if !line => Labelling::For,
            Labelling::Wrap if self.look.layout == Layout::Table => Labelling::For,
            // A wrapped or labelled invisible control would name its button twice.
            _ if scripted_file => Labelling::LabelledBy,
            other => other,
        }
    }
}

fn choice(label: &str, value: &str, canonical: &str) -> Choice {
    Choice { label: label.to_owned(), value: value.to_owned(), canonical: canonical.to_owned() }
}
