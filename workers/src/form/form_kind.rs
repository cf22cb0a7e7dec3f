//! What a form is for, as far as that changes what its fields mean: in a login an e-mail address is the name of an
//! account. Pure; the words are data.

use super::field::{Field, InputKind};
use super::field_kind::FieldKind;
use super::snapshot::{Button, Snapshot};
use super::text::{self, Phrase, name_words, words};
use super::wording::Wording;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormKind {
    Login,
    /// An account is made or changed.
    Account,
    /// A forgotten password is asked for.
    Recovery,
    Other,
}

/// Fields that belong together: those of a form, or those outside any form that no button parts.
#[derive(Debug)]
pub struct Group {
    pub kind: FormKind,
    /// Indexes of its fields, in document order.
    pub fields: Vec<usize>,
}

/// A button's words that are more than this are a sentence.
const BUTTON_WORDS_MAX: usize = 6;
/// "Sign in with …" is another way into the same.
const LINK_WORDS_MAX: usize = 3;
/// Buttons and links this near to fields outside any form, counted in controls and buttons, belong to them.
const NEAR: u32 = 4;
/// What an identifier without separators may contain by accident is shorter.
const INSIDE_MIN_CHARS: usize = 5;

pub fn groups(page: &Snapshot, fields: &[Field]) -> Vec<Group> {
    let mut groups: Vec<(&[String], Option<usize>, Vec<usize>)> = Vec::new();
    for (index, field) in fields.iter().enumerate() {
        let control = field.first(page);
        let own = |group: &&mut (&[String], Option<usize>, Vec<usize>)| {
            group.0 == control.frame
                && group.1 == control.form
                && (control.form.is_some() || !group.2.last().is_some_and(|&last| parted(page, &fields[last], field)))
        };
        match groups.iter_mut().rev().find(own) {
            Some(group) => group.2.push(index),
            None => groups.push((&control.frame, control.form, vec![index])),
        }
    }
    groups
        .into_iter()
        .map(|(frame, form, own)| Group { kind: kind_of(page, fields, frame, form, &own), fields: own })
        .collect()
}

/// Whether what hands one form in stands between two fields that are in no form.
fn parted(page: &Snapshot, before: &Field, after: &Field) -> bool {
    let between = before.first(page).order..after.first(page).order;
    page.buttons.iter().any(|button| {
        button.type_ == "submit" && between.contains(&button.order) && {
            let said = words(&button.text);
            ["login", "account"].into_iter().any(|what| says(Wording::get().form(what), &said))
        }
    })
}

fn kind_of(page: &Snapshot, fields: &[Field], frame: &[String], form: Option<usize>, own: &[usize]) -> FormKind {
    let wording = Wording::get();
    let count = |test: &dyn Fn(&Field) -> bool| own.iter().filter(|&&index| test(&fields[index])).count();
    let passwords = count(&|field| field.input == InputKind::Password);
    // Who somebody is, not by what name they log in.
    let person = count(&|field| {
        matches!(
            field.kind,
            FieldKind::FirstName
                | FieldKind::LastName
                | FieldKind::MiddleName
                | FieldKind::Street
                | FieldKind::City
                | FieldKind::PostalCode
                | FieldKind::Birthday
                | FieldKind::BirthdayDay
                | FieldKind::BirthdayMonth
                | FieldKind::BirthdayYear
        ) || field.kind.is_application()
    });
    let has = |kind| own.iter().any(|&index| fields[index].kind == kind);
    let (new_password, current_password) = (has(FieldKind::PasswordNew), has(FieldKind::PasswordCurrent));
    let typed = count(&|field| field.input.is_typed());
    if person > 1 || passwords > 1 && !current_password {
        return if passwords > 0 { FormKind::Account } else { FormKind::Other };
    }
    let texts = texts_of(page, fields, frame, form, own);
    let weigh = |what: &str| -> i32 {
        let phrases = wording.form(what);
        let button = texts.buttons.iter().any(|said| says(phrases, said));
        let named = texts.names.iter().any(|name| named(phrases, name));
        let heading = texts.headings.iter().any(|said| says(phrases, said));
        3 * i32::from(button) + 2 * i32::from(named) + i32::from(heading)
    };
    // "Already have an account? Sign in" stands in a sign-up, "Sign up" in a login.
    let leads_to = |what: &str| {
        2 * i32::from(texts.links.iter().any(|said| said.len() <= LINK_WORDS_MAX && says(wording.form(what), said)))
    };
    let said_beside = |what: &str| i32::from(texts.beside.iter().any(|said| says(wording.form(what), said)));
    let account = weigh("account")
        + leads_to("login")
        + 3 * i32::from(new_password)
        + 2 * i32::from(has(FieldKind::Username) && has(FieldKind::Email))
        + 2 * i32::from(person > 0)
        + 3 * i32::from(has(FieldKind::ConfirmEmail))
        + i32::from(has(FieldKind::Consent));
    let login = weigh("login")
        + leads_to("account")
        + 2 * said_beside("remember")
        + 2 * said_beside("forgot")
        + 3 * i32::from(current_password);
    if passwords == 0 {
        if weigh("recovery") >= 2 && weigh("login") < 3 {
            return FormKind::Recovery;
        }
        // The first page of a login asks for the name alone.
        let lone_name = typed == 1 && count(&|field| field.has_vote(FieldKind::Username)) > 0;
        let is_login = typed <= 2 && login > account && login >= 3 || lone_name && login >= account;
        return if is_login { FormKind::Login } else { FormKind::Other };
    }
    // Where nothing is said: an account asks for more than a name and a password.
    if account > login || (account == login && typed > 2) { FormKind::Account } else { FormKind::Login }
}

struct Texts {
    buttons: Vec<Vec<String>>,
    /// Ids, names and addresses of the form.
    names: Vec<Vec<String>>,
    headings: Vec<Vec<String>>,
    links: Vec<Vec<String>>,
    /// Links, buttons and check boxes.
    beside: Vec<Vec<String>>,
}

fn texts_of(page: &Snapshot, fields: &[Field], frame: &[String], form: Option<usize>, own: &[usize]) -> Texts {
    let orders = own.iter().map(|&index| fields[index].first(page).order);
    let near = orders.clone().min().unwrap_or(0).saturating_sub(NEAR)..=orders.max().unwrap_or(0) + NEAR;
    let belongs = |button: &&Button| {
        button.frame == frame && button.form == form && (form.is_some() || near.contains(&button.order))
    };
    let said = |links: bool| {
        page.buttons
            .iter()
            .filter(belongs)
            .filter(move |button| (button.type_ == "link") == links)
            .map(|button| words(&button.text))
            .filter(move |said| links || said.len() <= BUTTON_WORDS_MAX)
    };
    let (buttons, links): (Vec<_>, Vec<_>) = (said(false).collect(), said(true).collect());
    let mut beside = links.clone();
    beside.extend(buttons.iter().cloned());
    let boxes = own.iter().map(|&index| &fields[index]).filter(|field| field.input == InputKind::Checkbox);
    beside.extend(boxes.map(|field| words(&field.label)));
    let mut texts = Texts { buttons, names: Vec::new(), headings: Vec::new(), links, beside };
    if let Some(form) = form.and_then(|form| page.forms.get(form)) {
        texts.names.extend([&form.id, &form.name, &form.action].map(|name| name_words(name)));
        texts.names.extend(form.context.iter().map(|word| words(word)));
        texts.headings.push(words(&form.label));
    }
    texts.headings.push(words(&page.title));
    texts.headings.extend(own.first().map(|&index| words(&fields[index].first(page).section)));
    texts
}

fn says(phrases: &[Phrase], said: &[String]) -> bool {
    text::any(phrases, said)
}

fn named(phrases: &[Phrase], name: &[String]) -> bool {
    let joined = name.concat();
    text::any(phrases, name) || phrases.iter().any(|phrase| phrase.is_inside_from(&joined, INSIDE_MIN_CHARS))
}
