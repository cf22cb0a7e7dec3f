//! The bank of answers: which of the applicant's stored answers a question has. Pure.
//!
//! A question and a stored one are the same when their words are; or when they differ in filler only. Near misses are misses: "years with
//! Python" and "years with Java" are almost the same words.

use std::collections::BTreeSet;

use super::applicant::Answer;
use super::classify_field::label_words;
use super::field::Field;
use super::text::{self, normal, words};
use super::wording::Wording;

/// Fewer telling words than this are no question to recognise by likeness.
const TELLING_MIN: usize = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    Exact,
    Alike,
}

/// The answer to this field, if exactly one is stored. Of two to its very words the later one: it was given to put the
/// earlier one right.
pub fn find<'a>(answers: &'a [Answer], field: &Field) -> Option<(&'a Answer, Match)> {
    if answers.is_empty() {
        return None;
    }
    let asked = Asked::new(&field.key, &field.label);
    if let Some(answer) = answers.iter().rfind(|answer| asked.is(&answer.question)) {
        return Some((answer, Match::Exact));
    }
    let mut alike = answers.iter().filter(|answer| asked.is_like(&answer.question));
    let first = alike.next()?;
    alike.all(|other| normal(&other.answer) == normal(&first.answer)).then_some((first, Match::Alike))
}

/// A question of a form, to be compared with stored ones.
pub struct Asked<'a> {
    key: &'a str,
    label: String,
    bare: String,
    telling: (BTreeSet<String>, bool),
}

impl<'a> Asked<'a> {
    pub fn new(key: &'a str, label: &str) -> Self {
        Self { key, label: normal(label), bare: label_words(label).join(" "), telling: telling(label) }
    }

    /// Their words are the same.
    pub fn is(&self, stored: &str) -> bool {
        let question = normal(stored);
        !question.is_empty()
            && (question == self.key
                || question == self.label
                || label_words(stored).join(" ") == self.bare && !self.bare.is_empty())
    }

    /// They differ in filler only.
    pub fn is_like(&self, stored: &str) -> bool {
        self.telling.0.len() >= TELLING_MIN && telling(stored) == self.telling
    }
}

/// The words that carry the question, and whether it is turned around.
fn telling(question: &str) -> (BTreeSet<String>, bool) {
    let wording = Wording::get();
    let all = words(question);
    let negated = all
        .iter()
        .filter(|word| wording.negations.iter().any(|phrase| phrase.is_whole(std::slice::from_ref(*word))))
        .count()
        % 2
        == 1;
    let telling = all
        .iter()
        .filter(|word| !text::any(&wording.filler, std::slice::from_ref(*word)))
        .map(|word| singular(word))
        .collect();
    (telling, negated)
}

fn singular(word: &str) -> String {
    match word.strip_suffix('s') {
        Some(stem) if stem.len() > 2 && !stem.ends_with('s') => stem.to_owned(),
        _ => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Answer, find};
    use crate::form::{Snapshot, read_fields, snapshot::Control, snapshot::LabelSource};

    fn check(question: &str, stored: &str, expect: bool) {
        let control = Control {
            type_: "text".into(),
            label: question.into(),
            label_source: LabelSource::Label,
            ..Control::default()
        };
        let page = Snapshot { controls: vec![control], ..Snapshot::default() };
        let answers = [Answer { question: stored.into(), answer: "x".into() }];
        assert_eq!(find(&answers, &read_fields(&page)[0]).is_some(), expect, "{question} / {stored}");
    }

    #[test]
    fn a_question_is_known_again_in_other_filler() {
        check(
            "How many years of experience do you have with Rust? *",
            "How many years of experience do you have with Rust",
            true,
        );
        check("How many years of Rust experience do you have?", "Years of experience with Rust", true);
        check("Please describe your largest project", "describe largest projects", true);
        check("Why us? (optional)", "Why us?", true);
        check("Why us? *", "Why us", true);
    }

    #[test]
    fn one_telling_word_more_is_another_question() {
        check(
            "How many years of experience do you have with Java?",
            "How many years of experience do you have with Rust?",
            false,
        );
        check("Are you able to work weekends?", "Are you not able to work weekends?", false);
        check("Are you willing to relocate to Berlin?", "Are you willing to relocate?", false);
        check("Why?", "What?", false);
    }
}
