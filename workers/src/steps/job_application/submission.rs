//! Sending the application once, and finding out whether it went out.

use std::collections::BTreeSet;

use valet_core::decide::IN_DOUBT;
use valet_workflows::job_application::steps::{CheckSubmission, Obstacle, Sent, Submission, Submit};

use super::Browsers;
use super::evidence::{obstacle, screenshot};
use super::failures::browser_error;
use crate::browser::{BrowserAgent as _, BrowserError, WebDriverAgent};
use crate::form::{self, Advance, Applicant, Moved, NextButton, NextKind, PageKind, PageReport, Snapshot};
use crate::runtime::{StepContext, StepError};

/// Longest text of a page that is kept as a confirmation.
const CONFIRMATION_CHARS_MAX: usize = 400;

impl Browsers {
    pub(super) async fn submit(&self, ctx: &StepContext, agent: &WebDriverAgent, _: Submit) -> Result<Sent, StepError> {
        let page = form::read_page(agent).await.map_err(browser_error)?;
        let plan = form::plan(&page, &Applicant::default());
        if is_confirmed(&plan.page) {
            return Ok(Sent::Confirmed(submission(ctx, agent, &page, &plan.page).await));
        }
        let Some(next) = plan.next.filter(|next| next.kind == NextKind::Submit) else {
            return Ok(Sent::Refused {
                errors: vec!["the page shows no button that sends the application".to_owned()],
            });
        };
        ctx.effect_begin().await?;
        let sent = match press(ctx, agent, &page, &next).await? {
            Sent::Obstacle(asked) => self.past(ctx, agent, asked).await?,
            sent => sent,
        };
        if matches!(sent, Sent::Confirmed(_)) {
            self.keep_state(ctx, agent).await;
        }
        Ok(sent)
    }

    /// What stands before the end, such as a code that was sent by mail, is typed where the subject keeps what tells it. Something was sent
    /// by now: what goes wrong leaves that in doubt.
    async fn past(&self, ctx: &StepContext, agent: &WebDriverAgent, asked: Obstacle) -> Result<Sent, StepError> {
        let typing = async {
            let page = form::read_page(agent).await.map_err(browser_error)?;
            if !self.sign_in(ctx, agent, &page, &mut BTreeSet::new()).await? {
                return Ok(None);
            }
            form::read_page(agent).await.map(Some).map_err(browser_error)
        };
        let in_doubt = |why: &dyn std::fmt::Display| StepError::fail(IN_DOUBT, why);
        let Some(page) = typing.await.map_err(|error: StepError| in_doubt(&error))? else {
            return Ok(Sent::Obstacle(asked));
        };
        let report = form::classify(&page);
        if is_confirmed(&report) {
            return Ok(Sent::Confirmed(submission(ctx, agent, &page, &report).await));
        }
        let next = obstacle(ctx, agent, &page).await;
        next.map(Sent::Obstacle).ok_or_else(|| in_doubt(&format!("the page says nothing of it: {:?}", report.kind)))
    }

    /// First the page as it was left, then the posting: many sites say there that one has applied.
    pub(super) async fn check_submission(
        &self,
        ctx: &StepContext,
        agent: &WebDriverAgent,
        step: CheckSubmission,
    ) -> Result<Sent, StepError> {
        let page = form::read_page(agent).await.map_err(browser_error)?;
        let report = form::classify(&page);
        if is_confirmed(&report) {
            return Ok(Sent::Confirmed(submission(ctx, agent, &page, &report).await));
        }
        if let Some(asked) = obstacle(ctx, agent, &page).await {
            return Ok(Sent::Obstacle(asked));
        }
        // The form is still there: that it was not sent cannot be told from this alone.
        let as_it_was = unclear(ctx, agent).await;
        ctx.check()?;
        let posting = async {
            agent.navigate(&step.job_url).await?;
            form::read_page(agent).await
        };
        match posting.await {
            Ok(page) => {
                let report = form::classify(&page);
                if report.kind == PageKind::AlreadyApplied {
                    return Ok(Sent::Confirmed(submission(ctx, agent, &page, &report).await));
                }
            }
            Err(error @ BrowserError::StaleFence) => return Err(browser_error(error)),
            // It may say nothing, and then it says nothing against a submission either.
            Err(error) => tracing::warn!(run = %ctx.run(), %error, "the posting cannot be read"),
        }
        Ok(as_it_was)
    }
}

/// Presses the button that sends the application, and says what became of it. What is not known for sure is in doubt:
/// the workflow looks again before it asks a person, and never presses twice.
async fn press(
    ctx: &StepContext,
    agent: &WebDriverAgent,
    page: &Snapshot,
    next: &NextButton,
) -> Result<Sent, StepError> {
    let in_doubt = |why: &dyn std::fmt::Display| Err(StepError::fail(IN_DOUBT, why));
    let after = match form::advance(agent, page, next).await {
        Ok(after) => after,
        // The button was not pressed.
        Err(BrowserError::NotFound { target } | BrowserError::NotInteractable { target, .. }) => {
            return Ok(Sent::Refused { errors: vec![format!("{target} could not be pressed")] });
        }
        Err(error @ BrowserError::StaleFence) => {
            tracing::warn!(run = %ctx.run(), code = "stale_fence", %error, "the click that sends was refused");
            return in_doubt(&error);
        }
        Err(error) => return in_doubt(&error),
    };
    if is_confirmed(&after.page) {
        return Ok(Sent::Confirmed(submission(ctx, agent, &after.snapshot, &after.page).await));
    }
    if let Some(asked) = obstacle(ctx, agent, &after.snapshot).await {
        return Ok(Sent::Obstacle(asked));
    }
    match after {
        Advance { moved: Moved::Refused, complaints, alerts, .. } => {
            Ok(Sent::Refused { errors: complaints.into_iter().map(|c| c.message).chain(alerts).collect() })
        }
        Advance { moved: Moved::On, page, .. } if matches!(page.kind, PageKind::Form | PageKind::Step) => {
            Ok(Sent::Refused { errors: Vec::new() })
        }
        Advance { page, .. } => in_doubt(&format!("the page says nothing of it: {:?}", page.kind)),
    }
}

async fn unclear(ctx: &StepContext, agent: &WebDriverAgent) -> Sent {
    let url = agent.current_url().await.unwrap_or_default();
    Sent::Unclear { screenshot: screenshot(ctx, agent, "in-doubt").await, url }
}

pub(super) fn is_confirmed(report: &PageReport) -> bool {
    matches!(report.kind, PageKind::Confirmation | PageKind::AlreadyApplied)
}

pub(super) async fn submission(
    ctx: &StepContext,
    agent: &WebDriverAgent,
    page: &Snapshot,
    report: &PageReport,
) -> Submission {
    let text: String = page.text.chars().take(CONFIRMATION_CHARS_MAX).collect();
    let heading = page.headings.first().map(|heading| heading.text.clone()).filter(|text| !text.is_empty());
    Submission {
        confirmation: heading.unwrap_or(text),
        reference: report.reference.clone(),
        screenshot: screenshot(ctx, agent, "confirmation").await,
    }
}
