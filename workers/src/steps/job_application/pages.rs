//! The way to the form and through its pages.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use valet_workflows::job_application::steps::{
    AnswerObstacle, FillPage, Filled, OpenPosting, Opened, Passed, Posting, Question,
};

use super::Browsers;
use super::applicant::{answers, applicant, fields, open_questions, refused_questions, standing_complaints};
use super::bank::Bank;
use super::evidence::{describe, keep_failure, keep_page, obstacle, screenshot};
use super::failures::{browser_error, sandbox_error};
use super::rate_limit::leave_alone;
use super::submission::{is_confirmed, submission};
use crate::browser::{BrowserAgent as _, BrowserError, WebDriverAgent};
use crate::form::{
    self, Advance, Applicant, Block, BlockClass, FilledPage, Moved, NextKind, PageKind, PageReport, Snapshot,
};
use crate::runtime::{StepContext, StepError};
use crate::sandbox::{SandboxId, rows};

/// Pages between a posting and its form, a login in two steps among them.
const POSTING_PAGES_MAX: u32 = 6;
/// Times that a page is filled again because it complained.
const CORRECTIONS_MAX: u32 = 2;

impl Browsers {
    pub(super) async fn open_posting(
        &self,
        ctx: &StepContext,
        agent: &WebDriverAgent,
        step: OpenPosting,
    ) -> Result<Opened, StepError> {
        let mut known = self.make_known(ctx, agent, &step.job_url).await?;
        if !step.from_here {
            agent.navigate(&step.job_url).await.map_err(browser_error)?;
        }
        let mut posting = Posting { url: step.job_url.clone(), ..Posting::default() };
        let mut typed = BTreeSet::new();
        for _ in 0..POSTING_PAGES_MAX {
            let page = form::read_page(agent).await.map_err(browser_error)?;
            describe(&page, &mut posting);
            self.doubt_known(ctx, &page, &mut known).await?;
            if self.sign_in(ctx, agent, &page, &mut typed).await? {
                continue;
            }
            if let Some(asked) = obstacle(ctx, agent, &page).await {
                return Ok(Opened::Obstacle(posting, asked));
            }
            let plan = form::plan(&page, &Applicant::default());
            match plan.page.kind {
                PageKind::Form | PageKind::Step | PageKind::Review => return Ok(Opened::Form(posting)),
                PageKind::Posting | PageKind::Unknown => {}
                PageKind::Expired => {
                    agent.navigate(&step.job_url).await.map_err(browser_error)?;
                    continue;
                }
                PageKind::AlreadyApplied => {
                    return Ok(Opened::AlreadyApplied(submission(ctx, agent, &page, &plan.page).await));
                }
                _ => return Err(cannot_go_on(ctx, agent, &page, &plan.page, Some(&step.job_url)).await),
            }
            let Some(next) = plan.next else {
                return Err(cannot_go_on(ctx, agent, &page, &plan.page, Some(&step.job_url)).await);
            };
            ctx.check()?;
            form::advance(agent, &page, &next).await.map_err(browser_error)?;
        }
        Err(StepError::fail("no_form", "the posting leads to no form"))
    }

    pub(super) async fn fill_page(
        &self,
        ctx: &StepContext,
        agent: &WebDriverAgent,
        step: FillPage,
    ) -> Result<Filled, StepError> {
        let id = SandboxId(step.at.sandbox);
        let (provider, lease) = (self.provider_of(&step.at.tier)?, Duration::from_secs(step.lease_s));
        provider.renew(&id, lease).await.map_err(sandbox_error)?;
        rows::renewed(ctx, id, lease).await?;
        let mut applicant = applicant(ctx, provider, &step).await?;
        let (mut bank, answered) = (Bank::of(step.employer.clone()), answers(&step.answered));
        let (mut learned, file) = self.memory.of(&agent.current_url().await.map_err(browser_error)?).await;
        screenshot(ctx, agent, &format!("page-{}-before", step.page)).await;
        let mut corrections = 0;
        let mut typed = BTreeSet::new();
        loop {
            ctx.check()?;
            let filled = form::fill_page_knowing(agent, &applicant, &mut learned).await.map_err(browser_error)?;
            self.memory.keep(file.clone(), &learned).await;
            // Bounded: nothing is typed twice.
            if self.sign_in(ctx, agent, &filled.snapshot, &mut typed).await? {
                continue;
            }
            if let Some(done) = not_a_form(ctx, agent, &filled).await? {
                return Ok(done);
            }
            if bank.answer(ctx, &filled.plan.unknown, &mut applicant).await? {
                continue;
            }
            let mut questions = open_questions(&filled);
            if step.refused {
                questions.extend(standing_complaints(&filled));
            }
            if !questions.is_empty() {
                return Ok(needs_person(ctx, agent, questions).await);
            }
            let Some(next) = filled.plan.next.clone() else {
                return Err(cannot_go_on(ctx, agent, &filled.snapshot, &filled.plan.page, None).await);
            };
            bank.keep(ctx, &filled, &answered).await?;
            keep_page(ctx, agent, &filled.snapshot, &format!("page-{}", step.page)).await;
            if next.kind == NextKind::Submit {
                let screenshot = screenshot(ctx, agent, "before-submit").await;
                return Ok(Filled::ReadyToSubmit { summary: fields(&filled), screenshot });
            }
            screenshot(ctx, agent, &format!("page-{}-after", step.page)).await;
            ctx.check()?;
            let moved = form::advance(agent, &filled.snapshot, &next).await.map_err(browser_error)?;
            match moved.moved {
                Moved::On => return Ok(Filled::Next { fields: fields(&filled) }),
                Moved::Nowhere => return Err(StepError::retry("page_stands_still", "the button changed nothing")),
                Moved::Refused => {
                    corrections += 1;
                    let questions = refused_questions(&moved);
                    if corrections > 1 && !questions.is_empty() {
                        return Ok(needs_person(ctx, agent, questions).await);
                    }
                    if let Some(asked) = obstacle(ctx, agent, &moved.snapshot).await {
                        return Ok(Filled::Obstacle(asked));
                    }
                    if corrections > CORRECTIONS_MAX {
                        return Err(refused_silently(ctx, agent, &moved).await);
                    }
                }
            }
        }
    }

    /// Reads the page anew: a former attempt, or the person in the browser itself, may have cleared the way.
    pub(super) async fn answer_obstacle(
        &self,
        ctx: &StepContext,
        agent: &WebDriverAgent,
        step: AnswerObstacle,
    ) -> Result<Passed, StepError> {
        let page = form::read_page(agent).await.map_err(browser_error)?;
        let Some(asked) = form::obstacle(&page) else {
            return Ok(passed(ctx, agent, &page).await);
        };
        let answers: BTreeMap<String, String> = step.answers.into_iter().map(|a| (a.key, a.value)).collect();
        let answered = match form::answer_obstacle(agent, &page, &answers).await {
            // It asks for something else than the person was asked for, or for another shape of it.
            Err(BrowserError::BadInput { what }) => {
                let same = asked.fields.iter().all(|field| answers.contains_key(&field.key));
                let said = same.then(|| what.trim_start_matches("answer: ").to_owned());
                return Ok(match obstacle(ctx, agent, &page).await {
                    Some(other) => Passed::Obstacle(other, said),
                    None => passed(ctx, agent, &page).await,
                });
            }
            other => other.map_err(browser_error)?,
        };
        if let Some(next) = obstacle(ctx, agent, &answered.snapshot).await {
            let again = answered.obstacle.is_some_and(|now| now.asks_the_same(&asked));
            let said = answered.message.or_else(|| again.then(|| "the page did not take it".to_owned()));
            return Ok(Passed::Obstacle(next, said));
        }
        // Whoever signed in here need not do it again, whatever becomes of this application.
        self.keep_state(ctx, agent).await;
        Ok(passed(ctx, agent, &answered.snapshot).await)
    }
}

async fn passed(ctx: &StepContext, agent: &WebDriverAgent, page: &Snapshot) -> Passed {
    let report = form::classify(page);
    if is_confirmed(&report) {
        return Passed::Confirmed(submission(ctx, agent, page, &report).await);
    }
    match report.kind {
        PageKind::Form | PageKind::Step | PageKind::Review => Passed::Form,
        _ => Passed::Elsewhere,
    }
}

/// The page shows no form any more: the end, or something in the way.
async fn not_a_form(
    ctx: &StepContext,
    agent: &WebDriverAgent,
    filled: &FilledPage,
) -> Result<Option<Filled>, StepError> {
    let report = &filled.plan.page;
    if let Some(asked) = obstacle(ctx, agent, &filled.snapshot).await {
        return Ok(Some(Filled::Obstacle(asked)));
    }
    match report.kind {
        PageKind::Confirmation | PageKind::AlreadyApplied => {
            Ok(Some(Filled::AlreadySubmitted(submission(ctx, agent, &filled.snapshot, report).await)))
        }
        PageKind::Expired => Ok(Some(Filled::Expired)),
        PageKind::Form | PageKind::Step | PageKind::Review | PageKind::Unknown => Ok(None),
        _ => Err(cannot_go_on(ctx, agent, &filled.snapshot, report, None).await),
    }
}

/// Closed, blocked, broken: an outcome with its evidence.
async fn cannot_go_on(
    ctx: &StepContext,
    agent: &WebDriverAgent,
    page: &Snapshot,
    report: &PageReport,
    job_url: Option<&str>,
) -> StepError {
    let block = form::block(page, report);
    let mut evidence = serde_json::to_value(keep_failure(ctx, agent, page, "stopped").await).unwrap_or_default();
    evidence["evidence"] = serde_json::json!(block.as_ref().map_or(&report.evidence, |block| &block.evidence));
    evidence["url"] = serde_json::json!(agent.current_url().await.unwrap_or_default());
    let error = match report.kind {
        PageKind::Closed => StepError::fail("posting_closed", "the job takes no applications any more"),
        PageKind::Blocked if block.as_ref().is_some_and(|block| block.class == BlockClass::RateLimited) => {
            leave_alone(ctx, agent, job_url).await
        }
        PageKind::Blocked => refused_browser(block.as_ref()),
        PageKind::Error => StepError::retry("site_error", "the site shows an error"),
        _ => StepError::fail("no_form", "the page shows neither a form nor a way to one"),
    };
    error.with_details(&evidence)
}

/// Another browser may be let in where this one is not.
fn refused_browser(block: Option<&Block>) -> StepError {
    match block.map(|block| block.class) {
        Some(class @ BlockClass::AccessDenied) => {
            StepError::blocked(class.as_str(), "the site lets nobody in from here")
        }
        _ => StepError::blocked(BlockClass::BotBlocked.as_str(), "the site refuses the browser"),
    }
}

async fn needs_person(ctx: &StepContext, agent: &WebDriverAgent, questions: Vec<Question>) -> Filled {
    let url = agent.current_url().await.unwrap_or_default();
    Filled::NeedsPerson { questions, screenshot: screenshot(ctx, agent, "question").await, url }
}

/// Nobody can be asked about a field when no field is named: what the page says goes with the failure.
async fn refused_silently(ctx: &StepContext, agent: &WebDriverAgent, moved: &Advance) -> StepError {
    let mut details =
        serde_json::to_value(keep_failure(ctx, agent, &moved.snapshot, "refused").await).unwrap_or_default();
    details["alerts"] = serde_json::json!(moved.alerts);
    details["url"] = serde_json::json!(agent.current_url().await.unwrap_or_default());
    StepError::fail("form_refused", "the page refuses what was filled in and does not say which field")
        .with_details(&details)
}
