//! What the neighbours say about a field: the second e-mail address, the lone "name" beside a last name, the code before a phone number.

use super::classify_field::label_words;
use super::field::{Field, InputKind};
use super::field_kind::FieldKind;
use super::form_kind::{self, FormKind, Group};
use super::places;
use super::snapshot::Snapshot;
use super::text::{self, words};
use super::wording::Wording;

/// Most of a list's options must be countries or states for the list to be one of them.
const MOST: f32 = 0.6;

pub fn repair(page: &Snapshot, fields: &mut [Field]) {
    options_tell(fields);
    lone_names(page, fields);
    lone_locations(page, fields);
    second_lines(page, fields);
    confirmations(page, fields);
    phone_codes(page, fields);
    date_parts(page, fields);
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

/// "Name" beside "Last name" is the first name, and beside "First name" the last; French `nom` and German `Name` are used so.
fn lone_names(page: &Snapshot, fields: &mut [Field]) {
    let forms: Vec<(Option<usize>, FieldKind)> =
        fields.iter().map(|field| (field.first(page).form, field.kind)).collect();
    for place in 0..fields.len() {
        if fields[place].kind != FieldKind::FullName {
            continue;
        }
        let first = fields[place].first(page);
        let form = first.form;
        let has = |kind| forms.contains(&(form, kind));
        let near =
            |kind| (place > 0 && forms[place - 1] == (form, kind)) || forms.get(place + 1) == Some(&(form, kind));
        let bare = is_bare_name(&fields[place].label) && first.autocomplete != "name";
        let card = has(FieldKind::CardNumber) && !has(FieldKind::Street) && first.autocomplete.is_empty();
        let field = &mut fields[place];
        if bare && has(FieldKind::LastName) && !has(FieldKind::FirstName) {
            set(field, FieldKind::FirstName, 0.8, "a last name is beside it");
        } else if bare && near(FieldKind::FirstName) && !has(FieldKind::LastName) {
            set(field, FieldKind::LastName, 0.8, "a first name is beside it");
        } else if bare && card {
            set(field, FieldKind::CardName, 0.7, "a card's number is beside it");
        }
    }
}

/// "Name" and nothing more, in any language.
fn is_bare_name(label: &str) -> bool {
    let said = label_words(label);
    said.len() == 1
        && Wording::get()
            .kinds
            .get(&FieldKind::FullName)
            .is_some_and(|kind| kind.whole.iter().any(|word| word.is_whole(&said)))
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

/// The second of two street fields next to each other is its second line.
fn second_lines(page: &Snapshot, fields: &mut [Field]) {
    for place in 1..fields.len() {
        let (before, rest) = fields.split_at_mut(place);
        let (first, second) = (&before[place - 1], &mut rest[0]);
        let beside =
            first.first(page).form == second.first(page).form && first.first(page).frame == second.first(page).frame;
        if first.kind == FieldKind::Street && second.kind == FieldKind::Street && beside {
            set(second, FieldKind::Street2, 0.7, "it follows a street");
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

/// "Day", "Month" and "Year" belong to a birthday beside one of its parts or where all three stand together, and else to a card.
fn date_parts(page: &Snapshot, fields: &mut [Field]) {
    let wording = Wording::get();
    let part_of = |field: &Field| {
        let control = field.first(page);
        [&field.label, &control.placeholder].into_iter().find_map(|text| {
            let said = label_words(text);
            ["day", "month", "year"]
                .into_iter()
                .find(|part| wording.date_part(part).iter().any(|word| word.is_whole(&said)))
        })
    };
    let parts: Vec<Option<&str>> = fields.iter().map(part_of).collect();
    let is_card = |kind: FieldKind| {
        matches!(
            kind,
            FieldKind::CardNumber | FieldKind::CardSecurityCode | FieldKind::ExpirationYear | FieldKind::Expiration
        )
    };
    for place in 0..fields.len() {
        let Some(part) = parts[place] else { continue };
        let form = fields[place].first(page).form;
        let around = place.saturating_sub(2)..(place + 3).min(fields.len());
        let beside = |test: &dyn Fn(usize) -> bool| {
            around.clone().any(|other| other != place && fields[other].first(page).form == form && test(other))
        };
        let control = fields[place].first(page);
        let born =
            [&control.group, &control.nearby, &control.section, &control.name, &control.id].into_iter().any(|text| {
                wording
                    .kinds
                    .get(&FieldKind::Birthday)
                    .is_some_and(|kind| text::any(&kind.label, &text::name_words(text)))
            });
        let of_birthday =
            born || beside(&|other| {
                matches!(
                    fields[other].kind,
                    FieldKind::BirthdayDay | FieldKind::BirthdayMonth | FieldKind::BirthdayYear
                ) || (part != "day" && parts[other] == Some("day"))
            }) || (part == "day" && beside(&|other| parts[other] == Some("year")));
        let kind = match (of_birthday, part) {
            (true, "day") => FieldKind::BirthdayDay,
            (true, "month") => FieldKind::BirthdayMonth,
            (true, _) => FieldKind::BirthdayYear,
            (false, "month") if beside(&|other| is_card(fields[other].kind)) => FieldKind::ExpirationMonth,
            (false, "year")
                if beside(&|other| is_card(fields[other].kind) || fields[other].kind == FieldKind::ExpirationMonth) =>
            {
                FieldKind::ExpirationYear
            }
            _ => continue,
        };
        if fields[place].kind != kind {
            set(&mut fields[place], kind, 0.8, "its neighbours are parts of the same date");
        }
    }
}

/// In a login the address is a name to log in with; where an account is made, "e-mail or phone" is an e-mail address.
fn logins(page: &Snapshot, fields: &mut [Field]) {
    for Group { kind, fields: own } in form_kind::groups(page, fields) {
        match kind {
            FormKind::Login => {
                let names = [FieldKind::Email, FieldKind::ConfirmEmail, FieldKind::Phone];
                turn(fields, &own, &names, FieldKind::UsernameOrEmail, "a login");
                turn(fields, &own, &[FieldKind::FullName], FieldKind::Username, "a login");
            }
            FormKind::Account => {
                turn(fields, &own, &[FieldKind::UsernameOrEmail], FieldKind::Email, "an account is made here");
            }
            FormKind::Recovery | FormKind::Other => {}
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
