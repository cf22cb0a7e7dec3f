//! One form of a hiring site: what it asks, drawn from a seed, and what must arrive.

use rand::SeedableRng as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;

use super::super::site::{Page, Received, Site};

pub const THANKS: &str =
    "<title>Done</title><h1>Thank you for applying</h1><p>Your application number is <b>A-77</b>.</p>";
/// What people answer where the profile does not.
pub const ANSWER: &str = "Eleven, most of them quinces";
pub const CODE: &str = "481516";
pub const LOGIN_PASSWORD: &str = "Correct-horse-7";

/// What a form asks of everybody, and of Ada it is known.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    First,
    Last,
    Full,
    Email,
    ConfirmEmail,
    Phone,
    City,
    Linkedin,
    Resume,
    Authorized,
    Sponsorship,
    Start,
}

#[derive(Clone, Copy)]
pub enum Language {
    English,
    German,
    French,
    Spanish,
}

/// A field as a form is to show it.
pub struct Field {
    pub name: String,
    pub label: &'static str,
}

/// Values of a yes and of a no.
pub type YesNo = (&'static str, &'static str);

pub enum Wanted {
    Is(String),
    /// A phone number may be written in several ways; these digits end it.
    Digits(&'static str),
    /// It is there, and nothing stands in it.
    Empty,
    /// A box that is not ticked.
    Unticked,
}

/// What every form has one of, and nobody must fall into.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Trap {
    /// The e-mail address again; its label must not be taken for another thing.
    ConfirmEmail,
    /// Nobody sees it, and whoever writes there is a machine.
    Honeypot,
    /// Typed as a phone number is, and asks for the number of a card.
    Card,
    /// The page ticked it itself, for letters nobody asked for.
    Ticked,
}

pub struct Fixture<'a> {
    pub site: &'a Site,
    /// Of another origin.
    pub other: &'a Site,
    pub random: StdRng,
    language: Language,
    wanted: Vec<(String, Wanted)>,
    pub question: &'static str,
    asked: bool,
    trap: Option<Trap>,
}

impl<'a> Fixture<'a> {
    pub fn new(site: &'a Site, other: &'a Site, seed: u64) -> Self {
        let random = StdRng::seed_from_u64(seed);
        let (language, wanted) = (Language::English, Vec::new());
        let mut fixture = Self { site, other, random, language, wanted, question: "", asked: false, trap: None };
        fixture.speaks(Language::English);
        fixture
    }

    pub fn speaks(&mut self, language: Language) {
        self.language = language;
        self.question = self.pick(match language {
            Language::English => &[
                "How many espaliers have you trained?",
                "Which rootstock would you graft a quince on?",
                "What is your favourite soil, and why?",
                "Describe the last hedge you laid",
            ],
            Language::German => &["Wie viele Obstbäume haben Sie veredelt?", "Welcher Boden ist Ihnen der liebste?"],
            Language::French => &["Combien de haies avez-vous plantées ?", "Quel est votre sol préféré ?"],
            Language::Spanish => &["¿Cuántos árboles ha injertado?", "¿Cuál es su suelo preferido?"],
        });
    }

    pub fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        *all.choose(&mut self.random).expect("not empty")
    }

    /// Something that the form knows as a text.
    pub fn ask(&mut self, ask: Ask, name: &str) -> Field {
        let text = |value: &str| Wanted::Is(value.to_owned());
        let wanted = match ask {
            Ask::First => text("Ada"),
            Ask::Last => text("O'Brien-Łuk"),
            Ask::Full => text("Ada O'Brien-Łuk"),
            Ask::Email | Ask::ConfirmEmail => text("ada@example.test"),
            Ask::Phone => Wanted::Digits("5550101234"),
            Ask::City => text("Fresno"),
            Ask::Linkedin => text("https://linkedin.example.test/in/ada"),
            Ask::Resume => text("ada-cv.pdf"),
            Ask::Start => text("2027-01-15"),
            Ask::Authorized | Ask::Sponsorship => text("a choice"),
        };
        self.wants(name, wanted);
        if ask == Ask::ConfirmEmail {
            self.trap = Some(Trap::ConfirmEmail);
        }
        Field { name: name.to_owned(), label: self.label(ask) }
    }

    /// Ada may work in the United States and needs no visa.
    pub fn ask_yes_no(&mut self, ask: Ask, name: &str, (yes, no): YesNo) -> Field {
        let value = if ask == Ask::Authorized { yes } else { no };
        self.wants(name, Wanted::Is(value.to_owned()));
        Field { name: name.to_owned(), label: self.label(ask) }
    }

    /// Required, and nobody but a person knows.
    pub fn ask_unknown(&mut self, name: &str) -> Field {
        self.asked = true;
        self.wants(name, Wanted::Is(ANSWER.to_owned()));
        Field { name: name.to_owned(), label: self.question }
    }

    pub fn wants(&mut self, name: &str, wanted: Wanted) {
        self.wanted.push((name.to_owned(), wanted));
    }

    /// Whatever it looks like, nothing is to be written or left there.
    pub fn sets(&mut self, trap: Trap, name: &str) {
        self.trap = Some(trap);
        self.wants(name, if trap == Trap::Ticked { Wanted::Unticked } else { Wanted::Empty });
    }

    pub fn page(&self, path: &str, html: impl Into<String>) {
        self.site.put(path, Page::Html(html.into()));
    }

    /// The last page; it thanks.
    pub fn takes(&self, path: &str) {
        self.site.put(path, Page::Thanks(THANKS.into()));
    }

    fn label(&mut self, ask: Ask) -> &'static str {
        let labels: &[&str] = match (self.language, ask) {
            (Language::English, Ask::First) => &["First name", "Given name", "Legal first name", "First Name"],
            (Language::English, Ask::Last) => &["Last name", "Surname", "Family name", "Legal last name"],
            (Language::English, Ask::Full) => &["Full name", "Your full name", "Name", "Full legal name"],
            (Language::English, Ask::Email) => &["Email", "Email address", "E-mail", "Your email"],
            (Language::English, Ask::ConfirmEmail) => {
                &["Confirm your email", "Re-enter email address", "Repeat e-mail"]
            }
            (Language::English, Ask::Phone) => &["Phone", "Phone number", "Mobile phone number", "Telephone"],
            (Language::English, Ask::City) => &["City", "Which city do you live in?", "Town / City"],
            (Language::English, Ask::Resume) => &["Resume/CV", "Resume", "CV / Resume", "Upload your CV"],
            (Language::English, Ask::Authorized) => &[
                "Are you legally authorized to work in the United States?",
                "Do you have the right to work in the US?",
                "Are you eligible to work in the United States?",
            ],
            (Language::English, Ask::Sponsorship) => &[
                "Will you now or in the future require visa sponsorship?",
                "Do you need sponsorship to work here?",
                "Will you require sponsorship for employment visa status?",
            ],
            (Language::English, Ask::Start) => &["Earliest start date", "When can you start?", "Available from"],
            (Language::German, Ask::First) => &["Vorname"],
            (Language::German, Ask::Last) => &["Nachname", "Familienname"],
            (Language::German, Ask::Full) => &["Vor- und Nachname", "Vollständiger Name"],
            (Language::German, Ask::Email) => &["E-Mail", "E-Mail-Adresse", "Ihre E-Mail-Adresse"],
            (Language::German, Ask::ConfirmEmail) => &["E-Mail-Adresse wiederholen", "E-Mail bestätigen"],
            (Language::German, Ask::Phone) => &["Telefon", "Telefonnummer", "Mobilnummer"],
            (Language::German, Ask::City) => &["Wohnort", "Ort", "Stadt"],
            (Language::German, Ask::Resume) => &["Lebenslauf", "Lebenslauf hochladen"],
            (Language::French, Ask::First) => &["Prénom", "Votre prénom"],
            (Language::French, Ask::Last) => &["Nom de famille", "Nom"],
            (Language::French, Ask::Email) => &["Adresse e-mail", "Courriel", "E-mail"],
            (Language::French, Ask::ConfirmEmail) => &["Confirmez votre e-mail", "Confirmation de l'email"],
            (Language::French, Ask::Phone) => &["Téléphone", "Numéro de téléphone"],
            (Language::French, Ask::City) => &["Ville", "Ville de résidence"],
            (Language::French, Ask::Resume) => &["CV", "Votre CV"],
            (Language::Spanish, Ask::First) => &["Nombre"],
            (Language::Spanish, Ask::Last) => &["Apellidos", "Apellido"],
            (Language::Spanish, Ask::Email) => &["Correo electrónico", "Email"],
            (Language::Spanish, Ask::ConfirmEmail) => &["Confirmar correo electrónico"],
            (Language::Spanish, Ask::Phone) => &["Teléfono", "Teléfono móvil"],
            (Language::Spanish, Ask::City) => &["Ciudad", "Localidad"],
            (Language::Spanish, Ask::Resume) => &["Currículum", "CV"],
            (_, Ask::Linkedin) => &["LinkedIn", "LinkedIn URL", "LinkedIn Profile"],
            _ => panic!("no words for this in this language"),
        };
        self.pick(labels)
    }

    /// What is not as it must be in what arrived at the paths that take parts of the form, each of which took one.
    pub fn faults(&self, took: &[(&str, &Site)]) -> Vec<String> {
        assert!(self.asked, "a fixture asks one question that nobody can answer");
        assert!(self.trap.is_some(), "a fixture has a trap");
        let mut faults = Vec::new();
        let mut arrived: Received = Vec::new();
        for (path, site) in took {
            let forms = site.forms(path);
            if forms.len() != 1 {
                faults.push(format!("{path} took {} forms", forms.len()));
            }
            arrived.extend(forms.into_iter().flatten());
        }
        for (name, wanted) in &self.wanted {
            let values: Vec<&str> =
                arrived.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str()).collect();
            let fine = match wanted {
                Wanted::Is(value) => values == [value.as_str()],
                Wanted::Digits(end) => {
                    let digits = |value: &&str| value.chars().filter(char::is_ascii_digit).collect::<String>();
                    values.len() == 1 && values.iter().map(digits).all(|digits| digits.ends_with(end))
                }
                Wanted::Empty => values == [""],
                Wanted::Unticked => values.is_empty(),
            };
            if !fine {
                faults.push(format!("{name} arrived as {values:?}"));
            }
        }
        faults
    }
}
