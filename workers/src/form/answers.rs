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
    let label = normal(&field.label);
    let bare = label_words(&field.label).join(" ");
    let exact = answers.iter().rfind(|answer| {
        let question = normal(&answer.question);
        !question.is_empty()
            && (question == field.key
                || question == label
                || label_words(&answer.question).join(" ") == bare && !bare.is_empty())
    });
    if let Some(answer) = exact {
        return Some((answer, Match::Exact));
    }
    let wanted = telling(&field.label);
    let mut alike =
        answers.iter().filter(|answer| wanted.0.len() >= TELLING_MIN && telling(&answer.question) == wanted);
    let first = alike.next()?;
    alike.all(|other| normal(&other.answer) == normal(&first.answer)).then_some((first, Match::Alike))
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
