//! `job-application`: applies for a job on somebody's behalf, in a browser, with a person where it must be.
//!
//! **select tier → provision → run agent → wait for a human → cleanup**. Filling is one durable step a page, and the
//! submission a step of its own that never happens twice, so that a crash on page three does not start over.

use std::time::Duration;

use valet_core::journal::{HumanOutcome, HumanSpec};
use valet_core::workflow::{Door, InputProblem};
use valet_core::{Context, Payload, StepFailure, Stop, Workflow};

pub mod input;
mod questions;
pub mod steps;

use input::{Answer, Application, Mode};
use steps::{
    CheckSubmission, Cleanup, FillPage, Filled, OpenPosting, Posting, Provision, Receipt, SelectTier, Submission,
    Submit, TierChoice,
};

/// Pages of one form. A form that leads in circles ends here.
const PAGES_MAX: u32 = 20;
/// Times that a person is asked about one application.
const TASKS_MAX: u32 = 10;

/// Times that a form may refuse what is sent before it is given up; an answer of a person begins the count anew.
const REFUSALS_MAX: u32 = 3;

/// See the module.
pub struct JobApplicationWorkflow;

impl Workflow for JobApplicationWorkflow {
    const NAME: &'static str = "job-application";
    type Input = Application;
    type Output = Receipt;

    async fn run(ctx: Context, application: Application) -> Result<Receipt, Stop> {
        let started_at = ctx.now();
        ctx.set_status("choosing a browser");
        let tier = ctx.step(SelectTier::new(&application)).await?;
        let sandbox = ctx.id();
        let cleanup = ctx.finally(Cleanup { sandbox });
        ctx.set_status(format!("starting a browser ({})", tier.tier));
        ctx.step(Provision::new(sandbox, &tier, &application)).await?;
        let posting = ctx.step(OpenPosting { sandbox, job_url: application.job_url.clone() }).await?;

        let mut drive = Drive { ctx: &ctx, application, sandbox, tier, posting, tasks: 0, refusals: 0 };
        let submission = drive.drive_through().await?;
        let receipt = drive.receipt(submission, started_at);
        ctx.set_status("cleaning up");
        cleanup.now().await?;
        ctx.set_status("applied");
        Ok(receipt)
    }

    fn check(input: &Application, door: &Door) -> Vec<InputProblem> {
        input::problems(input, door)
    }
}

/// The application on its way through one browser.
struct Drive<'a> {
    ctx: &'a Context,
    application: Application,
    sandbox: uuid::Uuid,
    tier: TierChoice,
    posting: Posting,
    tasks: u32,
    /// Sendings that the form refused since a person last answered.
    refusals: u32,
}

/// What a look at the form came to.
enum Page {
    Submitted(Submission),
    Next,
    Again,
}

impl Drive<'_> {
    /// Page by page until the application is in.
    async fn drive_through(&mut self) -> Result<Submission, Stop> {
        let mut page = 1;
        // Every round moves on a page or asks a person, and both are counted.
        for _ in 0..(PAGES_MAX + TASKS_MAX) {
            match self.page(page).await? {
                Page::Submitted(submission) => return Ok(submission),
                Page::Next => page += 1,
                Page::Again => {}
            }
            if page > PAGES_MAX {
                break;
            }
        }
        Err(Stop::failed("too_many_pages", format!("the form has no end after {PAGES_MAX} pages")))
    }

    async fn page(&mut self, page: u32) -> Result<Page, Stop> {
        self.ctx.set_status(format!("filling page {page}"));
        let fill = FillPage::new(self.sandbox, page, &self.application, self.refusals > 0);
        match self.ctx.step(fill).await? {
            Filled::Next { .. } => Ok(Page::Next),
            Filled::NeedsPerson { questions, screenshot, url } => {
                let answers = self.ask(&questions, screenshot, url).await?;
                self.application.answers.extend(answers);
                Ok(Page::Again)
            }
            Filled::ReadyToSubmit { screenshot, summary } => {
                if self.application.mode == Mode::Review {
                    self.review(screenshot, summary).await?;
                }
                self.submit().await
            }
            Filled::AlreadySubmitted(submission) => Ok(Page::Submitted(submission)),
        }
    }

    /// Sends the application: once. Where nobody knows whether it went out, the page is asked, then a person.
    async fn submit(&mut self) -> Result<Page, Stop> {
        self.ctx.set_status("submitting");
        let outcome = match self.ctx.step(Submit { sandbox: self.sandbox }).await {
            Err(StepFailure::InDoubt(_)) => self.ctx.step(CheckSubmission { sandbox: self.sandbox }).await?,
            other => other?,
        };
        match outcome {
            steps::Sent::Confirmed(submission) => Ok(Page::Submitted(submission)),
            steps::Sent::Refused { errors } => self.refused(&errors),
            steps::Sent::Unclear { screenshot, url } => self.in_doubt(screenshot, url).await,
        }
    }

    /// What the page says is looked at when it is filled anew; a form that refuses again and again has no use for more.
    fn refused(&mut self, errors: &[String]) -> Result<Page, Stop> {
        self.refusals += 1;
        if self.refusals < REFUSALS_MAX {
            return Ok(Page::Again);
        }
        let said = if errors.is_empty() { "it does not say why".to_owned() } else { errors.join("; ") };
        Err(Stop::failed("form_refused", format!("the form was refused {REFUSALS_MAX} times: {said}")))
    }

    async fn ask(
        &mut self,
        questions: &[steps::Question],
        screenshot: Option<uuid::Uuid>,
        url: String,
    ) -> Result<Vec<Answer>, Stop> {
        let context =
            serde_json::json!({ "questions": questions, "screenshot": questions::file(screenshot), "url": url });
        let title = format!("{} asks what the profile does not answer", self.posting.title());
        let answer = self.person("unknown_question", title, &questions::form(questions), context).await?;
        self.refusals = 0;
        Ok(questions::answers(questions, &answer))
    }

    async fn review(&mut self, screenshot: Option<uuid::Uuid>, summary: Vec<steps::FilledField>) -> Result<(), Stop> {
        let context = serde_json::json!({ "fields": summary, "screenshot": questions::file(screenshot) });
        let title = format!("Review the application to {}", self.posting.title());
        let answer = self.person("review", title, &questions::approval(), context).await?;
        if answer.get("approve").and_then(serde_json::Value::as_bool) == Some(true) {
            return Ok(());
        }
        Err(Stop::failed("not_approved", "the application was not approved in review"))
    }

    async fn in_doubt(&mut self, screenshot: Option<uuid::Uuid>, url: String) -> Result<Page, Stop> {
        let context = serde_json::json!({ "screenshot": questions::file(screenshot), "url": url });
        let title = format!("Was the application to {} received?", self.posting.title());
        let answer = self.person("in_doubt", title, &questions::submitted(), context).await?;
        if answer.get("submitted").and_then(serde_json::Value::as_bool) == Some(true) {
            let confirmation = "confirmed by a person".to_owned();
            return Ok(Page::Submitted(Submission { confirmation, reference: None, screenshot }));
        }
        Ok(Page::Again)
    }

    /// Opens a task and waits; anything but an answer ends the run with the task's own outcome.
    async fn person(
        &mut self,
        reason: &str,
        title: String,
        form: &serde_json::Value,
        context: serde_json::Value,
    ) -> Result<serde_json::Value, Stop> {
        self.tasks += 1;
        if self.tasks > TASKS_MAX {
            return Err(Stop::failed("too_many_tasks", format!("{TASKS_MAX} questions did not finish the form")));
        }
        self.ctx.set_status(format!("waiting for a person: {reason}"));
        let wait = Duration::from_secs(self.application.human_deadline_s);
        let task = HumanSpec {
            reason: reason.to_owned(),
            title,
            form: Payload::of(form).unwrap_or_default(),
            context: Payload::of(&context).unwrap_or_default(),
            deadline: self.ctx.now() + chrono::TimeDelta::from_std(wait).unwrap_or(chrono::TimeDelta::days(1)),
        };
        match self.ctx.human(task).await {
            HumanOutcome::Answered { answer, .. } => {
                answer.read().map_err(|e| Stop::failed("bad_answer", format!("the answer cannot be read: {e}")))
            }
            HumanOutcome::Rejected { by, reason, .. } => {
                Err(Stop::failed("rejected", format!("{by} rejected the task: {reason}")))
            }
            HumanOutcome::TimedOut => {
                Err(Stop::failed("human_timed_out", "nobody answered before the task's deadline"))
            }
        }
    }

    fn receipt(&self, submission: Submission, started_at: valet_core::Timestamp) -> Receipt {
        Receipt {
            confirmation: submission.confirmation,
            reference: submission.reference,
            tier: self.tier.tier.clone(),
            job_title: self.posting.job_title.clone(),
            company: self.posting.company.clone(),
            seconds: (self.ctx.now() - started_at).as_seconds_f64(),
            people_asked: self.tasks,
            screenshot: questions::file(submission.screenshot),
        }
    }
}
