//! What each field is for, from its words, type, `autocomplete`, name and surroundings.
//!
//! Every source votes; what a person reads weighs most. A field is named only when one kind is clearly ahead: a wrong value costs more
//! than an empty field. Pure; the words are data (`wording`).

use std::collections::BTreeMap;

use super::decoy;
use super::field::{Field, InputKind, NamedBy, without_mark};
use super::field_kind::FieldKind;
use super::snapshot::{Control, Snapshot};
use super::text::{self, Phrase, name_words, words};
use super::wording::{KindWords, Wording};

/// Votes by source.
const AUTOCOMPLETE: f32 = 3.0;
const AUTOCOMPLETE_INVENTED: f32 = 1.0;
const LABEL: f32 = 3.2;
const NEARBY: f32 = 2.4;
const SECTION: f32 = 1.2;
const PLACEHOLDER: f32 = 1.6;
const NAME: f32 = 1.7;
const TYPE_SURE: f32 = 4.0;
const TYPE_EMAIL: f32 = 2.2;
const TYPE_HINT: f32 = 0.9;
const EXAMPLE: f32 = 1.0;
/// Nothing else looks like `name@host`.
const EXAMPLE_EMAIL: f32 = 1.4;
/// What a kind needs to be believed, and how far it must be ahead of the next.
const ENOUGH: f32 = 1.3;
const AHEAD: f32 = 0.8;
/// A label that says something, but not this, makes what the name says less believable; most of all where a few letters say it, which may
/// be an accident.
const LABEL_IS_SILENT: f32 = 0.8;
const LABEL_IS_SILENT_NAME_SHORT: f32 = 0.6;
const NAME_SHORT_CHARS: usize = 6;
/// The part of a label that its phrase must fill, for kinds whose labels are short: one word, or more.
const ONE_WORD_PART: f32 = 0.5;
const PHRASE_PART: f32 = 0.34;
/// A label that begins with the phrase may go on explaining: "First name as it appears on your passport".
const PHRASE_FIRST_PART: f32 = 0.2;
/// A field that takes less than this holds a part of a phone number.
const PHONE_MIN_CHARS: u32 = 6;
/// "Name" alone may be the first, the last, a company's.
const BARE_NAME: f32 = 0.6;

pub fn classify_all(page: &Snapshot, fields: &mut [Field]) {
    for field in fields.iter_mut() {
        let (kind, confidence, evidence) = classify(page, field);
        field.kind = kind;
        field.confidence = confidence;
        field.evidence = evidence;
    }
    super::context_repair::repair(page, fields);
}

struct Votes {
    sums: BTreeMap<FieldKind, f32>,
    evidence: Vec<String>,
}

impl Votes {
    fn add(&mut self, kind: FieldKind, weight: f32, source: &str) {
        *self.sums.entry(kind).or_default() += weight;
        self.evidence.push(format!("{source}: {}", kind.as_str()));
    }
}

fn classify(page: &Snapshot, field: &Field) -> (FieldKind, f32, Vec<String>) {
    let control = field.first(page);
    let mut votes = Votes { sums: BTreeMap::new(), evidence: Vec::new() };
    if let Some(reason) = decoy::honeypot(control, field) {
        return (FieldKind::Honeypot, 1.0, vec![reason]);
    }
    let label = label_words(&field.label);
    let label_weight = match field.named_by {
        NamedBy::Label | NamedBy::Question => LABEL,
        NamedBy::Nearby => NEARBY,
        NamedBy::Placeholder => PLACEHOLDER + 1.0,
        NamedBy::Section => SECTION,
        NamedBy::Nothing => 0.0,
    };
    let by_label = best(&label, field, Source::Text { question: field.label.contains('?') })
        .or_else(|| by_first_part(&field.label, field));
    if let Some((kind, share)) = by_label {
        let share = if kind == FieldKind::FullName && label.len() == 1 { share * BARE_NAME } else { share };
        votes.add(kind, label_weight * share, "label");
    }
    match autocomplete_kind(&control.autocomplete) {
        // `new-password` in a text field only keeps the browser from filling it.
        Some(kind) if takes(kind, field.input) => votes.add(kind, AUTOCOMPLETE, "autocomplete"),
        Some(_) => {}
        // What is not of the standard is a name like others: `fname`, `zip`.
        None => {
            let invented = wording_words(&control.autocomplete);
            if let Some((kind, share)) = best(&invented, field, Source::Name { joined: &invented.concat() }) {
                votes.add(kind, AUTOCOMPLETE_INVENTED * share, "autocomplete");
            }
        }
    }
    if field.named_by != NamedBy::Placeholder
        && let Some((kind, share)) = best(&label_words(&control.placeholder), field, Source::Text { question: false })
    {
        votes.add(kind, PLACEHOLDER * share, "placeholder");
    }
    // Old pages write the label into the field itself.
    if field.named_by == NamedBy::Nothing
        && let Some((kind, share)) = best(&label_words(&control.preset), field, Source::Text { question: false })
    {
        votes.add(kind, (PLACEHOLDER + 1.0) * share, "preset");
    }
    if field.input == InputKind::File && by_label.is_none() {
        // "Choose file" and "Upload" are everywhere; what the file is stands around them.
        for (text, weight) in [
            (&control.group, NEARBY),
            (&control.nearby, NEARBY),
            (&control.container, PLACEHOLDER),
            (&control.section, PLACEHOLDER),
        ] {
            if let Some((kind, share)) = best(&label_words(text), field, Source::Text { question: false }) {
                votes.add(kind, weight * share, "around");
                break;
            }
        }
    }
    let says_something = label.iter().any(|word| word.chars().any(char::is_alphabetic));
    let silent = says_something && by_label.is_none() && !matches!(field.named_by, NamedBy::Nearby | NamedBy::Section);
    let name_weight = |name: &str| match (silent, words(name).concat().chars().count() < NAME_SHORT_CHARS) {
        (true, true) => NAME * LABEL_IS_SILENT_NAME_SHORT,
        (true, false) => NAME * LABEL_IS_SILENT,
        (false, _) => NAME,
    };
    for (name, source) in [(&control.name, "name"), (&control.id, "id")] {
        // The same word twice is one word.
        if source == "id" && control.id == control.name {
            continue;
        }
        if let Some((kind, share)) = best(&wording_words(name), field, Source::Name { joined: &words(name).concat() }) {
            let half = if source == "id" && !control.name.is_empty() { 0.5 } else { 1.0 };
            let weight = name_weight(name) * half;
            votes.add(kind, weight * share, source);
        }
    }
    if let Some(kind) = example_of(&control.placeholder).filter(|kind| takes(*kind, field.input)) {
        votes.add(kind, if kind == FieldKind::Email { EXAMPLE_EMAIL } else { EXAMPLE }, "example");
    }
    by_type(field, control, &mut votes);
    verdict(field, control, &label, votes)
}

/// The words of an identifier, with what is glued to a word taken off it: `txtemail`, `billingzip`, `phoneno`.
fn wording_words(name: &str) -> Vec<String> {
    let wording = Wording::get();
    let mut all = Vec::new();
    for word in name_words(name) {
        if wording.is_name_word(&word) {
            all.push(word);
            continue;
        }
        let known = |rest: &str| wording.is_name_word(rest).then(|| rest.to_owned());
        let before =
            wording.name_before.iter().find_map(|affix| Some((affix, known(word.strip_prefix(affix.as_str())?)?)));
        let after =
            wording.name_after.iter().find_map(|affix| Some((affix, known(word.strip_suffix(affix.as_str())?)?)));
        match (before, after) {
            (Some((affix, rest)), _) => all.extend([affix.clone(), rest]),
            (None, Some((affix, rest))) => all.extend([rest, affix.clone()]),
            (None, None) => all.push(word),
        }
    }
    all
}

/// The kind that a placeholder shows an example of.
fn example_of(placeholder: &str) -> Option<FieldKind> {
    let shown = placeholder.rsplit(' ').next().unwrap_or_default().trim_matches(['(', ')', '"', '\'', ',']);
    if let Some((name, host)) = shown.split_once('@')
        && !name.is_empty()
        && host.contains('.')
    {
        return Some(FieldKind::Email);
    }
    let is_digit = |c: char| c.is_ascii_digit() || matches!(c, 'x' | 'X' | '_' | '#');
    let is_phone = placeholder.chars().all(|c| is_digit(c) || matches!(c, '+' | '-' | '(' | ')' | ' ' | '.'));
    let parts: Vec<usize> =
        placeholder.split(|c: char| !is_digit(c)).map(|part| part.chars().count()).filter(|count| *count > 0).collect();
    // Three, three and four is a number of North America; a social security number has another middle.
    (is_phone && parts.ends_with(&[3, 3, 4])).then_some(FieldKind::Phone)
}

fn by_type(field: &Field, control: &Control, votes: &mut Votes) {
    match field.input {
        InputKind::Password => votes.add(FieldKind::Password, TYPE_SURE - 2.0, "type"),
        InputKind::Search => votes.add(FieldKind::Search, TYPE_SURE, "type"),
        InputKind::Email => votes.add(FieldKind::Email, TYPE_EMAIL, "type"),
        InputKind::Tel => votes.add(FieldKind::Phone, TYPE_HINT, "type"),
        InputKind::Url => votes.add(FieldKind::Website, TYPE_HINT, "type"),
        _ => {}
    }
    if control.role == "searchbox" || control.landmark == "search" {
        votes.add(FieldKind::Search, TYPE_SURE, "role");
    }
}

fn verdict(field: &Field, control: &Control, label: &[String], votes: Votes) -> (FieldKind, f32, Vec<String>) {
    let Votes { mut sums, mut evidence } = votes;
    merge_related(&mut sums);
    if control.max_length.is_some_and(|chars| chars < PHONE_MIN_CHARS) && sums.remove(&FieldKind::Phone).is_some() {
        evidence.push("too short for a phone number".to_owned());
    }
    // What is typed to get a newsletter is an address.
    if field.input.is_typed()
        && sums.contains_key(&FieldKind::Email)
        && let Some(vote) = sums.remove(&FieldKind::Newsletter)
    {
        *sums.entry(FieldKind::Email).or_default() += vote;
    }
    let other = about_another(control, field);
    if let Some(section) = other {
        sums.retain(|kind, _| !kind.is_identity() && !matches!(kind, FieldKind::StartDate | FieldKind::Website));
        evidence.push(format!("about another: {section}"));
    }
    let total: f32 = sums.values().sum();
    let mut ranked: Vec<(FieldKind, f32)> = sums.into_iter().collect();
    ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
    let second = ranked.get(1).map_or(0.0, |(_, sum)| *sum);
    match ranked.first() {
        Some(&(kind, sum)) if sum >= ENOUGH && sum - second >= AHEAD => {
            let confidence = (sum / total.max(LABEL)).clamp(0.0, 1.0);
            (kind, confidence, evidence)
        }
        _ if is_question(field, label) => (FieldKind::Question, 0.5, evidence),
        _ => (FieldKind::Unknown, 0.0, evidence),
    }
}

/// Sources name the same thing more or less exactly: the more exact one takes the vote of the other.
fn merge_related(sums: &mut BTreeMap<FieldKind, f32>) {
    let more_exact = [
        (FieldKind::Email, FieldKind::ConfirmEmail),
        (FieldKind::Email, FieldKind::UsernameOrEmail),
        (FieldKind::Username, FieldKind::UsernameOrEmail),
        (FieldKind::Phone, FieldKind::PhoneCountryCode),
        (FieldKind::Phone, FieldKind::PhoneExtension),
        (FieldKind::Phone, FieldKind::PhoneType),
        (FieldKind::Country, FieldKind::PhoneCountryCode),
        (FieldKind::Street, FieldKind::Street2),
        (FieldKind::Password, FieldKind::PasswordNew),
        (FieldKind::Password, FieldKind::PasswordCurrent),
        (FieldKind::Expiration, FieldKind::ExpirationMonth),
        (FieldKind::Expiration, FieldKind::ExpirationYear),
        (FieldKind::Birthday, FieldKind::BirthdayDay),
        (FieldKind::Birthday, FieldKind::BirthdayMonth),
        (FieldKind::Birthday, FieldKind::BirthdayYear),
        (FieldKind::Website, FieldKind::Linkedin),
        (FieldKind::Website, FieldKind::Github),
        (FieldKind::Website, FieldKind::Portfolio),
        (FieldKind::Website, FieldKind::Twitter),
        (FieldKind::Resume, FieldKind::ResumeText),
        // "City, state, zip" stands before three fields.
        (FieldKind::Location, FieldKind::State),
        (FieldKind::Location, FieldKind::PostalCode),
        (FieldKind::Location, FieldKind::Country),
    ];
    for (rough, exact) in more_exact {
        if sums.contains_key(&exact)
            && let Some(vote) = sums.remove(&rough)
        {
            *sums.entry(exact).or_default() += vote;
        }
    }
    // A city and a place name the same thing more or less fully: the louder one has its way, and the other agrees.
    if let (Some(&city), Some(&place)) = (sums.get(&FieldKind::City), sums.get(&FieldKind::Location)) {
        let (loud, quiet) =
            if city >= place { (FieldKind::City, FieldKind::Location) } else { (FieldKind::Location, FieldKind::City) };
        sums.remove(&quiet);
        sums.insert(loud, city + place);
    }
}

/// Fields about an emergency contact, a referee or a former employer ask for somebody else's data.
fn about_another(control: &Control, field: &Field) -> Option<String> {
    let wording = Wording::get();
    if text::any(&wording.other_person, &words(&field.label)) {
        return Some(field.label.clone());
    }
    [&control.group, &control.section]
        .into_iter()
        .find(|text| text::any(&wording.other_section, &words(text)) && **text != field.label)
        .cloned()
}

/// "Email (we never share it)", "Phone: include your code": what comes first is the label, the rest explains. Nothing is gained by it where
/// the rest tells that it is about somebody else.
fn by_first_part(label: &str, field: &Field) -> Option<(FieldKind, f32)> {
    let wording = Wording::get();
    let said = words(label);
    if label.contains('?') || text::any(&wording.other_person, &said) || text::any(&wording.other_party, &said) {
        return None;
    }
    let first = label
        .split(['*', ':', '(', '.', '\n', '\u{2013}', '\u{2014}', '|', '['])
        .map(str::trim)
        .find(|part| !part.is_empty())?;
    if first.len() < label.trim().len() {
        best(&label_words(first), field, Source::Text { question: false })
    } else {
        None
    }
}

#[derive(Clone, Copy)]
enum Source<'a> {
    Text { question: bool },
    Name { joined: &'a str },
}

/// The kind the words fit best, and how well (0 to 1).
fn best(words: &[String], field: &Field, source: Source) -> Option<(FieldKind, f32)> {
    if words.is_empty() {
        return None;
    }
    let wording = Wording::get();
    let other_party = match source {
        Source::Text { .. } => text::any(&wording.other_person, words) || text::any(&wording.other_party, words),
        // In `contact[company]` the last word tells.
        Source::Name { .. } => {
            words.last().is_some_and(|last| text::any(&wording.other_party, std::slice::from_ref(last)))
        }
    };
    let mut fits: Vec<(FieldKind, usize, f32)> = Vec::new();
    for (&kind, kind_words) in &wording.kinds {
        if !takes(kind, field.input) || text::any(&kind_words.not, words) || (other_party && kind.is_identity()) {
            continue;
        }
        let Some(length) = fit(kind_words, words, &source) else { continue };
        let coverage = coverage(kind_words, words, length, &source);
        if let Source::Text { question } = source {
            let first = kind_words
                .label
                .iter()
                .any(|phrase| phrase.length == length && words.len() >= length && phrase.is_whole(&words[..length]));
            let part = match length {
                1 => ONE_WORD_PART,
                _ if first => PHRASE_FIRST_PART,
                _ if question => ONE_WORD_PART,
                _ => PHRASE_PART,
            };
            if !kind.is_asked_in_words() && coverage < part {
                continue;
            }
        }
        fits.push((kind, length, coverage));
    }
    prefer_sponsorship(&mut fits, words);
    fits.sort_by(|a, b| b.1.cmp(&a.1).then(b.2.total_cmp(&a.2)));
    let &(kind, length, coverage) = fits.first()?;
    let tie = fits.get(1).is_some_and(|&(other, also, _)| also == length && !related(kind, other));
    let share = if kind.is_asked_in_words() { 1.0 } else { 0.6 + 0.4 * coverage };
    Some((kind, if tie { share * 0.5 } else { share }))
}

/// The part of the words that the kind's phrases fill; what joins two of them ("state or province") does not count, nor what programs put
/// into identifiers.
fn coverage(kind: &KindWords, words: &[String], length: usize, source: &Source) -> f32 {
    let mut covered = vec![false; words.len()];
    let phrases = if matches!(source, Source::Text { .. }) { &kind.label } else { &kind.name };
    for phrase in phrases {
        phrase.cover(words, &mut covered);
    }
    let filled = covered.iter().filter(|covered| **covered).count().max(length);
    let in_name = matches!(source, Source::Name { .. });
    let says_nothing = |word: &str| {
        matches!(word, "or" | "and")
            || in_name && (word.bytes().all(|c| c.is_ascii_digit()) || Wording::get().is_affix(word))
    };
    let total = words.iter().zip(&covered).filter(|(word, covered)| **covered || !says_nothing(word)).count();
    filled as f32 / total.max(filled) as f32
}

fn fit(kind: &KindWords, words: &[String], source: &Source) -> Option<usize> {
    let whole = |phrases: &[Phrase]| phrases.iter().any(|phrase| phrase.is_whole(words));
    match source {
        Source::Text { .. } => {
            if whole(&kind.whole) {
                return Some(words.len());
            }
            text::longest(&kind.label, words)
        }
        Source::Name { joined } => {
            let inside = kind.name.iter().filter(|phrase| phrase.is_inside(joined)).map(|phrase| phrase.length).max();
            text::longest(&kind.name, words).max(inside)
        }
    }
}

/// "Will you require sponsorship to be authorized to work here?" asks for the sponsorship; "… without sponsorship?" for the right to work.
fn prefer_sponsorship(fits: &mut Vec<(FieldKind, usize, f32)>, words: &[String]) {
    let has = |kind| fits.iter().any(|(fit, ..)| *fit == kind);
    if has(FieldKind::Sponsorship) && has(FieldKind::WorkAuthorization) {
        let without = text::any(&Wording::get().without, words);
        let drop = if without { FieldKind::Sponsorship } else { FieldKind::WorkAuthorization };
        fits.retain(|(fit, ..)| *fit != drop);
    }
}

fn related(a: FieldKind, b: FieldKind) -> bool {
    let mut sums = BTreeMap::from([(a, 1.0), (b, 1.0)]);
    merge_related(&mut sums);
    sums.len() == 1
}

/// Whether a field of this input can be of this kind.
fn takes(kind: FieldKind, input: InputKind) -> bool {
    use FieldKind as K;
    use InputKind as I;
    match kind {
        K::Resume | K::CoverLetter | K::OtherDocument => input == I::File,
        K::ResumeText | K::CoverLetterText => input == I::LongText,
        K::Consent => matches!(input, I::Checkbox | I::Checkboxes | I::Radio | I::Select | I::Combobox),
        K::Newsletter => matches!(input, I::Checkbox | I::Checkboxes | I::Radio | I::Email | I::Text),
        K::Email
        | K::ConfirmEmail
        | K::UsernameOrEmail
        | K::Username
        | K::Linkedin
        | K::Github
        | K::Website
        | K::Portfolio
        | K::Twitter => {
            matches!(input, I::Text | I::Email | I::Url | I::Tel | I::Search | I::LongText)
        }
        K::FirstName | K::MiddleName | K::LastName | K::FullName | K::PreferredName | K::CardName | K::Signature => {
            input.is_typed() && !matches!(input, I::Date)
        }
        K::Street | K::Street2 | K::Location => matches!(input, I::Text | I::LongText | I::Search | I::Combobox),
        // A box that scripts make of a division is one of long text.
        K::Phone => matches!(input, I::Text | I::Tel | I::Number | I::LongText),
        K::PhoneExtension => matches!(input, I::Text | I::Tel | I::Number),
        K::City | K::PostalCode => matches!(input, I::Text | I::Tel | I::Number | I::Select | I::Combobox | I::Search),
        K::State | K::Country | K::PhoneCountryCode | K::PhoneType | K::Language => {
            matches!(input, I::Text | I::Select | I::Combobox | I::Radio | I::Tel)
        }
        K::Password | K::PasswordNew | K::PasswordCurrent => matches!(input, I::Password),
        K::Search => matches!(input, I::Text | I::Search),
        K::Honeypot => input.is_typed(),
        _ => input != I::File,
    }
}

/// Whether a label names something only an applicant has: for pages that show answers.
pub fn is_personal_label(label: &str) -> bool {
    use FieldKind as K;
    let kinds = &Wording::get().kinds;
    let said = label_words(label);
    let personal = [
        K::FirstName,
        K::LastName,
        K::FullName,
        K::Email,
        K::Phone,
        K::Street,
        K::PostalCode,
        K::Sponsorship,
        K::WorkAuthorization,
    ];
    personal.into_iter().filter_map(|kind| kinds.get(&kind)).any(|kind| {
        let source = Source::Text { question: false };
        !text::any(&kind.not, &said)
            && fit(kind, &said, &source).is_some_and(|length| coverage(kind, &said, length, &source) >= ONE_WORD_PART)
    })
}

/// HTML §4.10.18.7: the last token that is a field's name; sections, `home` and the like come before it.
fn autocomplete_kind(autocomplete: &str) -> Option<FieldKind> {
    use FieldKind as K;
    autocomplete.split_whitespace().rev().find_map(|token| {
        Some(match token {
            "given-name" => K::FirstName,
            "additional-name" => K::MiddleName,
            "family-name" => K::LastName,
            "name" => K::FullName,
            "nickname" => K::PreferredName,
            "email" => K::Email,
            "tel" | "tel-national" | "tel-local" => K::Phone,
            "tel-country-code" => K::PhoneCountryCode,
            "tel-extension" => K::PhoneExtension,
            "street-address" | "address-line1" => K::Street,
            "address-line2" | "address-line3" => K::Street2,
            "address-level2" => K::City,
            "address-level1" => K::State,
            "postal-code" => K::PostalCode,
            "country" | "country-name" => K::Country,
            "url" => K::Website,
            "username" => K::Username,
            "current-password" => K::PasswordCurrent,
            "new-password" => K::PasswordNew,
            "one-time-code" => K::Totp,
            "cc-name" | "cc-given-name" | "cc-family-name" => K::CardName,
            "cc-number" => K::CardNumber,
            "cc-csc" => K::CardSecurityCode,
            "cc-exp" => K::Expiration,
            "cc-exp-month" => K::ExpirationMonth,
            "cc-exp-year" => K::ExpirationYear,
            "bday" => K::Birthday,
            "bday-day" => K::BirthdayDay,
            "bday-month" => K::BirthdayMonth,
            "bday-year" => K::BirthdayYear,
            "sex" => K::Demographic,
            _ => return None,
        })
    })
}

fn is_question(field: &Field, label: &[String]) -> bool {
    !label.is_empty()
        && (field.label.contains('?')
            || label.len() > 3
            || field.input.is_choice()
            || field.input == InputKind::LongText)
}

/// The label's words without its mark, its lead-in and "optional".
pub fn label_words(label: &str) -> Vec<String> {
    let wording = Wording::get();
    let label = without_mark(label);
    let mut all = words(label);
    for phrase in &wording.optional {
        if phrase.is_in(&all) && all.len() > phrase.length && !label.contains('?') {
            let at = all.windows(phrase.length).position(|window| phrase.is_whole(window));
            if let Some(at) = at {
                all.drain(at..at + phrase.length);
            }
        }
    }
    if all.len() > 1 && all.last().is_some_and(|last| last == "required" || last == "mandatory") && !label.contains('?')
    {
        all.pop();
    }
    // Lead-ins may follow each other: "please enter your …".
    while let Some(phrase) =
        wording.lead_in.iter().find(|phrase| all.len() > phrase.length && phrase.is_whole(&all[..phrase.length]))
    {
        all.drain(..phrase.length);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::label_words;

    #[test]
    fn lead_ins_and_marks_say_nothing() {
        let check = |label: &str, expect: &str| assert_eq!(label_words(label).join(" "), expect, "{label}");
        check("Please enter your first name *", "first name");
        check("What is your email address?", "email address");
        check("Middle name (optional)", "middle name");
        check("Phone - required", "phone");
        check("Your", "your");
        check("How did you hear about us? (optional)", "how did you hear about us");
    }
}
