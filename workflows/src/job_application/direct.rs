//! The application on its way to the hiring system itself, without a browser.

use std::time::Duration;

use valet_core::{Failure, StepFailure, Stop};

use super::input::Mode;
use super::steps::{
    ApplicationResult, CheckForm, DirectForm, FilledField, FormRead, NO_DIRECT, POSTING_CLOSED, Posting, ReadForm,
    SendForm, Submission,
};
use super::{Case, Halt};
use crate::ats::JobPlace;

/// Readings of the questions: each asks a person, or sends.
const ROUNDS_MAX: u32 = 30;
/// Times that a system may put an application off; it says for how long.
const LATER_MAX: u32 = 100;

pub(super) struct Direct<'c, 'a> {
    case: &'c mut Case<'a>,
    at: JobPlace,
}

impl<'c, 'a> Direct<'c, 'a> {
    pub fn new(case: &'c mut Case<'a>, at: JobPlace) -> Self {
        Self { case, at }
    }

    pub async fn through(mut self) -> Result<Submission, Halt> {
        for _ in 0..ROUNDS_MAX {
            let Some(summary) = self.read().await? else { continue };
            if self.case.application.mode == Mode::Review && self.case.approved.as_ref() != Some(&summary) {
                let title = self.case.posting.title();
                self.case.people.review(&title, &summary, None).await?;
                self.case.approved = Some(summary);
            }
            if let Some(submission) = self.send().await? {
                return Ok(submission);
            }
        }
        Err(no_direct(format!("it was not in after {ROUNDS_MAX} rounds")))
    }

    /// What the questions are answered with; `None`: a person was asked, and they are to be read again.
    async fn read(&mut self) -> Result<Option<Vec<FilledField>>, Halt> {
        self.case.ctx.set_status(format!("reading the questions at {}", self.at.system.as_str()));
        match self.case.ctx.step(ReadForm { form: self.form() }).await {
            Ok(FormRead::Ready { posting, summary }) => {
                self.case.learn(posting);
                Ok(Some(summary))
            }
            Ok(FormRead::NeedsPerson { posting, questions }) => {
                self.case.learn(posting);
                let Posting { url, .. } = self.case.posting.clone();
                let title = self.case.posting.title();
                let answers = self.case.people.questions(&title, &questions, None, url).await?;
                self.case.answered.extend(answers.clone());
                self.case.application.answers.extend(answers);
                Ok(None)
            }
            // Nothing was sent: a system that is down does not keep the site from taking it.
            Err(StepFailure::Exhausted(why)) => Err(no_direct(why.message)),
            Err(failure) => Err(failure.into()),
        }
    }

    /// Sends the application: once. `None`: a person says that it did not arrive.
    async fn send(&mut self) -> Result<Option<Submission>, Halt> {
        for _ in 0..LATER_MAX {
            self.case.ctx.set_status(format!("applying at {}", self.at.system.as_str()));
            let result = match self.case.ctx.step(SendForm { form: self.form() }).await {
                Err(StepFailure::InDoubt(_)) => self.check().await,
                Err(StepFailure::Exhausted(why)) => return Err(no_direct(why.message)),
                result => result?,
            };
            match result {
                ApplicationResult::Received(submission) => return Ok(Some(submission)),
                ApplicationResult::Later { again_in_s, why } => {
                    self.case.ctx.set_status(format!("waiting for {}: {why}", self.at.system.as_str()));
                    self.case.ctx.sleep(Duration::from_secs(again_in_s)).await;
                }
                ApplicationResult::Refused { errors } => {
                    let said = if errors.is_empty() { "it does not say why".to_owned() } else { errors.join("; ") };
                    return Err(no_direct(format!("it was refused: {said}")));
                }
                ApplicationResult::Unfit { why } => return Err(no_direct(why)),
                ApplicationResult::Closed { why } => return Err(Stop::failed(POSTING_CLOSED, why).into()),
                ApplicationResult::Unclear => return self.in_doubt().await,
            }
        }
        Err(no_direct(format!("it was put off {LATER_MAX} times")))
    }

    /// A check that fails says nothing against a submission.
    async fn check(&mut self) -> ApplicationResult {
        self.case.ctx.set_status("finding out whether the application arrived");
        let mut left = LATER_MAX;
        loop {
            match self.case.ctx.step(CheckForm { form: self.form() }).await {
                Ok(ApplicationResult::Later { again_in_s, .. }) if left > 0 => {
                    left -= 1;
                    self.case.ctx.sleep(Duration::from_secs(again_in_s)).await;
                }
                Ok(ApplicationResult::Received(submission)) => return ApplicationResult::Received(submission),
                Ok(_) => return ApplicationResult::Unclear,
                Err(why) => {
                    self.case.ctx.log(format!("whether the application arrived cannot be found out: {why}"));
                    return ApplicationResult::Unclear;
                }
            }
        }
    }

    async fn in_doubt(&mut self) -> Result<Option<Submission>, Halt> {
        let Posting { url, .. } = self.case.posting.clone();
        let title = self.case.posting.title();
        if self.case.people.was_submitted(&title, None, url).await? {
            let confirmation = "confirmed by a person".to_owned();
            return Ok(Some(Submission { confirmation, reference: None, screenshot: None }));
        }
        Ok(None)
    }

    fn form(&self) -> DirectForm {
        DirectForm::new(self.at.clone(), &self.case.application, &self.case.answered)
    }
}

fn no_direct(why: String) -> Halt {
    Halt::NoDirect(Failure::new(NO_DIRECT, why))
}
