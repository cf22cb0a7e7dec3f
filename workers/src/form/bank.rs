//! What a person's answer is kept under, so that the next form that asks the same need not ask them, and which kept answers a question has. Pure.
//!
//! An answer goes under the question's own words. What is asked about this employer ("What would you change about our product?") is answered
//! for this employer alone and kept under its name too. Agreement, signatures, what is nobody's business, letters, accounts and payments are
//! for one form only.

use super::answers::{self, Asked, Match};
use super::applicant::Answer;
use super::field::{Field, InputKind, read_fields, without_mark};
use super::field_kind::FieldKind;
use super::plan::{Plan, may_be_alike};
use super::question::{Question, QuestionKind};
use super::snapshot::Snapshot;
use super::text::{self, words};
use super::wording::Wording;

/// Items have no longer names.
const NAME_BYTES_MAX: usize = 512;

/// An answer that is kept: under which name, and to which question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    pub name: String,
    pub question: String,
}

/// What a person answered in this run and the page shows now, under the names to keep it by.
pub fn answers_to_keep(
    page: &Snapshot,
    plan: &Plan,
    answered: &[Answer],
    employer: Option<&str>,
) -> Vec<(String, String)> {
    let shown = |field: &Field| plan.fills.iter().any(|fill| fill.key == field.key && fill.satisfied);
    let fields = read_fields(page);
    let kept = fields.iter().filter(|field| may_be_kept(field.kind) && is_worded(field.input) && shown(field));
    kept.filter_map(|field| {
        let (answer, Match::Exact) = answers::find(answered, field)? else { return None };
        Some((name(without_mark(&field.label), field.kind, employer)?, answer.answer.clone()))
    })
    .collect()
}

/// Kept answers that this question may have: the one to its very words, else those to questions that differ in filler only.
pub fn kept_answers(names: &[String], question: &Question, employer: Option<&str>) -> Vec<Kept> {
    if !may_be_kept(question.field) || question.kind == QuestionKind::File {
        return Vec::new();
    }
    let asked = Asked::new(&question.key, &question.label);
    let own = employer.map(prefix);
    let of = |name: &String| {
        let question = own.as_ref().and_then(|own| name.strip_prefix(own)).unwrap_or(name);
        Kept { name: name.clone(), question: question.to_owned() }
    };
    let all: Vec<Kept> = names.iter().map(of).collect();
    if let Some(exact) = all.iter().find(|kept| asked.is(&kept.question)) {
        return vec![exact.clone()];
    }
    let alike = may_be_alike(question.field);
    all.into_iter().filter(|kept| alike && asked.is_like(&kept.question)).collect()
}

fn name(question: &str, kind: FieldKind, employer: Option<&str>) -> Option<String> {
    let question = question.split_whitespace().collect::<Vec<_>>().join(" ");
    let own_words = matches!(kind, FieldKind::Question | FieldKind::Unknown);
    let name = if own_words && text::any(&Wording::get().asker, &words(&question)) {
        format!("{}{question}", prefix(employer?))
    } else {
        question
    };
    (!words(&name).is_empty() && name.len() <= NAME_BYTES_MAX && !name.contains(char::is_control)).then_some(name)
}

fn prefix(employer: &str) -> String {
    format!("{}: ", employer.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn may_be_kept(kind: FieldKind) -> bool {
    !kind.is_credential_or_payment()
        && !matches!(
            kind,
            FieldKind::Consent
                | FieldKind::Signature
                | FieldKind::Demographic
                | FieldKind::Newsletter
                | FieldKind::Captcha
                | FieldKind::Honeypot
                | FieldKind::CoverLetter
                | FieldKind::CoverLetterText
        )
}

fn is_worded(input: InputKind) -> bool {
    !matches!(input, InputKind::File | InputKind::Password)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::form::{Applicant, plan};

    /// A required field of this label and type that holds a value.
    fn page(label: &str, type_: &str, autocomplete: &str, value: &str) -> Snapshot {
        let control = json!({
            "type": type_, "label": label, "label_source": "label", "enabled": true, "tab_stop": true, "selectors": ["#x"],
            "form": 0, "required": true, "value": value, "autocomplete": autocomplete,
        });
        serde_json::from_value(json!({ "controls": [control], "forms": [{}] })).expect("a snapshot")
    }

    fn kept_of(page: &Snapshot, label: &str, employer: Option<&str>) -> Vec<(String, String)> {
        let answered = [Answer { question: without_mark(label).to_owned(), answer: "Tea".to_owned() }];
        let applicant = Applicant { answers: answered.to_vec(), ..Applicant::default() };
        answers_to_keep(page, &plan(page, &applicant), &answered, employer)
    }

    #[track_caller]
    fn check(label: &str, type_: &str, autocomplete: &str, expect: Option<&str>) {
        let kept = kept_of(&page(label, type_, autocomplete, "Tea"), label, Some("Green  Ltd"));
        let expected: Vec<_> = expect.map(|name| (name.to_owned(), "Tea".to_owned())).into_iter().collect();
        assert_eq!(kept, expected, "{label}");
    }

    #[test]
    fn an_answer_is_kept_under_the_questions_words_and_for_whom_it_was_given() {
        check("Which drink keeps   you awake? *", "text", "", Some("Which drink keeps you awake?"));
        check(
            "Which drink should our kitchen buy?",
            "textarea",
            "",
            Some("Green Ltd: Which drink should our kitchen buy?"),
        );
        let unknown = page("Which drink should we buy?", "text", "", "Tea");
        assert_eq!(kept_of(&unknown, "Which drink should we buy?", None), [], "nobody knows who asks");
    }

    #[test]
    fn what_is_for_one_form_only_is_not_kept() {
        check("Password", "password", "current-password", None);
        check("Verification code", "text", "one-time-code", None);
        check("Signature", "text", "", None);
        check("Gender", "text", "", None);
        check("Card number", "text", "cc-number", None);
        check("Cover letter", "textarea", "", None);
        check(&"word ".repeat(120), "text", "", None);
    }

    #[test]
    fn what_the_page_did_not_take_is_not_kept() {
        let label = "Which drink keeps you awake?";
        assert_eq!(kept_of(&page(label, "text", "", ""), label, None), []);
    }

    #[track_caller]
    fn found(names: &[&str], label: &str, employer: Option<&str>, expect: &[&str]) {
        let page = page(label, "text", "", "");
        let unknown = plan(&page, &Applicant::default()).unknown;
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let found: Vec<String> =
            kept_answers(&names, &unknown[0], employer).into_iter().map(|kept| kept.name).collect();
        assert_eq!(found, expect, "{label}");
    }

    #[test]
    fn a_question_finds_its_own_words_first_then_those_that_differ_in_filler() {
        let names =
            ["Years of Rust experience", "How many years of Rust experience do you have?", "Years of Java experience"];
        found(&names, "How many years of Rust experience do you have? *", None, &names[1..2]);
        found(&names, "Years of experience with Rust", None, &names[..2]);
        found(&names, "Years of experience with Go", None, &[]);
    }

    #[test]
    fn what_was_said_to_one_employer_is_not_said_to_another() {
        let names = ["Green: Which drink should we buy?"];
        found(&names, "Which drink should we buy?", Some("Green"), &names);
        found(&names, "Which drink should we buy?", Some("Blue"), &[]);
        found(&names, "Which drink should we buy?", None, &[]);
    }
}
