//! The truth about a form, for tests: what each control asks for and what the end looks like. Whoever is tested must
//! never read it.

use serde::Serialize;

use crate::meaning::Meaning;
use crate::model::field::{Choice, Condition, Labelling, Rule};
use crate::model::look::{Behaviour, Decoys, Look};
use crate::model::twist::Twist;
use crate::model::{FormKind, FormModel};

#[derive(Clone, Debug, Serialize)]
pub struct Expectation {
    pub form: FormKind,
    pub seed: u32,
    pub title: String,
    pub company: &'static str,
    /// Application pages, the review included. A closed posting has none.
    pub pages: usize,
    pub fields: Vec<ExpectedField>,
    /// The text of the required question that no profile answers. Its field says whether it is always asked.
    pub free_question: Option<String>,
    pub apply_label: &'static str,
    pub next_label: &'static str,
    pub submit_label: &'static str,
    pub confirmation: ExpectedConfirmation,
    pub already_applied: &'static str,
    pub look: Look,
    pub behaviour: Behaviour,
    pub decoys: Decoys,
    /// What sets the form apart from a plain one.
    pub twist: Twist,
}

#[derive(Clone, Debug, Serialize)]
pub struct ExpectedField {
    pub meaning: Meaning,
    pub label: String,
    pub required: bool,
    /// Counted from 1.
    pub page: usize,
    pub control: &'static str,
    pub name: String,
    pub id: String,
    pub options: Vec<Choice>,
    pub rule: Rule,
    pub labelling: Labelling,
    /// The field is shown and asked only when this holds.
    pub when: Option<Condition>,
}

#[derive(Clone, Debug, Serialize)]
pub struct ExpectedConfirmation {
    pub heading: &'static str,
    pub sentence: &'static str,
    /// A regular expression.
    pub reference_pattern: String,
}

impl Expectation {
    pub fn of(form: FormKind, seed: u32) -> Self {
        Self::of_model(FormModel::draw(form, seed))
    }

    fn of_model(model: FormModel) -> Self {
        let mut fields = Vec::new();
        for (index, page) in model.pages.iter().enumerate() {
            for field in page.fields() {
                fields.push(ExpectedField {
                    meaning: field.meaning,
                    label: field.label.clone(),
                    required: field.required,
                    page: index + 1,
                    control: field.control.as_str(),
                    name: field.name.clone(),
                    id: field.id.clone(),
                    options: field.choices().to_vec(),
                    rule: field.rule,
                    labelling: field.labelling,
                    when: field.when,
                });
            }
        }
        Self {
            form: model.form,
            seed: model.seed,
            free_question: model.field(Meaning::FreeQuestion).map(|field| field.label.clone()),
            confirmation: ExpectedConfirmation {
                heading: model.confirmation.heading,
                sentence: model.confirmation.sentence,
                reference_pattern: model.confirmation.reference_pattern(),
            },
            already_applied: crate::wording::ALREADY_APPLIED,
            title: model.posting.title,
            company: model.posting.company,
            pages: model.pages.len(),
            fields,
            apply_label: model.buttons.apply,
            next_label: model.buttons.next,
            submit_label: model.buttons.submit,
            look: model.look,
            behaviour: model.behaviour,
            decoys: model.decoys,
            twist: model.twist,
        }
    }

    /// Whether the form asks for this of somebody who gives these canonical answers.
    pub fn asks(&self, field: &ExpectedField, answer: &impl Fn(&ExpectedField) -> Option<String>) -> bool {
        let Some(condition) = &field.when else {
            return true;
        };
        self.field(condition.meaning)
            .is_some_and(|asked| answer(asked).as_deref() == Some(condition.is) && self.asks(asked, answer))
    }

    pub fn field(&self, meaning: Meaning) -> Option<&ExpectedField> {
        self.fields.iter().find(|field| field.meaning == meaning)
    }
}
