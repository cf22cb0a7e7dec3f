//! The steps of `job-application`, done in a browser of the local tier.
//!
//! Each step takes the sandbox over with a fence higher than all before it, reads the page as it is and goes on from there:
//! so a step that is tried again after a crash finds what the attempt before it left. Only `submit` has an outward effect.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use uuid::Uuid;
use valet_crash_points::crash_point;
use valet_workflows::job_application::input::{self, Profile};
use valet_workflows::job_application::steps::{
    CheckSubmission, Cleanup, FillPage, Filled, FilledField, OpenPosting, Posting, Provision, Provisioned, Question,
    SelectTier, Sent, Submission, Submit, TierChoice,
};

use crate::browser::{AgentLimits, BrowserAgent, BrowserError, WebDriverAgent};
use crate::form::{
    self, Advance, Applicant, Complaint, Document, FilledPage, Moved, NextButton, NextKind, PageKind, PageReport,
    Reason, Snapshot,
};
use crate::runtime::{Handlers, StepContext, StepError};
use crate::sandbox::{FenceNumber, HostPort, ProvisionRequest, SandboxError, SandboxId, SandboxProvider};

/// Pages between a posting and its form.
const POSTING_PAGES_MAX: u32 = 4;
/// Times that a page is filled again because it complained.
const CORRECTIONS_MAX: u32 = 2;
/// Longest text of a page that is kept as a confirmation.
const CONFIRMATION_CHARS_MAX: usize = 400;

/// What the handlers stand on.
pub struct Browsers {
    pub provider: Arc<dyn SandboxProvider>,
    /// Private places that browsers may reach (`VALET_ALLOW_HOSTS`).
    pub allow_private: Vec<HostPort>,
    pub limits: AgentLimits,
}

/// Adds the handlers of `job-application`.
pub fn register(handlers: Handlers, browsers: &Arc<Browsers>) -> Handlers {
    macro_rules! on {
        ($handlers:expr, $step:ty, $method:ident) => {{
            let browsers = Arc::clone(browsers);
            $handlers.on(move |ctx, step: $step| {
                let browsers = Arc::clone(&browsers);
                async move { browsers.$method(ctx, step).await }
            })
        }};
    }
    let handlers = handlers.on(|_, step: SelectTier| async move { select_tier(&step) });
    let handlers = on!(handlers, Provision, provision);
    let handlers = on!(handlers, OpenPosting, open_posting);
    let handlers = on!(handlers, FillPage, fill_page);
    let handlers = on!(handlers, Submit, submit);
    let handlers = on!(handlers, CheckSubmission, check_submission);
    on!(handlers, Cleanup, cleanup)
}

/// Only the local tier is there; the others join with their providers.
fn select_tier(step: &SelectTier) -> Result<TierChoice, StepError> {
    if step.max_cost.is_some_and(|most| most < 0.0) {
        return Err(StepError::fail("over_budget", "no tier costs less than nothing"));
    }
    let reasons = vec!["the local tier is the only one configured".to_owned(), "it costs nothing".to_owned()];
    Ok(TierChoice { tier: "local".to_owned(), reasons })
}

impl Browsers {
    async fn provision(&self, ctx: StepContext, step: Provision) -> Result<Provisioned, StepError> {
        ctx.check()?;
        let request = ProvisionRequest {
            sandbox_id: step.sandbox,
            allowed_hosts: step.allowed_hosts,
            allow_private: self.allow_private.clone(),
            headless: true,
            lease: Duration::from_secs(step.lease_s),
        };
        self.provider.provision(&request).await.map_err(sandbox_error)?;
        let id = SandboxId(step.sandbox);
        let attachment = self.provider.attach(&id, fence(&ctx)).await.map_err(sandbox_error)?;
        let named = |name: &str| attachment.capabilities.get(name).and_then(|v| v.as_str()).unwrap_or("?").to_owned();
        Ok(Provisioned { browser: format!("{} {}", named("browserName"), named("browserVersion")) })
    }

    async fn open_posting(&self, ctx: StepContext, step: OpenPosting) -> Result<Posting, StepError> {
        let agent = self.attach(&ctx, step.sandbox).await?;
        agent.navigate(&step.job_url).await.map_err(browser_error)?;
        let mut posting = Posting { url: step.job_url, ..Posting::default() };
        for _ in 0..POSTING_PAGES_MAX {
            agent.settle().await.map_err(browser_error)?;
            let page = agent.snapshot().await.map_err(browser_error)?;
            describe(&page, &mut posting);
            let plan = form::plan(&page, &Applicant::default());
            match plan.page.kind {
                PageKind::Form | PageKind::Step | PageKind::Review => return Ok(posting),
                PageKind::Posting | PageKind::Unknown => {}
                _ => return Err(self.cannot_go_on(&ctx, &agent, &plan.page).await),
            }
            let Some(next) = plan.next else { return Err(self.cannot_go_on(&ctx, &agent, &plan.page).await) };
            ctx.check()?;
            form::advance(&agent, &page, &next).await.map_err(browser_error)?;
        }
        Err(StepError::fail("no_form", "the posting leads to no form"))
    }

    async fn fill_page(&self, ctx: StepContext, step: FillPage) -> Result<Filled, StepError> {
        let agent = self.attach(&ctx, step.sandbox).await?;
        let id = SandboxId(step.sandbox);
        self.provider.renew(&id, Duration::from_secs(step.lease_s)).await.map_err(sandbox_error)?;
        let applicant = self.applicant(&ctx, &step).await?;
        let mut corrections = 0;
        loop {
            ctx.check()?;
            let filled = form::fill_page(&agent, &applicant).await.map_err(browser_error)?;
            if let Some(done) = self.not_a_form(&ctx, &agent, &filled).await? {
                return Ok(done);
            }
            let mut questions = open_questions(&filled);
            if step.refused {
                questions.extend(standing_complaints(&filled));
            }
            if !questions.is_empty() {
                return Ok(needs_person(&ctx, &agent, questions).await);
            }
            let Some(next) = filled.plan.next.clone() else {
                return Err(self.cannot_go_on(&ctx, &agent, &filled.plan.page).await);
            };
            if next.kind == NextKind::Submit {
                let screenshot = screenshot(&ctx, &agent, "before-submit").await;
                return Ok(Filled::ReadyToSubmit { summary: fields(&filled), screenshot });
            }
            ctx.check()?;
            let moved = form::advance(&agent, &filled.snapshot, &next).await.map_err(browser_error)?;
            match moved.moved {
                Moved::On => return Ok(Filled::Next { fields: fields(&filled) }),
                Moved::Nowhere => return Err(StepError::retry("page_stands_still", "the button changed nothing")),
                Moved::Refused => {
                    corrections += 1;
                    let questions = refused_questions(&moved);
                    if corrections > 1 && !questions.is_empty() {
                        return Ok(needs_person(&ctx, &agent, questions).await);
                    }
                    if corrections > CORRECTIONS_MAX {
                        return Err(refused_silently(&ctx, &agent, &moved).await);
                    }
                }
            }
        }
    }

    async fn submit(&self, ctx: StepContext, step: Submit) -> Result<Sent, StepError> {
        let agent = self.attach(&ctx, step.sandbox).await?;
        agent.settle().await.map_err(browser_error)?;
        let page = agent.snapshot().await.map_err(browser_error)?;
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

    async fn check_submission(&self, ctx: StepContext, step: CheckSubmission) -> Result<Sent, StepError> {
        let agent = self.attach(&ctx, step.sandbox).await?;
        agent.settle().await.map_err(browser_error)?;
        let page = agent.snapshot().await.map_err(browser_error)?;
        let report = form::classify(&page);
        if is_confirmed(&report) {
            return Ok(Sent::Confirmed(submission(&ctx, &agent, &page, &report).await));
        }
        // The form is still there: that it was not sent cannot be told from this alone.
        Ok(unclear(&ctx, &agent).await)
    }

    async fn cleanup(&self, _ctx: StepContext, step: Cleanup) -> Result<(), StepError> {
        crash_point!(WorkerFinalizerBefore);
        self.provider.destroy(&SandboxId(step.sandbox)).await.map_err(sandbox_error)?;
        crash_point!(WorkerFinalizerAfter);
        Ok(())
    }

    /// Takes the browser over: whoever held it before is refused from here on.
    async fn attach(&self, ctx: &StepContext, sandbox: Uuid) -> Result<WebDriverAgent, StepError> {
        ctx.check()?;
        let attachment = self.provider.attach(&SandboxId(sandbox), fence(ctx)).await.map_err(sandbox_error)?;
        WebDriverAgent::attach(attachment, self.limits).await.map_err(browser_error)
    }

    /// The applicant with the files where the browser can reach them.
    async fn applicant(&self, ctx: &StepContext, step: &FillPage) -> Result<Applicant, StepError> {
        let mut applicant = applicant(&step.profile);
        applicant.answers = step
            .answers
            .iter()
            .map(|a| form::Answer { question: a.question.clone(), answer: a.answer.clone() })
            .collect();
        for document in &step.documents {
            let id = document.file.strip_prefix("file_").and_then(|hex| Uuid::parse_str(hex).ok());
            let id = id.ok_or_else(|| StepError::fail("bad_file_id", "a document's file is not `file_…`"))?;
            let blob = ctx.blobs().get(id).await?;
            let filename = blob.filename.unwrap_or_else(|| "document".to_owned());
            let sandbox = SandboxId(step.sandbox);
            let path = self.provider.stage_file(&sandbox, &filename, &blob.bytes).await.map_err(sandbox_error)?;
            let kind = match document.kind {
                input::DocumentKind::Resume => form::DocumentKind::Resume,
                input::DocumentKind::CoverLetter => form::DocumentKind::CoverLetter,
                input::DocumentKind::Other => form::DocumentKind::Other,
            };
            applicant.documents.push(Document { kind, path, filename });
        }
        Ok(applicant)
    }

    /// The page shows no form any more: the end, or something in the way.
    async fn not_a_form(
        &self,
        ctx: &StepContext,
        agent: &WebDriverAgent,
        filled: &FilledPage,
    ) -> Result<Option<Filled>, StepError> {
        let report = &filled.plan.page;
        match report.kind {
            PageKind::Confirmation | PageKind::AlreadyApplied => {
                Ok(Some(Filled::AlreadySubmitted(submission(ctx, agent, &filled.snapshot, report).await)))
            }
            PageKind::Form | PageKind::Step | PageKind::Review | PageKind::Unknown => Ok(None),
            _ => Err(self.cannot_go_on(ctx, agent, report).await),
        }
    }

    /// Closed, blocked, a login: an outcome with its evidence.
    async fn cannot_go_on(&self, ctx: &StepContext, agent: &WebDriverAgent, report: &PageReport) -> StepError {
        let evidence = serde_json::json!({
            "screenshot": screenshot(ctx, agent, "stopped").await,
            "evidence": report.evidence,
            "url": agent.current_url().await.unwrap_or_default(),
        });
        let error = match report.kind {
            PageKind::Closed => StepError::fail("posting_closed", "the job takes no applications any more"),
            PageKind::Blocked => StepError::blocked("bot_blocked", "the site refuses the browser"),
            PageKind::Captcha => StepError::blocked("captcha", "a puzzle is in the way"),
            PageKind::Login => StepError::blocked("login", "the site asks for a login"),
            PageKind::Error => StepError::retry("site_error", "the site shows an error"),
            _ => StepError::fail("no_form", "the page shows neither a form nor a way to one"),
        };
        error.with_details(&evidence)
    }
}

async fn needs_person(ctx: &StepContext, agent: &WebDriverAgent, questions: Vec<Question>) -> Filled {
    let url = agent.current_url().await.unwrap_or_default();
    Filled::NeedsPerson { questions, screenshot: screenshot(ctx, agent, "question").await, url }
}

/// Nobody can be asked about a field when no field is named: what the page says goes with the failure.
async fn refused_silently(ctx: &StepContext, agent: &WebDriverAgent, moved: &Advance) -> StepError {
    let details = serde_json::json!({
        "screenshot": screenshot(ctx, agent, "refused").await,
        "alerts": moved.alerts,
        "url": agent.current_url().await.unwrap_or_default(),
    });
    StepError::fail("form_refused", "the page refuses what was filled in and does not say which field")
        .with_details(&details)
}

/// Presses the button that sends the application, and says what became of it.
async fn press(ctx: &StepContext, agent: &WebDriverAgent, page: &Snapshot, next: &NextButton) -> Sent {
    match form::advance(agent, page, next).await {
        Ok(after) if is_confirmed(&after.page) => {
            Sent::Confirmed(submission(ctx, agent, &after.snapshot, &after.page).await)
        }
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

fn is_confirmed(report: &PageReport) -> bool {
    matches!(report.kind, PageKind::Confirmation | PageKind::AlreadyApplied)
}

async fn submission(ctx: &StepContext, agent: &WebDriverAgent, page: &Snapshot, report: &PageReport) -> Submission {
    let text: String = page.text.chars().take(CONFIRMATION_CHARS_MAX).collect();
    let heading = page.headings.first().map(|heading| heading.text.clone()).filter(|text| !text.is_empty());
    Submission {
        confirmation: heading.unwrap_or(text),
        reference: report.reference.clone(),
        screenshot: screenshot(ctx, agent, "confirmation").await,
    }
}

/// Evidence is worth having, and never worth failing for.
async fn screenshot(ctx: &StepContext, agent: &WebDriverAgent, name: &str) -> Option<Uuid> {
    let png = match agent.take_screenshot().await {
        Ok(png) => png,
        Err(error) => {
            tracing::info!(run = %ctx.run(), %error, "no screenshot");
            return None;
        }
    };
    match ctx.blobs().put(&format!("{name}.png"), "image/png", Bytes::from(png)).await {
        Ok(stored) => Some(stored.id),
        Err(error) => {
            tracing::info!(run = %ctx.run(), %error, "a screenshot was not kept");
            None
        }
    }
}

/// The fence of this attempt: later steps and later attempts have higher ones.
fn fence(ctx: &StepContext) -> FenceNumber {
    FenceNumber((u64::from(ctx.seq().0) << 16) | u64::from(ctx.attempt().0.min(u32::from(u16::MAX))))
}

fn describe(page: &Snapshot, posting: &mut Posting) {
    let facts = crate::browser::extract::extract(page);
    let fact = |names: &[&str]| facts.named(names).into_iter().next().map(|field| field.value);
    if posting.job_title.is_none() {
        posting.job_title = fact(&["title"]);
    }
    if posting.company.is_none() {
        posting.company = fact(&["hiringOrganization", "hiringOrganization.name", "company"]);
    }
}

fn applicant(profile: &Profile) -> Applicant {
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let link = |name: &str| profile.links.get(name).cloned();
    Applicant {
        first_name: profile.first_name.clone(),
        last_name: profile.last_name.clone(),
        email: profile.email.clone(),
        phone: text(&profile.phone),
        address: form::Address {
            street: text(&profile.address.street),
            street2: None,
            city: text(&profile.address.city),
            state: text(&profile.address.state),
            postal_code: text(&profile.address.postal_code),
            country: text(&profile.address.country),
        },
        links: form::Links {
            linkedin: link("linkedin"),
            github: link("github"),
            website: link("website"),
            portfolio: link("portfolio"),
            twitter: link("twitter"),
        },
        work_authorization: profile
            .work_authorization
            .map(|authorized| form::WorkAuthorization { authorized, ..Default::default() }),
        needs_sponsorship: profile.needs_sponsorship,
        salary: profile.salary_expectation.clone(),
        start_date: profile.start_date.clone(),
        ..Applicant::default()
    }
}

fn fields(filled: &FilledPage) -> Vec<FilledField> {
    let satisfied = filled.plan.fills.iter().filter(|fill| fill.satisfied);
    satisfied
        .map(|fill| FilledField { label: fill.label.clone(), kind: word(&fill.kind), value: fill.value.clone() })
        .collect()
}

/// What a person must answer: what nothing known answers, and what the page did not take.
fn open_questions(filled: &FilledPage) -> Vec<Question> {
    let unknown = filled.plan.unknown.iter().map(|q| question(q, None));
    let failed = filled.applied.failed.iter().filter(|failure| failure.required).filter_map(|failure| {
        let about = form::question_about(&filled.snapshot, &failure.key, Reason::Refused)?;
        Some(question(&about, Some(failure.reason.clone())))
    });
    unknown.chain(failed).collect()
}

fn refused_questions(moved: &Advance) -> Vec<Question> {
    moved.complaints.iter().filter_map(|complaint| refused_question(&moved.snapshot, complaint)).collect()
}

/// What the page still says about values that were not changed since it said so.
fn standing_complaints(filled: &FilledPage) -> Vec<Question> {
    let standing = form::complaints(&filled.snapshot)
        .into_iter()
        .filter(|complaint| complaint.was_filled && !filled.applied.filled.contains(&complaint.key));
    standing.filter_map(|complaint| refused_question(&filled.snapshot, &complaint)).collect()
}

fn refused_question(page: &Snapshot, complaint: &Complaint) -> Option<Question> {
    let about = form::question_about(page, &complaint.key, Reason::Refused)?;
    Some(question(&about, Some(complaint.message.clone())))
}

fn question(q: &form::Question, error: Option<String>) -> Question {
    let help = Some(q.help.clone()).filter(|help| !help.is_empty());
    Question { label: q.label.clone(), kind: word(&q.kind), options: q.options.clone(), error: error.or(help) }
}

/// A unit enum as its word.
fn word<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_value(value).ok().and_then(|v| v.as_str().map(ToOwned::to_owned)).unwrap_or_default()
}

fn sandbox_error(error: SandboxError) -> StepError {
    match error {
        SandboxError::StaleFence { .. } => StepError::HandedBack,
        error if error.is_retryable() => StepError::retry("sandbox", error),
        error @ SandboxError::InvalidRequest(_) => StepError::fail("invalid_request", error),
        error => StepError::fail("sandbox_lost", error),
    }
}

fn browser_error(error: BrowserError) -> StepError {
    match error {
        BrowserError::StaleFence => StepError::HandedBack,
        BrowserError::Gone(_) => StepError::fail("sandbox_lost", error),
        BrowserError::Blocked { .. } => StepError::fail("egress_refused", error),
        error => StepError::retry("browser", error),
    }
}
