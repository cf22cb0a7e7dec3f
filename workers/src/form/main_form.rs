//! Which of a page's forms is the application; the search box, the newsletter and the login are others. Pure.

use super::field::Field;
use super::field_kind::FieldKind;
use super::snapshot::{Button, Snapshot};

/// The fields that belong together and are to be filled.
#[derive(Clone, Debug, PartialEq)]
pub struct MainForm {
    pub frame: Vec<String>,
    /// `None`: fields outside any form element.
    pub form: Option<usize>,
    /// Indexes of its usable fields.
    pub fields: Vec<usize>,
}

const ELSEWHERE: [&str; 4] = ["header", "footer", "navigation", "search"];
/// A form with as few fields as a login, a search or a newsletter has.
const SMALL: usize = 3;

impl MainForm {
    pub fn of(page: &Snapshot, fields: &[Field]) -> Option<Self> {
        let mut groups: Vec<Self> = Vec::new();
        for (index, field) in fields.iter().enumerate() {
            let control = field.first(page);
            if !field.usable(page) || (control.form.is_none() && is_elsewhere(&control.landmark, &control.context)) {
                continue;
            }
            match groups.iter_mut().find(|group| group.form == control.form && group.frame == control.frame) {
                Some(group) => group.fields.push(index),
                None => groups.push(Self { frame: control.frame.clone(), form: control.form, fields: vec![index] }),
            }
        }
        let scored = groups.into_iter().map(|group| (group.score(page, fields), group)).filter(|(score, _)| *score > 0);
        // The first of equals: what comes later on a page matters less.
        scored
            .fold(
                None,
                |best: Option<(i32, Self)>, (score, group)| {
                    if best.as_ref().is_some_and(|(top, _)| *top >= score) { best } else { Some((score, group)) }
                },
            )
            .map(|(_, group)| group)
    }

    /// Whether a button acts on this form.
    pub fn has_button(&self, button: &Button) -> bool {
        button.frame == self.frame
            && (button.form == self.form || (button.form.is_none() && !is_elsewhere(&button.landmark, &button.context)))
    }

    /// Doubled, so that halves stay whole numbers.
    fn score(&self, page: &Snapshot, fields: &[Field]) -> i32 {
        let own: Vec<&Field> = self.fields.iter().map(|&index| &fields[index]).collect();
        let worth = |field: &Field| match field.kind {
            FieldKind::Email | FieldKind::UsernameOrEmail => 2,
            kind if kind.is_application() => 6,
            kind if kind.is_identity() => 4,
            kind if kind.is_credential_or_payment() => -2,
            FieldKind::Search | FieldKind::Newsletter | FieldKind::Language | FieldKind::Honeypot => 0,
            _ if field.required => 2,
            _ => 1,
        };
        let score: i32 = own.iter().map(|field| worth(field)).sum();
        score - if own.len() <= SMALL { self.small_form_penalty(page, &own) } else { 0 }
    }

    fn small_form_penalty(&self, page: &Snapshot, own: &[&Field]) -> i32 {
        let form = self.form.and_then(|index| page.forms.get(index));
        let elsewhere = form.is_some_and(|form| form.role == "search" || is_elsewhere(&form.landmark, &form.context))
            || page.frame(&self.frame).is_some_and(|frame| is_elsewhere(&frame.landmark, &frame.context));
        // An application may make an account on the way, or ask for a code.
        let login = own.iter().any(|field| field.kind.is_credential_or_payment())
            && !own.iter().any(|field| field.kind.is_application());
        // "Get alerts", "Subscribe", "Search": a form that has buttons, none of which goes on with an application.
        let mut buttons = page
            .buttons
            .iter()
            .filter(|button| {
                button.form.is_some()
                    && button.form == self.form
                    && button.frame == self.frame
                    && button.type_ != "link"
            })
            .peekable();
        let does_other = buttons.peek().is_some() && !buttons.any(super::buttons::goes_on);
        if elsewhere || login || does_other { 12 } else { 0 }
    }
}

pub fn is_elsewhere(landmark: &str, context: &[String]) -> bool {
    ELSEWHERE.contains(&landmark)
        || context.iter().any(|word| {
            matches!(
                word.as_str(),
                "newsletter"
                    | "subscri"
                    | "search"
                    | "cookie"
                    | "footer"
                    | "navbar"
                    | "navigation"
                    | "login"
                    | "signin"
                    | "sign-in"
                    | "chat"
            )
        })
}
