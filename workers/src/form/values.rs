//! From what is to be said to what is to be done in a field: which option, which way of writing. Pure.

use std::path::PathBuf;

use super::field::{Field, FieldOption, InputKind};
use super::places;
use super::snapshot::{Control, Snapshot};
use super::text::{self, normal, words};
use super::wording::Wording;
use crate::browser::{Action, ActionKind, ActionValue, OptionChoice, Selectors};

/// A snapshot holds no more of a value than this, in UTF-16 units (`snapshot.js`); where that would halve a character, it is one less.
const VALUE_READ_MAX: usize = 1999;
const EDITABLE_READ_MAX: usize = 399;

/// What is to be said in a field, before it is known how the field takes it.
#[derive(Clone, Debug, PartialEq)]
pub enum Say {
    /// Ways to write it, most likely first.
    Text(Vec<String>),
    YesNo {
        yes: bool,
        in_words: Option<String>,
    },
    Country(String),
    State {
        state: String,
        country: String,
    },
    Dial {
        code: String,
        country: String,
    },
    /// Any of these options, as many as there are.
    Choices(Vec<String>),
    File(PathBuf, String),
}

/// How to say it here: the actions, what a person would read in the field afterwards, and other ways should the page refuse the first.
#[derive(Clone, Debug, PartialEq)]
pub struct Saying {
    pub actions: Vec<Action>,
    pub shown: String,
    pub other_ways: Vec<String>,
    pub satisfied: bool,
}

/// `None`: this field has no way to say it.
pub fn say(page: &Snapshot, field: &Field, what: &Say) -> Option<Saying> {
    match (field.input, what) {
        (InputKind::File, Say::File(path, filename)) => file(page, field, path, filename),
        (InputKind::File, _) | (_, Say::File(..)) => None,
        (InputKind::Checkbox, _) => tick(page, field, what),
        (InputKind::Combobox, _) => combobox(page, field, what),
        (input, _) if input.is_choice() => choose(page, field, &options(field, what)?),
        _ => write(page, field, ways(field, what)),
    }
}

fn action(page: &Snapshot, member: usize, field: &Field, kind: ActionKind, value: ActionValue) -> Action {
    let control = &page.controls[member];
    let target = Selectors { frame: control.frame.clone(), candidates: control.selectors.clone() };
    Action { kind, target, description: field.label.clone(), value: Some(value) }
}

fn write(page: &Snapshot, field: &Field, ways: Vec<String>) -> Option<Saying> {
    let control = field.first(page);
    let limit = control.max_length.map_or(usize::MAX, |limit| limit as usize);
    let mut ways: Vec<String> = ways
        .into_iter()
        .map(|way| as_typed(&way, field.input == InputKind::LongText))
        .filter(|way| !way.is_empty() && way.chars().count() <= limit)
        .collect();
    if field.input == InputKind::Number {
        ways.retain(|way| way.parse::<f64>().is_ok());
    }
    if field.input == InputKind::Date {
        ways.retain(|way| is_iso_date(way));
    }
    if ways.is_empty() {
        return None;
    }
    let shown = ways.remove(0);
    let same =
        |way: &String| holds(control, way) || (field.input == InputKind::Tel && digits(&control.value) == digits(way));
    let satisfied = same(&shown) || (ways.iter().any(same) && field.error.is_empty());
    let value = ActionValue::Text(shown.clone());
    Some(Saying {
        actions: vec![action(page, field.members[0], field, ActionKind::Fill, value)],
        shown,
        other_ways: ways,
        satisfied,
    })
}

/// Whether the control shows the text, as far as a snapshot tells it.
fn holds(control: &Control, text: &str) -> bool {
    let editable = control.type_ == "contenteditable";
    let squeezed = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let text = if editable { squeezed.as_str() } else { text };
    let read_max = if editable { EDITABLE_READ_MAX } else { VALUE_READ_MAX };
    control.value == text
        || (control.value.encode_utf16().count() >= read_max && text.starts_with(control.value.as_str()))
}

/// The text as a field can hold it: line breaks only where it has several lines, and nothing that no key types.
fn as_typed(text: &str, several_lines: bool) -> String {
    let clean = |line: &str| {
        let plain = line.chars().map(|c| if c.is_control() { ' ' } else { c });
        plain.filter(|c| !('\u{e000}'..='\u{f8ff}').contains(c)).collect::<String>()
    };
    if several_lines {
        text.replace("\r\n", "\n").split('\n').map(clean).collect::<Vec<_>>().join("\n").trim().to_owned()
    } else {
        let lines = text.lines().map(clean);
        lines.map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ")
    }
}

fn file(page: &Snapshot, field: &Field, path: &std::path::Path, filename: &str) -> Option<Saying> {
    let control = field.first(page);
    if !accepts(&control.accept, filename) {
        return None;
    }
    let satisfied = control.value.lines().any(|name| name == filename);
    let value = ActionValue::File(path.to_owned());
    Some(Saying {
        actions: vec![action(page, field.members[0], field, ActionKind::Upload, value)],
        shown: filename.to_owned(),
        other_ways: Vec::new(),
        satisfied,
    })
}

/// HTML §4.10.5.1.16. Types are judged by what the usual documents are called.
fn accepts(accept: &str, filename: &str) -> bool {
    let extension = filename.rsplit_once('.').map(|(_, extension)| extension.to_lowercase()).unwrap_or_default();
    let types: &[&str] = match extension.as_str() {
        "pdf" => &["application/pdf"],
        "doc" => &["application/msword"],
        "docx" => &["application/vnd.openxmlformats-officedocument.wordprocessingml.document"],
        "txt" => &["text/plain", "text/*"],
        "rtf" => &["application/rtf", "text/rtf", "text/*"],
        "odt" => &["application/vnd.oasis.opendocument.text"],
        "png" => &["image/png", "image/*"],
        "jpg" | "jpeg" => &["image/jpeg", "image/*"],
        _ => &[],
    };
    let mut rules = accept.split(',').map(|rule| rule.trim().to_lowercase()).filter(|rule| !rule.is_empty()).peekable();
    if rules.peek().is_none() {
        return true;
    }
    rules.any(|rule| {
        rule == "*/*"
            || rule == "*"
            || rule.strip_prefix('.') == Some(&extension)
            || types.contains(&rule.as_str())
            || (rule == "application/*" && types.iter().any(|kind| kind.starts_with("application/")))
    })
}

/// One box: ticked for yes. A box is left as it is for no; a ticked one is cleared.
fn tick(page: &Snapshot, field: &Field, what: &Say) -> Option<Saying> {
    let yes = match what {
        Say::YesNo { yes, .. } => *yes != has_negation(&field.label),
        Say::Text(ways) => yes_or_no(ways.first()?)?,
        Say::Choices(choices) => yes_or_no(choices.first()?)?,
        _ => return None,
    };
    let satisfied = field.first(page).checked == yes;
    let actions = vec![action(page, field.members[0], field, ActionKind::Check, ActionValue::Checked(yes))];
    Some(Saying { actions, shown: if yes { "yes" } else { "no" }.into(), other_ways: Vec::new(), satisfied })
}

fn choose(page: &Snapshot, field: &Field, chosen: &[&FieldOption]) -> Option<Saying> {
    let shown = chosen.iter().map(|option| option.label.as_str()).collect::<Vec<_>>().join(", ");
    let is_chosen = |option: &FieldOption| chosen.contains(&option);
    let satisfied = field.options.iter().all(|option| option.chosen == is_chosen(option));
    let actions = match field.input {
        InputKind::Select | InputKind::MultiSelect => {
            let choices = chosen
                .iter()
                .map(|option| OptionChoice { label: option.label.clone(), value: Some(option.value.clone()) })
                .collect();
            vec![action(page, field.members[0], field, ActionKind::Select, ActionValue::Options(choices))]
        }
        InputKind::Radio | InputKind::Checkboxes => {
            let changed = field
                .options
                .iter()
                .filter(|option| is_chosen(option) || (field.input == InputKind::Checkboxes && option.chosen));
            let check = |option: &FieldOption| {
                Some(action(page, option.member?, field, ActionKind::Check, ActionValue::Checked(is_chosen(option))))
            };
            changed.map(check).collect::<Option<Vec<_>>>()?
        }
        _ => return None,
    };
    Some(Saying { actions, shown, other_ways: Vec::new(), satisfied })
}

/// Its options are seen once it is open, so it is asked for by the words it will most likely show.
fn combobox(page: &Snapshot, field: &Field, what: &Say) -> Option<Saying> {
    let mut ways = ways(field, what);
    if ways.is_empty() {
        return None;
    }
    let shown = ways.remove(0);
    let control = field.first(page);
    let (wanted, around) = (words(&shown), words(&control.container));
    let holds = |said: &[String]| said.windows(wanted.len().max(1)).any(|window| window == wanted);
    let satisfied = words(&control.value) == wanted
        || (field.error.is_empty() && (around == wanted || holds(&around) && !holds(&words(&field.label))));
    let choice = OptionChoice { label: shown.clone(), value: None };
    let actions = vec![action(page, field.members[0], field, ActionKind::Select, ActionValue::Options(vec![choice]))];
    Some(Saying { actions, shown, other_ways: ways, satisfied })
}

/// In words, for fields that are written.
fn ways(field: &Field, what: &Say) -> Vec<String> {
    match what {
        Say::Text(ways) | Say::Choices(ways) => ways.clone(),
        Say::YesNo { yes, in_words } => {
            let plain = if *yes { "Yes" } else { "No" };
            match in_words {
                Some(words) if field.input == InputKind::LongText || field.input == InputKind::Text => {
                    vec![words.clone(), plain.into()]
                }
                _ => vec![plain.into()],
            }
        }
        Say::Country(country) => {
            let known = places::country(country);
            let name = known.map_or(country.clone(), |known| known.names[0].to_owned());
            vec![name, country.clone()]
        }
        Say::State { state, country } => {
            let known = places::state_in(state, places::country(country));
            match known {
                Some(known) if field.input == InputKind::Combobox => vec![known.name.into(), known.code.into()],
                Some(known) => vec![state.clone(), known.code.into(), known.name.into()],
                None => vec![state.clone()],
            }
        }
        Say::Dial { code, .. } => vec![format!("+{code}"), code.clone()],
        Say::File(..) => Vec::new(),
    }
}

/// The options that say it; `None` unless that is certain.
fn options<'a>(field: &'a Field, what: &Say) -> Option<Vec<&'a FieldOption>> {
    let one = |found: Option<&'a FieldOption>| found.map(|option| vec![option]);
    match what {
        Say::YesNo { yes, in_words } => {
            one(by_polarity(field, *yes)).or_else(|| one(in_words.as_ref().and_then(|said| by_words(field, said))))
        }
        Say::Country(country) => {
            let wanted = places::country(country);
            let of_country = |option: &&FieldOption| {
                wanted.is_some()
                    && (places::country(&option.label) == wanted
                        || (places::country(&option.label).is_none()
                            && option.value.len() <= 3
                            && places::country(&option.value.to_uppercase()) == wanted))
            };
            one(only(field.choices().filter(of_country)).or_else(|| by_words(field, country)))
        }
        Say::State { state, country } => {
            let wanted = places::state_in(state, places::country(country));
            let says = |text: &str| {
                wanted.is_some_and(|wanted| {
                    normal(text) == normal(wanted.name)
                        || text.trim().eq_ignore_ascii_case(wanted.code)
                        || normal(text) == normal(&format!("{} {}", wanted.name, wanted.code))
                        || normal(text) == normal(&format!("{} {}", wanted.code, wanted.name))
                })
            };
            one(only(field.choices().filter(|option| says(&option.label))).or_else(|| by_words(field, state)))
        }
        Say::Dial { code, country } => one(by_dial(field, code, country)),
        Say::Text(ways) => {
            let found = ways.iter().find_map(|way| by_words(field, way));
            one(found.or_else(|| yes_or_no(ways.first()?).and_then(|yes| by_polarity(field, yes))))
        }
        Say::Choices(choices) => {
            let whole = choices
                .iter()
                .map(|choice| {
                    by_words(field, choice).or_else(|| yes_or_no(choice).and_then(|yes| by_polarity(field, yes)))
                })
                .collect::<Option<Vec<_>>>()?;
            let several = matches!(field.input, InputKind::Checkboxes | InputKind::MultiSelect);
            (!whole.is_empty() && (several || whole.len() == 1)).then_some(whole)
        }
        Say::File(..) => None,
    }
}

fn only<'a>(mut found: impl Iterator<Item = &'a FieldOption>) -> Option<&'a FieldOption> {
    let first = found.next()?;
    found.next().is_none().then_some(first)
}

/// The same words; else the only option that begins with them or consists of them and filler.
fn by_words<'a>(field: &'a Field, said: &str) -> Option<&'a FieldOption> {
    let wanted = words(said);
    if wanted.is_empty() {
        return None;
    }
    let same = field
        .choices()
        .find(|option| words(&option.label) == wanted)
        .or_else(|| field.choices().find(|option| !option.value.is_empty() && words(&option.value) == wanted));
    same.or_else(|| {
        only(field.choices().filter(|option| words(&option.label).starts_with(&wanted) && wanted.len() > 1))
    })
}

fn by_dial<'a>(field: &'a Field, code: &str, country: &str) -> Option<&'a FieldOption> {
    let wanted = places::country(country);
    let shows = |option: &&FieldOption| {
        let shown = places::dial_code_in(&option.label)
            .or_else(|| places::dial_code_in(&option.value))
            .or_else(|| Some(digits(&option.label)).filter(|d| !d.is_empty()));
        shown.as_deref() == Some(code)
    };
    let names_country = |option: &&FieldOption| {
        let name: String = option.label.chars().filter(|c| !c.is_ascii_digit() && !"+()".contains(*c)).collect();
        wanted.is_some()
            && (places::country(name.trim()) == wanted || places::country(&option.value.to_uppercase()) == wanted)
    };
    only(field.choices().filter(shows))
        .or_else(|| only(field.choices().filter(shows).filter(names_country)))
        .or_else(|| only(field.choices().filter(names_country)))
}

/// The only option that says yes, or no.
fn by_polarity(field: &Field, yes: bool) -> Option<&FieldOption> {
    only(field.choices().filter(|option| polarity(&option.label, &field.label) == Some(yes)))
}

/// Whether an option says yes or no to its question: by its first word, else by repeating the question's words with or without a "not".
fn polarity(option: &str, question: &str) -> Option<bool> {
    let said = words(option);
    if let Some(yes) = yes_or_no(option) {
        return Some(yes);
    }
    let wording = Wording::get();
    let asked = words(question);
    let telling = said.iter().filter(|word| word.len() > 3 && !text::any(&wording.filler, std::slice::from_ref(*word)));
    let repeats = telling.filter(|word| asked.iter().any(|other| other.get(..4) == word.get(..4))).count();
    (repeats > 0 && !has_negation(question)).then(|| !has_negation(option))
}

fn has_negation(text: &str) -> bool {
    let negations = &Wording::get().negations;
    words(text).iter().any(|word| negations.iter().any(|phrase| phrase.is_whole(std::slice::from_ref(word))))
}

/// Yes or no by the way it begins.
pub fn yes_or_no(said: &str) -> Option<bool> {
    let said = words(said);
    let wording = Wording::get();
    let begins = |phrases: &[text::Phrase]| {
        phrases
            .iter()
            .filter(|phrase| said.len() >= phrase.length && phrase.is_whole(&said[..phrase.length]))
            .map(|phrase| phrase.length)
            .max()
    };
    match (begins(&wording.yes), begins(&wording.no)) {
        (Some(yes), Some(no)) => Some(yes > no),
        (Some(_), None) => Some(true),
        (None, Some(_)) => Some(false),
        (None, None) => None,
    }
}

fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}

pub fn is_iso_date(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    matches!(parts[..], [year, month, day] if year.len() == 4 && month.len() == 2 && day.len() == 2 && parts.iter().all(|part| part.chars().all(|c| c.is_ascii_digit())))
}

#[cfg(test)]
mod tests {
    use super::{accepts, as_typed, polarity, yes_or_no};

    #[test]
    fn an_option_says_yes_or_no_in_many_ways() {
        let question = "Are you legally authorized to work in this country?";
        let check = |option: &str, expect: Option<bool>| assert_eq!(polarity(option, question), expect, "{option}");
        check("Yes", Some(true));
        check("No", Some(false));
        check("Yes, I am authorized", Some(true));
        check("No, I am not", Some(false));
        check("I am not authorized to work", Some(false));
        check("I am authorized to work", Some(true));
        check("Authorized", Some(true));
        check("Not authorized", Some(false));
        check("Other", None);
        assert_eq!(yes_or_no("Norway"), None);
        assert_eq!(yes_or_no("true"), Some(true));
    }

    #[test]
    fn a_line_break_is_kept_only_where_the_field_has_lines() {
        assert_eq!(as_typed("one\r\ntwo\t!\n", true), "one\ntwo !");
        assert_eq!(as_typed("one\r\n\n two\n", false), "one two");
    }

    #[test]
    fn a_file_goes_only_where_its_type_is_taken() {
        let check = |accept: &str, filename: &str, expect: bool| {
            assert_eq!(accepts(accept, filename), expect, "{accept} {filename}");
        };
        check("", "cv.pdf", true);
        check(".pdf,.docx", "cv.PDF", true);
        check(".doc, .docx", "cv.pdf", false);
        check("application/pdf", "cv.pdf", true);
        check("image/*", "cv.pdf", false);
    }
}
