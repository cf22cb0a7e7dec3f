//! What the neighbours say about a field: the second e-mail address, the lone "name" beside a last name, the code before a phone number.

use std::collections::BTreeSet;

use super::classify_field::label_words;
use super::field::{Field, InputKind};
use super::field_kind::FieldKind;
use super::places;
use super::snapshot::Snapshot;
use super::text::{self, name_words, words};
use super::wording::Wording;

/// Most of a list's options must be countries or states for the list to be one of them.
const MOST: f32 = 0.6;

pub fn repair(page: &Snapshot, fields: &mut [Field]) {
    options_tell(fields);
    lone_names(page, fields);
    lone_locations(page, fields);
    confirmations(page, fields);
    phone_codes(page, fields);
    logins(page, fields);
}

fn set(field: &mut Field, kind: FieldKind, confidence: f32, why: &str) {
    field.kind = kind;
    field.confidence = confidence;
    field.evidence.push(why.to_owned());
}

/// A list of countries, dialling codes or states is one whatever it is called, unless its words say something else.
fn options_tell(fields: &mut [Field]) {
    let open = |kind| matches!(kind, FieldKind::Unknown | FieldKind::State | FieldKind::Country);
    for field in fields.iter_mut().filter(|field| field.input == InputKind::Select && open(field.kind)) {
        let labels: Vec<&str> = field.choices().map(|option| option.label.as_str()).collect();
        if labels.len() < 5 {
            continue;
        }
        let most = |count: usize| count as f32 / labels.len() as f32 >= MOST;
        let codes = most(labels.iter().filter(|label| places::dial_code_in(label).is_some()).count());
        let countries = most(labels.iter().filter(|label| places::country(label).is_some()).count());
        let states = most(labels.iter().filter(|label| places::state(label).is_some()).count());
        match field.kind {
            FieldKind::Unknown if codes => {
                set(field, FieldKind::PhoneCountryCode, 0.8, "its options are dialling codes");
            }
            FieldKind::Unknown | FieldKind::Country if states && !countries => {
                set(field, FieldKind::State, 0.7, "its options are states");
            }
            FieldKind::State if countries && !states => {
                set(field, FieldKind::Country, 0.8, "its options are countries");
            }
            FieldKind::Unknown if countries && field.label.is_empty() => {
                set(field, FieldKind::Country, 0.7, "its options are countries");
            }
            _ => {}
        }
    }
}

/// "Name" beside "Last name" is the first name.
fn lone_names(page: &Snapshot, fields: &mut [Field]) {
    let forms: Vec<(Option<usize>, FieldKind)> =
        fields.iter().map(|field| (field.first(page).form, field.kind)).collect();
    for field in fields.iter_mut().filter(|field| field.kind == FieldKind::FullName) {
        let form = field.first(page).form;
        let has = |kind| forms.contains(&(form, kind));
        let bare = matches!(label_words(&field.label).as_slice(), [word] if word == "name" || word == "names");
        if bare && has(FieldKind::LastName) && !has(FieldKind::FirstName) {
            set(field, FieldKind::FirstName, 0.8, "a last name is beside it");
        } else if bare
            && has(FieldKind::CardNumber)
            && !has(FieldKind::Street)
            && field.first(page).autocomplete.is_empty()
        {
            set(field, FieldKind::CardName, 0.7, "a card's number is beside it");
        }
    }
}

/// "Where do you live?" beside a street, a postal code or a country asks for the city; so does "Where are you based? (city)" anywhere.
fn lone_locations(page: &Snapshot, fields: &mut [Field]) {
    let forms: Vec<(Option<usize>, FieldKind)> =
        fields.iter().map(|field| (field.first(page).form, field.kind)).collect();
    for field in fields.iter_mut().filter(|field| field.kind == FieldKind::Location) {
        let form = field.first(page).form;
        let has = |kind| forms.contains(&(form, kind));
        let parts = [FieldKind::Street, FieldKind::PostalCode, FieldKind::State, FieldKind::Country];
        let wording = Wording::get();
        let said = words(&field.label);
        if text::any(&wording.city, &said) && !text::any(&wording.wider_place, &said) {
            set(field, FieldKind::City, 0.8, "of a place it names the city alone");
        } else if !has(FieldKind::City) && parts.into_iter().any(has) {
            set(field, FieldKind::City, 0.7, "the rest of an address is beside it");
        }
    }
}

/// The second of two e-mail fields next to each other repeats the first.
fn confirmations(page: &Snapshot, fields: &mut [Field]) {
    for place in 1..fields.len() {
        let (before, rest) = fields.split_at_mut(place);
        let (first, second) = (&before[place - 1], &mut rest[0]);
        let beside = first.first(page).form == second.first(page).form && first.usable(page) && second.usable(page);
        if first.kind == FieldKind::Email && second.kind == FieldKind::Email && beside {
            set(second, FieldKind::ConfirmEmail, 0.8, "it follows an e-mail address");
        }
    }
}

/// A list of codes right before a phone number belongs to it.
fn phone_codes(page: &Snapshot, fields: &mut [Field]) {
    for place in 1..fields.len() {
        let (before, rest) = fields.split_at_mut(place);
        let (code, phone) = (&mut before[place - 1], &rest[0]);
        if phone.kind != FieldKind::Phone || !code.input.is_choice() || code.first(page).form != phone.first(page).form
        {
            continue;
        }
        if !matches!(code.kind, FieldKind::Unknown | FieldKind::Question | FieldKind::Phone | FieldKind::Country) {
            continue;
        }
        let options: Vec<_> = code.choices().collect();
        let codes = options.iter().filter(|option| places::dial_code_in(&option.label).is_some()).count();
        if codes >= 1 && codes * 2 >= options.len() {
            set(code, FieldKind::PhoneCountryCode, 0.8, "dialling codes before a phone number");
        }
    }
}

/// In a login the address is a name to log in with; where an account is made, "e-mail or phone" is an e-mail address.
fn logins(page: &Snapshot, fields: &mut [Field]) {
    let groups: BTreeSet<(Vec<String>, Option<usize>)> =
        fields.iter().map(|field| (field.first(page).frame.clone(), field.first(page).form)).collect();
    for (frame, form) in groups {
        let own: Vec<usize> = (0..fields.len())
            .filter(|&index| fields[index].first(page).form == form && fields[index].first(page).frame == frame)
            .collect();
        let count = |test: &dyn Fn(FieldKind) -> bool| own.iter().filter(|&&index| test(fields[index].kind)).count();
        let passwords = count(&|kind| matches!(kind, FieldKind::Password | FieldKind::PasswordCurrent));
        let makes_account = count(&|kind| kind == FieldKind::PasswordNew) > 0 || passwords > 1;
        let person = count(&|kind| {
            (kind.is_identity() && !is_login_name(kind)) || kind.is_application() || kind == FieldKind::Birthday
        }) > 0;
        let names = count(&is_login_name);
        if person || makes_account {
            turn(fields, &own, &[FieldKind::UsernameOrEmail], FieldKind::Email, "an account is made here");
            continue;
        }
        let (in_words, out_words) = login_words(page, &frame, form);
        let login = in_words && !out_words && (passwords == 1 || form.is_some());
        if login && (1..=2).contains(&names) {
            turn(fields, &own, &[FieldKind::Email, FieldKind::Phone], FieldKind::UsernameOrEmail, "a login");
        }
    }
}

fn turn(fields: &mut [Field], own: &[usize], from: &[FieldKind], into: FieldKind, why: &str) {
    for &index in own {
        if from.contains(&fields[index].kind) {
            set(&mut fields[index], into, 0.7, why);
        }
    }
}

fn is_login_name(kind: FieldKind) -> bool {
    matches!(
        kind,
        FieldKind::Email
            | FieldKind::Phone
            | FieldKind::UsernameOrEmail
            | FieldKind::ConfirmEmail
            | FieldKind::PhoneCountryCode
    )
}

/// Whether a form's buttons and names speak of logging in, and whether of making an account.
fn login_words(page: &Snapshot, frame: &[String], form: Option<usize>) -> (bool, bool) {
    let mut said: Vec<String> = page
        .buttons
        .iter()
        .filter(|button| button.frame == frame && button.form == form && button.type_ != "link")
        .map(|button| words(&button.text).join(" "))
        .collect();
    if let Some(form) = form.and_then(|form| page.forms.get(form)) {
        said.extend([&form.id, &form.name, &form.action].map(|name| name_words(name).join(" ")));
        said.extend(form.context.iter().cloned());
    }
    let has = |signs: &[&str]| {
        said.iter().any(|text| {
            signs.iter().any(|sign| {
                format!(" {text} ").contains(&format!(" {sign} "))
                    || (sign.len() > 5 && text.replace(' ', "").contains(&sign.replace(' ', "")))
            })
        })
    };
    (
        has(&["log in", "login", "sign in", "signin", "logon", "log on", "session"]),
        has(&[
            "sign up",
            "signup",
            "register",
            "registration",
            "create account",
            "create an account",
            "join",
            "subscribe",
            "newsletter",
        ]),
    )
}
