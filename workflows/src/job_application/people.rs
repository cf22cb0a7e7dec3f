//! What is asked of people, and what their answers mean.

use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;
use valet_core::journal::{HumanOutcome, HumanSpec};
use valet_core::{Context, Failure, Payload, Stop};

use super::input::Answer;
use super::questions;
use super::steps::{FilledField, Obstacle, ObstacleAnswer, Question};

/// Times that people are asked about one application.
const TASKS_MAX: u32 = 20;

pub(super) struct People<'a> {
    ctx: &'a Context,
    deadline_s: u64,
    asked: u32,
    /// Where the browser of now is seen.
    live_view: Option<String>,
}

impl<'a> People<'a> {
    pub fn new(ctx: &'a Context, deadline_s: u64) -> Self {
        Self { ctx, deadline_s, asked: 0, live_view: None }
    }

    /// Whoever is asked from now on may look there.
    pub fn look_at(&mut self, live_view: Option<String>) {
        self.live_view = live_view;
    }

    pub fn asked(&self) -> u32 {
        self.asked
    }

    /// Questions of a page that nothing known answers.
    pub async fn questions(
        &mut self,
        posting: &str,
        asked: &[Question],
        screenshot: Option<Uuid>,
        url: String,
    ) -> Result<Vec<Answer>, Stop> {
        let context = json!({ "questions": asked, "screenshot": questions::file(screenshot), "url": url });
        let title = format!("{posting} asks what the profile does not answer");
        let answer = self.ask("unknown_question", title, &questions::form(asked), context).await?;
        Ok(questions::answers(asked, &answer))
    }

    /// A puzzle, a sign-in, a code: `complaint` is what the page said of the last answer.
    pub async fn obstacle(
        &mut self,
        posting: &str,
        obstacle: &Obstacle,
        complaint: Option<&str>,
    ) -> Result<Vec<ObstacleAnswer>, Stop> {
        let context = json!({
            "prompt": obstacle.prompt,
            "vendor": obstacle.vendor,
            "complaint": complaint,
            "screenshot": questions::file(obstacle.screenshot),
            "url": obstacle.url,
        });
        let title = match obstacle.kind.as_str() {
            "login" => format!("{posting} asks for a login"),
            "code" => format!("{posting} asks for a code that it sent"),
            _ => format!("{posting} asks whether a person is there"),
        };
        let form = questions::obstacle(obstacle);
        let answer = self.ask(&obstacle.kind, title, &form, context).await?;
        Ok(questions::obstacle_answers(obstacle, &answer))
    }

    pub async fn review(
        &mut self,
        posting: &str,
        summary: &[FilledField],
        screenshot: Option<Uuid>,
    ) -> Result<(), Stop> {
        let context = json!({ "fields": summary, "screenshot": questions::file(screenshot) });
        let title = format!("Review the application to {posting}");
        let answer = self.ask("review", title, &questions::approval(), context).await?;
        if answer.get("approve").and_then(Value::as_bool) == Some(true) {
            return Ok(());
        }
        Err(Stop::failed("not_approved", "the application was not approved in review"))
    }

    /// Nobody but the site, or the applicant's mailbox, knows.
    pub async fn was_submitted(&mut self, posting: &str, screenshot: Option<Uuid>, url: String) -> Result<bool, Stop> {
        let context = json!({ "screenshot": questions::file(screenshot), "url": url });
        let title = format!("Was the application to {posting} received?");
        let answer = self.ask("in_doubt", title, &questions::submitted(), context).await?;
        Ok(answer.get("submitted").and_then(Value::as_bool) == Some(true))
    }

    /// The site turned the browser away, whatever it was. True: it may be tried once more.
    pub async fn is_to_be_tried_again(&mut self, posting: &str, why: &Failure) -> Result<bool, Stop> {
        let details = why.details.as_ref().and_then(|details| details.read::<Value>().ok()).unwrap_or_default();
        let screenshot = details["screenshot"].as_str().and_then(|id| Uuid::parse_str(id).ok());
        let context = json!({
            "said": why.message,
            "evidence": details["evidence"],
            "screenshot": questions::file(screenshot),
            "url": details["url"],
        });
        let title = format!("The site of {posting} lets nobody in");
        let answer = self.ask(&why.code, title, &questions::again(), context).await?;
        Ok(answer.get("again").and_then(Value::as_bool) == Some(true))
    }

    /// Opens a task and waits; anything but an answer ends the run with the task's own outcome.
    async fn ask(&mut self, reason: &str, title: String, form: &Value, context: Value) -> Result<Value, Stop> {
        self.asked += 1;
        if self.asked > TASKS_MAX {
            return Err(Stop::failed("too_many_tasks", format!("{TASKS_MAX} answers did not finish the form")));
        }
        let mut context = context;
        if let Some(live_view) = &self.live_view {
            context["live_view"] = json!(live_view);
        }
        self.ctx.set_status(format!("waiting for a person: {reason}"));
        let wait = Duration::from_secs(self.deadline_s);
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
                Err(Stop::timed_out("human_timed_out", "nobody answered before the task's deadline"))
            }
        }
    }
}
