//! `job-application`: applies for a job on somebody's behalf, in a browser, with a person where it must be.
//!
//! **select tier → provision → run agent → wait for a human → cleanup**. Filling is one durable step a page, and the
//! submission a step of its own that never happens twice, so that a crash on page three does not start over.

use valet_core::workflow::{Door, InputProblem, NamedFile};
use valet_core::{Context, Failure, StepFailure, Stop, Workflow};

mod drive;
pub mod input;
mod people;
mod questions;
pub mod steps;

use drive::Drive;
use input::Application;
use people::People;
use steps::{Cleanup, Escalation, Place, Posting, Receipt, SelectTier, Submission, TierChoice, Want};

/// Browsers of one run: escalations, and machines that went away.
const BROWSERS_MAX: u32 = 5;

/// The site tells that a program is at work: another tier may be let in, another attempt is not.
const DETECTED: [&str; 1] = ["bot_blocked"];
/// The site lets nobody in from here, or still wants to be left alone: a person says whether to try again.
const TURNED_AWAY: [&str; 2] = ["access_denied", "rate_limited"];

/// See the module.
pub struct JobApplicationWorkflow;

impl Workflow for JobApplicationWorkflow {
    const NAME: &'static str = "job-application";
    type Input = Application;
    type Output = Receipt;

    async fn run(ctx: Context, application: Application) -> Result<Receipt, Stop> {
        let started_at = ctx.now();
        let mut case = Case::new(&ctx, application);
        let mut next = Next::Wanted(Want::Cheapest);
        for _ in 0..BROWSERS_MAX {
            let tier = case.choose(next).await?;
            let record = case.application.record;
            let place = Place { sandbox: ctx.id(), tier: tier.tier.clone(), host: tier.host.clone(), record };
            let cleanup = ctx.finally(Cleanup { at: place.clone() });
            let driven = Drive::new(&mut case, place).through().await;
            next = match driven {
                Ok(submission) => {
                    let receipt = case.receipt(submission, tier, started_at);
                    clean_up(&ctx, cleanup).await?;
                    ctx.set_status("applied");
                    return Ok(receipt);
                }
                Err(Halt::Stop(stop)) => return Err(stop),
                Err(Halt::Blocked(block)) => Next::Above { tier: tier.tier, block },
                Err(Halt::Escalated(above)) => Next::Chosen(above),
                Err(Halt::TurnedAway(why)) => Next::IfAPersonSaysSo { tier: tier.tier, why },
                Err(Halt::Lost(why)) => {
                    ctx.log(format!("the browser is lost, another takes its place: {why}"));
                    Next::Wanted(Want::Same { tier: tier.tier })
                }
            };
            // Before the next browser is there.
            clean_up(&ctx, cleanup).await?;
        }
        Err(Stop::failed("sandbox_lost", format!("{BROWSERS_MAX} browsers went away before the application was in")))
    }

    fn check(input: &Application, door: &Door) -> Vec<InputProblem> {
        input::problems(input, door)
    }

    fn files(input: &Application) -> Vec<NamedFile> {
        let documents = input.documents.iter().enumerate();
        documents
            .map(|(index, document)| NamedFile {
                field: format!("/documents/{index}/file"),
                file: document.file.clone(),
            })
            .collect()
    }
}

/// The browser that goes on.
enum Next {
    Wanted(Want),
    /// One that is harder to tell from a person's, or the block is how the run ends.
    Above {
        tier: String,
        block: Failure,
    },
    Chosen(TierChoice),
    IfAPersonSaysSo {
        tier: String,
        why: Failure,
    },
}

/// What one browser could not finish.
enum Halt {
    /// The run ends.
    Stop(Stop),
    /// The site refuses this kind of browser.
    Blocked(Failure),
    /// The site doubts this kind of browser, and there is another, which was chosen.
    Escalated(TierChoice),
    /// The site refuses everybody for now.
    TurnedAway(Failure),
    /// The browser or its machine is gone; nothing was submitted in it.
    Lost(Failure),
}

impl From<Stop> for Halt {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}

impl From<StepFailure> for Halt {
    fn from(failure: StepFailure) -> Self {
        match failure {
            StepFailure::NotStarted(why) => Self::Lost(why),
            StepFailure::Failed(why) | StepFailure::Exhausted(why) if why.code == steps::SANDBOX_LOST => {
                Self::Lost(why)
            }
            StepFailure::Blocked(why) if DETECTED.contains(&why.code.as_str()) => Self::Blocked(why),
            StepFailure::Blocked(why) | StepFailure::Exhausted(why) if TURNED_AWAY.contains(&why.code.as_str()) => {
                Self::TurnedAway(why)
            }
            other => Self::Stop(other.into()),
        }
    }
}

/// The application over all its browsers.
struct Case<'a> {
    ctx: &'a Context,
    application: Application,
    people: People<'a>,
    posting: Posting,
    escalations: Vec<Escalation>,
    /// What people answered so far; it is among the application's answers too.
    answered: Vec<input::Answer>,
    /// What was approved in review; another form in another browser is reviewed anew.
    approved: Option<Vec<steps::FilledField>>,
}

impl<'a> Case<'a> {
    fn new(ctx: &'a Context, application: Application) -> Self {
        let people = People::new(ctx, application.human_deadline_s);
        let posting = Posting { url: application.job_url.clone(), ..Posting::default() };
        Self { ctx, application, people, posting, escalations: Vec::new(), answered: Vec::new(), approved: None }
    }

    async fn choose(&mut self, next: Next) -> Result<TierChoice, Stop> {
        match next {
            Next::Wanted(want) => Ok(self.select_tier(want).await?),
            Next::Above { tier, block } => self.tier_above(&tier, &block).await?.ok_or(Stop::Failed(block)),
            Next::Chosen(tier) => Ok(tier),
            Next::IfAPersonSaysSo { tier, why } => {
                if !self.people.is_to_be_tried_again(&self.posting.title(), &why).await? {
                    return Err(Stop::Failed(why));
                }
                Ok(self.select_tier(Want::Same { tier }).await?)
            }
        }
    }

    async fn select_tier(&self, want: Want) -> Result<TierChoice, StepFailure> {
        self.ctx.set_status("choosing a browser");
        self.ctx.step(SelectTier::new(&self.application, want)).await
    }

    /// The next tier up from one that the site refuses or doubts, if there is one and the application may still have it.
    async fn tier_above(&mut self, from: &str, block: &Failure) -> Result<Option<TierChoice>, Stop> {
        if self.escalations.len() >= self.application.max_escalations as usize {
            return Ok(None);
        }
        let tier = match self.select_tier(Want::Above { tier: from.to_owned(), block: block.clone() }).await {
            Err(StepFailure::Failed(why)) if why.code == steps::NO_TIER => return Ok(None),
            other => other?,
        };
        let escalation = Escalation {
            from: from.to_owned(),
            to: tier.tier.clone(),
            code: block.code.clone(),
            reason: block.message.clone(),
        };
        self.ctx.emit("tier.escalated", &escalation);
        self.ctx.log(format!("{from} was refused ({block}), going on with {}", tier.tier));
        self.escalations.push(escalation);
        Ok(Some(tier))
    }

    fn receipt(&self, submission: Submission, tier: TierChoice, started_at: valet_core::Timestamp) -> Receipt {
        Receipt {
            confirmation: submission.confirmation,
            reference: submission.reference,
            tier: tier.tier,
            escalations: self.escalations.clone(),
            job_title: self.posting.job_title.clone(),
            company: self.posting.company.clone(),
            seconds: (self.ctx.now() - started_at).as_seconds_f64(),
            people_asked: self.people.asked(),
            screenshot: questions::file(submission.screenshot),
        }
    }
}

/// A machine that is gone took what was on it along.
async fn clean_up(ctx: &Context, cleanup: valet_core::context::Finalizer) -> Result<(), Stop> {
    ctx.set_status("cleaning up");
    match cleanup.now().await {
        Err(StepFailure::NotStarted(why)) => {
            ctx.log(format!("nothing is left to clean up: {why}"));
            Ok(())
        }
        other => Ok(other?),
    }
}
