//! The words forms are made of, per language, from data files. Read once; a test reads them all.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use serde::Deserialize;

use super::field_kind::FieldKind;
use super::text::Phrase;

/// One file per language. The first is the one pages are judged by; the others add to its kinds.
const FILES: [&str; 12] = [
    include_str!("wording.en.toml"),
    include_str!("wording.de.toml"),
    include_str!("wording.fr.toml"),
    include_str!("wording.es.toml"),
    include_str!("wording.it.toml"),
    include_str!("wording.pt.toml"),
    include_str!("wording.nl.toml"),
    include_str!("wording.pl.toml"),
    include_str!("wording.cs.toml"),
    include_str!("wording.ru.toml"),
    include_str!("wording.ja.toml"),
    include_str!("wording.other.toml"),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[expect(dead_code, reason = "names the file for its reader")]
    language: String,
    #[serde(default)]
    lead_in: Vec<String>,
    #[serde(default)]
    other_person: Vec<String>,
    #[serde(default)]
    other_party: Vec<String>,
    #[serde(default)]
    other_section: Vec<String>,
    #[serde(default)]
    optional: Vec<String>,
    #[serde(default)]
    missing: Vec<String>,
    #[serde(default)]
    decoy: Vec<String>,
    #[serde(default)]
    decoy_name: Vec<String>,
    #[serde(default)]
    yes: Vec<String>,
    #[serde(default)]
    no: Vec<String>,
    #[serde(default)]
    negations: Vec<String>,
    #[serde(default)]
    without: Vec<String>,
    #[serde(default)]
    placeholder_option: Vec<String>,
    #[serde(default)]
    decline_option: Vec<String>,
    #[serde(default)]
    filler: Vec<String>,
    #[serde(default)]
    asker: Vec<String>,
    #[serde(default)]
    city: Vec<String>,
    #[serde(default)]
    wider_place: Vec<String>,
    #[serde(default)]
    name_before: Vec<String>,
    #[serde(default)]
    name_after: Vec<String>,
    #[serde(default)]
    kinds: BTreeMap<String, KindFile>,
    #[serde(default)]
    buttons: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    pages: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    forms: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    date_parts: BTreeMap<String, Vec<String>>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct KindFile {
    label: Vec<String>,
    whole: Vec<String>,
    name: Vec<String>,
    not: Vec<String>,
}

#[derive(Default)]
pub struct KindWords {
    pub label: Vec<Phrase>,
    pub whole: Vec<Phrase>,
    pub name: Vec<Phrase>,
    pub not: Vec<Phrase>,
}

#[derive(Default)]
pub struct Wording {
    pub lead_in: Vec<Phrase>,
    pub other_person: Vec<Phrase>,
    pub other_party: Vec<Phrase>,
    pub other_section: Vec<Phrase>,
    pub optional: Vec<Phrase>,
    pub missing: Vec<Phrase>,
    pub decoy: Vec<Phrase>,
    pub decoy_name: Vec<Phrase>,
    pub yes: Vec<Phrase>,
    pub no: Vec<Phrase>,
    pub negations: Vec<Phrase>,
    pub without: Vec<Phrase>,
    pub placeholder_option: Vec<Phrase>,
    pub decline_option: Vec<Phrase>,
    pub filler: Vec<Phrase>,
    /// Words in which a form speaks of whoever asks.
    pub asker: Vec<Phrase>,
    pub city: Vec<Phrase>,
    pub wider_place: Vec<Phrase>,
    /// Glued to the front and to the end of words in identifiers.
    pub name_before: Vec<String>,
    pub name_after: Vec<String>,
    /// Phrases of one word that occur in names.
    name_words: BTreeSet<String>,
    pub kinds: BTreeMap<FieldKind, KindWords>,
    buttons: BTreeMap<String, Vec<Phrase>>,
    pages: BTreeMap<String, Vec<Phrase>>,
    forms: BTreeMap<String, Vec<Phrase>>,
    date_parts: BTreeMap<String, Vec<Phrase>>,
}

impl Wording {
    pub fn get() -> &'static Self {
        static WORDING: LazyLock<Wording> = LazyLock::new(|| Wording::read(&FILES).unwrap_or_default());
        &WORDING
    }

    fn read(files: &[&str]) -> Result<Self, String> {
        let mut wording = Self::default();
        for text in files {
            let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
            let lists = [
                (&mut wording.lead_in, file.lead_in),
                (&mut wording.other_person, file.other_person),
                (&mut wording.other_party, file.other_party),
                (&mut wording.other_section, file.other_section),
                (&mut wording.optional, file.optional),
                (&mut wording.missing, file.missing),
                (&mut wording.decoy, file.decoy),
                (&mut wording.decoy_name, file.decoy_name),
                (&mut wording.yes, file.yes),
                (&mut wording.no, file.no),
                (&mut wording.negations, file.negations),
                (&mut wording.without, file.without),
                (&mut wording.placeholder_option, file.placeholder_option),
                (&mut wording.decline_option, file.decline_option),
                (&mut wording.filler, file.filler),
                (&mut wording.asker, file.asker),
                (&mut wording.city, file.city),
                (&mut wording.wider_place, file.wider_place),
            ];
            for (list, phrases) in lists {
                list.extend(parse(&phrases));
            }
            for (name, words) in file.kinds {
                let kind = FieldKind::from_name(&name).ok_or_else(|| format!("no kind of field is called {name}"))?;
                wording.name_words.extend(words.name.iter().filter(|name| !name.contains([' ', '*'])).cloned());
                for kind in [Some(kind), kind.as_text()].into_iter().flatten() {
                    let known = wording.kinds.entry(kind).or_default();
                    known.label.extend(parse(&words.label));
                    known.whole.extend(parse(&words.whole));
                    known.name.extend(parse(&words.name));
                }
                // "Or paste it as text" is no file, and the text.
                wording.kinds.entry(kind).or_default().not.extend(parse(&words.not));
            }
            wording.name_before.extend(file.name_before);
            wording.name_after.extend(file.name_after);
            for (into, from) in [
                (&mut wording.buttons, file.buttons),
                (&mut wording.pages, file.pages),
                (&mut wording.forms, file.forms),
                (&mut wording.date_parts, file.date_parts),
            ] {
                for (name, phrases) in from {
                    into.entry(name).or_default().extend(parse(&phrases));
                }
            }
        }
        // Lead-ins are taken off longest first.
        wording.lead_in.sort_by_key(|phrase| std::cmp::Reverse(phrase.length));
        for affixes in [&mut wording.name_before, &mut wording.name_after] {
            affixes.sort_by_key(|affix| std::cmp::Reverse(affix.len()));
        }
        Ok(wording)
    }

    /// Whether a word alone names a kind in identifiers.
    pub fn is_name_word(&self, word: &str) -> bool {
        self.name_words.contains(word)
    }

    /// Whether a word stands in identifiers for no more than that something is a field.
    pub fn is_affix(&self, word: &str) -> bool {
        [&self.name_before, &self.name_after].into_iter().flatten().any(|affix| affix == word)
    }

    pub fn button(&self, name: &str) -> &[Phrase] {
        self.buttons.get(name).map_or(&[], Vec::as_slice)
    }

    /// What forms of this kind say.
    pub fn form(&self, name: &str) -> &[Phrase] {
        self.forms.get(name).map_or(&[], Vec::as_slice)
    }

    /// What a day, a month or a year alone is called.
    pub fn date_part(&self, name: &str) -> &[Phrase] {
        self.date_parts.get(name).map_or(&[], Vec::as_slice)
    }

    pub fn page(&self, name: &str) -> &[Phrase] {
        self.pages.get(name).map_or(&[], Vec::as_slice)
    }
}

fn parse(phrases: &[String]) -> impl Iterator<Item = Phrase> {
    phrases.iter().map(|phrase| Phrase::parse(phrase))
}

#[cfg(test)]
mod tests {
    use super::{FILES, Wording};

    #[test]
    fn every_wording_file_can_be_read() {
        let wording = Wording::read(&FILES).expect("valid wording");
        assert!(wording.kinds.len() > 40);
        for name in ["submit", "next", "apply", "never", "save", "unlock", "unlock_never"] {
            assert!(!wording.button(name).is_empty(), "{name}");
        }
        for name in [
            "confirmation",
            "already_applied",
            "closed",
            "expired",
            "login",
            "login_wall",
            "blocked",
            "captcha",
            "puzzle",
            "code",
            "wrong",
            "error",
            "review",
            "reference",
        ] {
            assert!(!wording.page(name).is_empty(), "{name}");
        }
        for name in ["login", "account", "recovery", "remember", "forgot"] {
            assert!(!wording.form(name).is_empty(), "{name}");
        }
        assert!(wording.kinds.values().flat_map(|kind| &kind.label).all(|phrase| phrase.length > 0));
    }
}
