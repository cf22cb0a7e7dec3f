//! How right answers are where people have labelled the controls. Pure.
//!
//! Counted are contact and address types alone: what is written of the applicant. An answer of such a type on a control
//! with that label is right, on any other a false positive; a control with such a label and no right answer is a miss.
//! On "username OR emailAddress" an answer `emailAddress` or `username` is neither right nor wrong.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::form::FieldKind;

const SCORED: [&str; 12] = [
    "emailAddress",
    "firstName",
    "middleName",
    "lastName",
    "fullName",
    "phone",
    "addressStreet",
    "addressStreet2",
    "addressCity",
    "addressProvince",
    "addressPostalCode",
    "addressCountryCode",
];

/// One labelled control: what people call it, and what was answered.
#[derive(Clone, Debug)]
pub struct Labelled {
    pub label: String,
    pub answer: Option<FieldKind>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Score {
    pub pages: usize,
    /// Labelled controls, of whatever type.
    pub labels: usize,
    pub precision: f64,
    pub recall: f64,
    /// The part of the forms with contact or address fields of which all are right.
    pub forms_right: f64,
    pub by_type: BTreeMap<&'static str, TypeScore>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct TypeScore {
    pub labels: usize,
    pub right: usize,
    pub false_positives: usize,
    pub precision: f64,
    pub recall: f64,
}

fn scored(name: &str) -> Option<&'static str> {
    SCORED.into_iter().find(|scored| *scored == name)
}

/// What counts of an answer on a control with this label; `None` where it counts as no answer.
fn counted(labelled: &Labelled) -> Option<&'static str> {
    let answer = scored(labelled.answer?.as_str())?;
    let either = labelled.label == FieldKind::UsernameOrEmail.as_str() && answer == FieldKind::Email.as_str();
    (!either).then_some(answer)
}

/// The score of some pages, each given by its labelled controls.
pub fn score<'a>(pages: impl IntoIterator<Item = &'a [Labelled]>) -> Score {
    let mut score = Score::default();
    for name in SCORED {
        score.by_type.insert(name, TypeScore::default());
    }
    let (mut forms, mut forms_right) = (0_usize, 0_usize);
    for page in pages {
        score.pages += 1;
        score.labels += page.len();
        let mut wanted = 0;
        let mut missed = false;
        for labelled in page {
            let label = scored(&labelled.label);
            let answer = counted(labelled);
            if let Some(label) = label {
                wanted += 1;
                missed |= answer != Some(label);
                let of_type = score.by_type.entry(label).or_default();
                of_type.labels += 1;
                of_type.right += usize::from(answer == Some(label));
            }
            if let Some(answer) = answer.filter(|answer| label != Some(answer)) {
                score.by_type.entry(answer).or_default().false_positives += 1;
            }
        }
        forms += usize::from(wanted > 0);
        forms_right += usize::from(wanted > 0 && !missed);
    }
    let mut all = TypeScore::default();
    for of_type in score.by_type.values_mut() {
        of_type.rate();
        all.labels += of_type.labels;
        all.right += of_type.right;
        all.false_positives += of_type.false_positives;
    }
    all.rate();
    score.precision = all.precision;
    score.recall = all.recall;
    score.forms_right = part(forms_right, forms);
    score
}

impl TypeScore {
    fn rate(&mut self) {
        self.precision = part(self.right, self.right + self.false_positives);
        self.recall = part(self.right, self.labels);
    }
}

/// Of nothing, everything.
fn part(some: usize, all: usize) -> f64 {
    if all == 0 { 1.0 } else { some as f64 / all as f64 }
}

#[cfg(test)]
mod tests {
    use super::{Labelled, score};
    use crate::form::FieldKind;

    fn page(controls: &[(&str, Option<FieldKind>)]) -> Vec<Labelled> {
        controls.iter().map(|&(label, answer)| Labelled { label: label.to_owned(), answer }).collect()
    }

    #[test]
    fn answers_are_counted_as_the_rules_say() {
        use FieldKind as K;
        let right = page(&[("firstName", Some(K::FirstName)), ("emailAddress", Some(K::Email))]);
        let mixed = page(&[
            ("emailAddress", None),
            ("lastName", Some(K::FullName)),
            ("username", Some(K::Email)),
            ("cardName", Some(K::FullName)),
            ("unknown", Some(K::Linkedin)),
            ("username OR emailAddress", Some(K::Email)),
            ("username OR emailAddress", Some(K::Phone)),
            ("password", Some(K::Password)),
        ]);
        let score = score([&right[..], &mixed[..]]);
        assert_eq!((score.pages, score.labels), (2, 10));
        // Right: 2. False: full name twice, e-mail on a user name, phone.
        assert_eq!((score.precision, score.recall, score.forms_right), (2.0 / 6.0, 2.0 / 4.0, 0.5));
        let of = |name: &str| score.by_type[name];
        assert_eq!(
            (of("emailAddress").labels, of("emailAddress").right, of("emailAddress").false_positives),
            (2, 1, 1)
        );
        assert_eq!((of("fullName").labels, of("fullName").false_positives), (0, 2));
    }

    #[test]
    fn a_page_without_such_fields_is_no_form_to_be_right() {
        let login = page(&[("password", None), ("username", None)]);
        let score = score([&login[..]]);
        assert_eq!((score.precision, score.recall, score.forms_right), (1.0, 1.0, 1.0));
    }
}
