//! Forms that ask for something else than an application before they let anybody on: a login, a code, a puzzle. Pure.
//!
//! Only a page that asks nothing of an applicant has one: an application that makes an account on the way, or asks for the characters of a
//! picture at its end, is an application.

use super::buttons;
use super::field::{Field, InputKind};
use super::field_kind::FieldKind;
use super::page_kind::{PageKind, SHORT_TEXT_CHARS};
use super::snapshot::Snapshot;
use super::text::{self, words};
use super::wording::Wording;

/// Boxes for one character each that make up a code.
const BOXES_MIN: usize = 4;
const BOXES_MAX: usize = 10;

/// The form that stands in the way.
#[derive(Clone, Debug, PartialEq)]
pub struct Barrier {
    /// [`PageKind::Login`], [`PageKind::Code`] or [`PageKind::Captcha`].
    pub kind: PageKind,
    pub frame: Vec<String>,
    pub form: Option<usize>,
    /// Indexes of its usable fields.
    pub fields: Vec<usize>,
    pub why: &'static str,
}

impl Barrier {
    pub fn of(page: &Snapshot, fields: &[Field]) -> Option<Self> {
        let groups = groups(page, fields);
        if groups.iter().any(|group| applies(&group.own(fields))) {
            return None;
        }
        groups.into_iter().find_map(|group| group.judge(page, fields))
    }

    fn own<'a>(&self, fields: &'a [Field]) -> Vec<&'a Field> {
        self.fields.iter().map(|&index| &fields[index]).collect()
    }

    fn judge(mut self, page: &Snapshot, fields: &[Field]) -> Option<Self> {
        let asked: Vec<&Field> = self.own(fields).into_iter().filter(|field| asks(field)).collect();
        let (kind, why) = self.kind_of(page, &asked)?;
        self.kind = kind;
        self.why = why;
        Some(self)
    }

    fn kind_of(&self, page: &Snapshot, asked: &[&Field]) -> Option<(PageKind, &'static str)> {
        if asked.is_empty() {
            return None;
        }
        let of = |test: &dyn Fn(&Field) -> bool| asked.iter().filter(|field| test(field)).count();
        let passwords = of(&is_password);
        let names = of(&|field| is_login_name(field.kind));
        let others = asked.len() - passwords - names - of(&|field| is_proof(field.kind));
        let speaks_of_login = self.speaks_of_login(page);
        if passwords > 0 {
            let login = others == 0 || (others == 1 && speaks_of_login);
            return login.then_some((PageKind::Login, "a password and nothing of an application"));
        }
        let short = page.text.chars().count() <= SHORT_TEXT_CHARS;
        let free: Vec<&&Field> = asked.iter().filter(|field| !is_login_name(field.kind)).collect();
        let boxes = free.iter().all(|field| is_box(page, field)) && (BOXES_MIN..=BOXES_MAX).contains(&free.len());
        let typed = free.len() == 1 && free[0].input.is_typed();
        if !boxes && !typed {
            let login = free.is_empty() && names <= 2 && speaks_of_login;
            return login.then_some((PageKind::Login, "a name to log in with and nothing else"));
        }
        let said = |name: &str| says(page, Wording::get().page(name));
        let field = free[0];
        let open = matches!(
            field.kind,
            FieldKind::Unknown
                | FieldKind::Question
                | FieldKind::Totp
                | FieldKind::Captcha
                | FieldKind::PostalCode
                // What is called a security code where nothing is paid is not a card's.
                | FieldKind::CardSecurityCode
        );
        let pictured = field.first(page).picture;
        if !open && !boxes {
            return None;
        }
        let code = said("code") || boxes;
        let puzzle = short && (pictured || !code) && (said("captcha") || said("puzzle"));
        if field.kind == FieldKind::Captcha || puzzle {
            return Some((PageKind::Captcha, "a puzzle and nothing of an application"));
        }
        if code && short || field.kind == FieldKind::Totp {
            return Some(if pictured && !code {
                (PageKind::Captcha, "a picture's characters are asked for")
            } else {
                (PageKind::Code, "a code that was sent is asked for")
            });
        }
        None
    }

    /// The page's title, a heading or the form's own button speaks of logging in, and none of applying.
    fn speaks_of_login(&self, page: &Snapshot) -> bool {
        let wording = Wording::get();
        let headings = || {
            std::iter::once(&page.title)
                .chain(page.headings.iter().filter(|h| h.level <= 3).map(|heading| &heading.text))
        };
        let login = |line: &String| text::any(wording.page("login"), &words(line));
        let applies = headings().any(|line| !login(line) && text::any(wording.page("apply_heading"), &words(line)));
        let button = || {
            page.buttons.iter().any(|button| {
                button.frame == self.frame && button.form == self.form && button.type_ != "link" && login(&button.text)
            })
        };
        !applies && (headings().any(login) || button())
    }
}

/// Usable fields by the form they are in, in the order of the page.
fn groups(page: &Snapshot, fields: &[Field]) -> Vec<Barrier> {
    let mut groups: Vec<Barrier> = Vec::new();
    for (index, field) in fields.iter().enumerate() {
        let control = field.first(page);
        if !field.usable(page) {
            continue;
        }
        match groups.iter_mut().find(|group| group.form == control.form && group.frame == control.frame) {
            Some(group) => group.fields.push(index),
            None => groups.push(Barrier {
                kind: PageKind::Unknown,
                frame: control.frame.clone(),
                form: control.form,
                fields: vec![index],
                why: "",
            }),
        }
    }
    groups
}

/// Asks what only an applicant has to say.
fn applies(own: &[&Field]) -> bool {
    own.iter().any(|field| field.kind.is_application() || (field.kind.is_identity() && !is_login_name(field.kind) && field.kind != FieldKind::PostalCode))
        // Several questions of the form's own beside a name to write to.
        || own.iter().filter(|field| matches!(field.kind, FieldKind::Question) || field.input == InputKind::LongText).count() > 1
}

fn asks(field: &Field) -> bool {
    !matches!(
        field.kind,
        FieldKind::Consent | FieldKind::Newsletter | FieldKind::Language | FieldKind::Search | FieldKind::Honeypot
    ) && field.input != InputKind::Checkbox
}

pub(super) fn is_password(field: &Field) -> bool {
    field.input == InputKind::Password
        || matches!(field.kind, FieldKind::Password | FieldKind::PasswordCurrent | FieldKind::PasswordNew)
}

fn is_login_name(kind: FieldKind) -> bool {
    matches!(
        kind,
        FieldKind::Email
            | FieldKind::ConfirmEmail
            | FieldKind::UsernameOrEmail
            | FieldKind::Username
            | FieldKind::Phone
            | FieldKind::PhoneCountryCode
    )
}

fn is_proof(kind: FieldKind) -> bool {
    matches!(kind, FieldKind::Captcha | FieldKind::Totp)
}

/// One character of a code.
pub(super) fn is_box(page: &Snapshot, field: &Field) -> bool {
    field.first(page).max_length == Some(1) && (field.input.is_typed() || field.input == InputKind::Password)
}

/// Said in any line of the page, a label or the text in an empty field.
fn says(page: &Snapshot, phrases: &[text::Phrase]) -> bool {
    let lines = page.text.lines().chain(page.headings.iter().map(|heading| heading.text.as_str()));
    let controls = page.controls.iter().flat_map(|control| [control.label.as_str(), control.placeholder.as_str()]);
    lines.chain(controls).any(|line| text::any(phrases, &words(line)))
}

/// The button of the form in the way that goes on.
pub fn button(page: &Snapshot, barrier: &Barrier) -> Option<buttons::NextButton> {
    buttons::unlock_button(page, &barrier.frame, barrier.form)
}
