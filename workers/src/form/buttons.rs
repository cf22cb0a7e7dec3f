//! Which button goes on: to the next page, to the application's form, or to its end. Save, cancel, search and their like never do. Pure.

use serde::{Deserialize, Serialize};

use super::field::Field;
use super::main_form::{MainForm, is_elsewhere};
use super::snapshot::{Button, Snapshot};
use super::text::{self, Phrase, words};
use super::wording::Wording;
use crate::browser::{Action, ActionKind, Selectors};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NextKind {
    /// To the next page of the form.
    Next,
    /// Hands the application in: the effect that must happen once.
    Submit,
    /// From a posting to its form.
    Apply,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NextButton {
    pub kind: NextKind,
    pub text: String,
    pub action: Action,
    /// Some forms enable it once they are complete.
    pub enabled: bool,
    pub confidence: f32,
    pub evidence: Vec<String>,
}

/// A button's text is a few words; longer ones are sentences that happen to contain them.
const WORDS_MAX: usize = 7;
const ENOUGH: i32 = 5;

/// The button that hands the form in or leads to its next page.
pub fn next_button(page: &Snapshot, fields: &[Field], main: Option<&MainForm>) -> Option<NextButton> {
    let last_field = main.map_or(0, |main| {
        let orders =
            main.fields.iter().flat_map(|&field| &fields[field].members).map(|&member| page.controls[member].order);
        orders.max().unwrap_or(0)
    });
    let own = |button: &&Button| {
        main.map_or_else(|| !is_elsewhere(&button.landmark, &button.context), |main| main.has_button(button))
    };
    let mut ranked: Vec<(i32, NextButton)> = page
        .buttons
        .iter()
        .filter(|button| button.hidden.is_empty() && button.type_ != "reset")
        .filter(own)
        .filter_map(|button| {
            rate(
                button,
                main.is_some_and(|main| main.form.is_some() && button.form == main.form),
                button.order > last_field,
            )
        })
        .collect();
    // Going on is the smaller step: where both look alike it comes first.
    ranked.sort_by_key(|(score, button)| (std::cmp::Reverse(*score), button.kind != NextKind::Next));
    let unsure = ranked.len() > 1 && ranked[0].1.confidence < 0.6 && ranked[0].0 == ranked[1].0;
    ranked.into_iter().next().filter(|(score, _)| *score >= ENOUGH && !unsure).map(|(_, button)| button)
}

/// Whether the button could be one of [`next_button`]'s.
pub fn goes_on(button: &Button) -> bool {
    rate(button, true, true).is_some()
}

fn rate(button: &Button, in_form: bool, after_fields: bool) -> Option<(i32, NextButton)> {
    let wording = Wording::get();
    let said = words(&button.text);
    if said.len() > WORDS_MAX {
        return None;
    }
    let submit = text::longest(wording.button("submit"), &said);
    let next = text::longest(wording.button("next"), &said);
    let whole = |name: &str| wording.button(name).iter().any(|phrase| phrase.is_whole(&said));
    let spoken = whole("submit") || whole("next");
    if !spoken && (text::any(wording.button("never"), &said) || whole("save")) {
        return None;
    }
    let is_submit_type = button.type_ == "submit";
    let link = button.type_ == "link";
    let (kind, known) = match (submit, next) {
        (Some(submit), Some(next)) => (if next > submit { NextKind::Next } else { NextKind::Submit }, true),
        (None, Some(_)) => (NextKind::Next, true),
        (Some(_), None) => (NextKind::Submit, true),
        // Words we do not know on the form's own submit button: taken for the one that must happen once.
        (None, None) if is_submit_type && in_form => (NextKind::Submit, false),
        _ => return None,
    };
    if link && !spoken {
        return None;
    }
    let mut evidence = Vec::new();
    let mut score = 0;
    let mut count = |holds: bool, points: i32, what: &str| {
        if holds {
            score += points;
            evidence.push(what.to_owned());
        }
    };
    count(known, 4, "its words");
    count(spoken, 1, "nothing but its words");
    count(is_submit_type, 2, "a submit button");
    count(in_form, 2, "inside the form");
    count(after_fields, 2, "after the last field");
    count(link, -2, "a link");
    let confidence = if known { 0.9 } else { 0.5 };
    Some((score, to_next(button, kind, confidence, evidence)))
}

/// The way from a posting to its application.
pub fn apply_button(page: &Snapshot) -> Option<NextButton> {
    let wording = Wording::get();
    let mut ranked: Vec<(i32, &Button)> = page
        .buttons
        .iter()
        .filter(|button| button.hidden.is_empty() && button.enabled && button.type_ != "reset")
        .filter_map(|button| {
            let said = words(&button.text);
            let whole = wording.button("apply").iter().any(|phrase: &Phrase| phrase.is_whole(&said));
            let known = whole
                || (said.len() <= WORDS_MAX
                    && text::any(wording.button("apply"), &said)
                    && !text::any(wording.button("never"), &said));
            let score = 2 + i32::from(whole) * 2
                - i32::from(is_elsewhere(&button.landmark, &button.context)) * 2
                - i32::from(button.href.starts_with("mailto:")) * 9;
            known.then_some((score, button))
        })
        .filter(|(score, _)| *score > 0)
        .collect();
    ranked.sort_by_key(|(score, button)| (std::cmp::Reverse(*score), button.order));
    ranked.first().map(|(_, button)| to_next(button, NextKind::Apply, 0.9, vec!["its words".into()]))
}

/// The button that hands in what a login, a code or a puzzle asks for.
pub fn unlock_button(page: &Snapshot, frame: &[String], form: Option<usize>) -> Option<NextButton> {
    let wording = Wording::get();
    let mut ranked: Vec<(i32, &Button)> = page
        .buttons
        .iter()
        .filter(|button| button.frame == frame && button.hidden.is_empty() && button.type_ != "reset")
        .filter(|button| {
            button.form == form || (button.form.is_none() && !is_elsewhere(&button.landmark, &button.context))
        })
        .filter_map(|button| {
            let said = words(&button.text);
            let whole = wording.button("unlock").iter().any(|phrase: &Phrase| phrase.is_whole(&said));
            let other = text::any(wording.button("unlock_never"), &said);
            let known = text::any(wording.button("unlock"), &said);
            let submits = button.type_ == "submit" && form.is_some() && button.form == form;
            let score = i32::from(whole) * 4 + i32::from(known) * 2 + i32::from(submits) * 3
                - i32::from(button.type_ == "link") * 3;
            (score > 1 && (whole || !other) && said.len() <= WORDS_MAX).then_some((score, button))
        })
        .collect();
    ranked.sort_by_key(|(score, button)| (std::cmp::Reverse(*score), button.order));
    ranked.first().map(|(_, button)| to_next(button, NextKind::Next, 0.8, vec!["of what is in the way".into()]))
}

fn to_next(button: &Button, kind: NextKind, confidence: f32, evidence: Vec<String>) -> NextButton {
    NextButton {
        kind,
        text: button.text.clone(),
        action: Action {
            kind: ActionKind::Click,
            target: Selectors { frame: button.frame.clone(), candidates: button.selectors.clone() },
            description: button.text.clone(),
            value: None,
        },
        enabled: button.enabled,
        confidence,
        evidence,
    }
}
