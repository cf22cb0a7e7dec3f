//! Sending the application once, and finding out whether it went out.

use valet_workflows::job_application::steps::{CheckSubmission, Sent, Submission, Submit};

use super::Browsers;
use super::evidence::{obstacle, screenshot};
use super::failures::browser_error;
use crate::browser::{BrowserAgent as _, BrowserError, WebDriverAgent};
use crate::form::{self, Advance, Applicant, Moved, NextButton, NextKind, PageKind, PageReport, Snapshot};
use crate::runtime::{StepContext, StepError};

/// Longest text of a page that is kept as a confirmation.
const CONFIRMATION_CHARS_MAX: usize = 400;

impl Browsers {
    pub(super) async fn submit(&self, ctx: StepContext, step: Submit) -> Result<Sent, StepError> {
        let agent = self.attach(&ctx, &step.at).await?;
        let page = form::read_page(&agent).await.map_err(browser_error)?;
        let plan = form::plan(&page, &Applicant::default());
        if is_confirmed(&plan.page) {
            return Ok(Sent::Confirmed(submission(&ctx, &agent, &page, &plan.page).await));
        }
        let Some(next) = plan.next.filter(|next| next.kind == NextKind::Submit) else {
            return Ok(Sent::Refused {
                errors: vec!["the page shows no button that sends the application".to_owned()],
            });
        };
        ctx.effect_begin().await?;
        // From here on every end is an answer: an error would ask for another attempt.
        Ok(press(&ctx, &agent, &page, &next).await)
    }

    /// First the page as it was left, then the posting: many sites say there that one has applied.
    pub(super) async fn check_submission(&self, ctx: StepContext, step: CheckSubmission) -> Result<Sent, StepError> {
        let agent = self.attach(&ctx, &step.at).await?;
        let page = form::read_page(&agent).await.map_err(browser_error)?;
        let report = form::classify(&page);
        if is_confirmed(&report) {
            return Ok(Sent::Confirmed(submission(&ctx, &agent, &page, &report).await));
        }
        if let Some(asked) = obstacle(&ctx, &agent, &page).await {
            return Ok(Sent::Obstacle(asked));
        }
        // The form is still there: that it was not sent cannot be told from this alone.
        let as_it_was = unclear(&ctx, &agent).await;
        ctx.check()?;
        agent.navigate(&step.job_url).await.map_err(browser_error)?;
        let page = form::read_page(&agent).await.map_err(browser_error)?;
        let report = form::classify(&page);
        if report.kind == PageKind::AlreadyApplied {
            return Ok(Sent::Confirmed(submission(&ctx, &agent, &page, &report).await));
        }
        Ok(as_it_was)
    }
}

/// Presses the button that sends the application, and says what became of it.
async fn press(ctx: &StepContext, agent: &WebDriverAgent, page: &Snapshot, next: &NextButton) -> Sent {
    match form::advance(agent, page, next).await {
        Ok(after) if is_confirmed(&after.page) => {
            Sent::Confirmed(submission(ctx, agent, &after.snapshot, &after.page).await)
        }
        Ok(after) if form::obstacle(&after.snapshot).is_some() => match obstacle(ctx, agent, &after.snapshot).await {
            Some(asked) => Sent::Obstacle(asked),
            None => unclear(ctx, agent).await,
        },
        Ok(Advance { moved: Moved::Refused, complaints, alerts, .. }) => {
            Sent::Refused { errors: complaints.into_iter().map(|c| c.message).chain(alerts).collect() }
        }
        Ok(Advance { moved: Moved::On, page, .. }) if matches!(page.kind, PageKind::Form | PageKind::Step) => {
            Sent::Refused { errors: Vec::new() }
        }
        // The button was not pressed.
        Err(BrowserError::NotFound { target } | BrowserError::NotInteractable { target, .. }) => {
            Sent::Refused { errors: vec![format!("{target} could not be pressed")] }
        }
        Err(error @ BrowserError::StaleFence) => {
            tracing::warn!(run = %ctx.run(), code = "stale_fence", %error, "the click that sends was refused");
            unclear(ctx, agent).await
        }
        Ok(_) | Err(_) => unclear(ctx, agent).await,
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
