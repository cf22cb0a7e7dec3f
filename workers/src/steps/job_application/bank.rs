//! The bank: answers that a subject keeps beyond a run. It is asked before a person is, and is given what a person answered once a page took it.
//!
//! Codes, passwords and puzzles never come here: they are no questions of a form, and are asked for and typed in another way
//! ([`super::pages`], `AnswerObstacle`).

use serde_json::Value;

use crate::form::{self, Answer, Applicant, FilledPage, Question};
use crate::runtime::{StepContext, StepError};

/// As items of a subject are called.
const KIND: &str = "answer";

/// The bank as one step sees it.
pub(super) struct Bank {
    /// Who asks, where the posting said so.
    pub employer: Option<String>,
    /// Names that were not looked up yet; nobody asked for them before there was a question.
    names: Option<Vec<String>>,
}

impl Bank {
    pub fn of(employer: Option<String>) -> Self {
        Self { employer, names: None }
    }

    /// Gives the applicant what is kept for these questions; false where nothing is. Nothing is looked up twice.
    pub async fn answer(
        &mut self,
        ctx: &StepContext,
        questions: &[Question],
        applicant: &mut Applicant,
    ) -> Result<bool, StepError> {
        if questions.is_empty() {
            return Ok(false);
        }
        let names = match self.names.take() {
            Some(names) => names,
            None => ctx.item_names(KIND).await?,
        };
        let mut kept = Vec::new();
        for found in
            questions.iter().flat_map(|question| form::kept_answers(&names, question, self.employer.as_deref()))
        {
            if !kept.contains(&found) {
                kept.push(found);
            }
        }
        self.names = Some(names.into_iter().filter(|name| kept.iter().all(|found| found.name != *name)).collect());
        let before = applicant.answers.len();
        for found in kept {
            let value = ctx.item(KIND, &found.name).await?;
            applicant.answers.extend(value.and_then(|value| Answer::from_json(&found.question, &value)));
        }
        Ok(applicant.answers.len() > before)
    }

    /// Keeps what a person answered in this run and the page shows now.
    pub async fn keep(&self, ctx: &StepContext, filled: &FilledPage, answered: &[Answer]) -> Result<(), StepError> {
        for (name, answer) in form::answers_to_keep(&filled.snapshot, &filled.plan, answered, self.employer.as_deref())
        {
            ctx.keep_item(KIND, &name, Value::String(answer)).await?;
        }
        Ok(())
    }
}
