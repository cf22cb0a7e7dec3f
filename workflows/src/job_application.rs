//! `job-application`: applies for a job on somebody's behalf, in a browser, with a person where it must be.
//!
//! **select tier → provision → run agent → wait for a human → cleanup**. Filling is one durable step a page, and the
//! submission a step of its own that never happens twice, so that a crash on page three does not start over.

use valet_core::tiers::TierOutcome;
use valet_core::workflow::{Door, InputProblem, NamedFile};
use valet_core::{Context, Failure, StepFailure, Stop, Workflow};

mod direct;
mod drive;
pub mod input;
mod people;
mod questions;
pub mod steps;

use direct::Direct;
use drive::Drive;
use input::Application;
use people::People;
use steps::{Cleanup, Escalation, NoteTier, Place, Posting, Receipt, SelectTier, Submission, TierChoice, Want};

/// Browsers of one run: escalations, and machines that went away.
const BROWSERS_MAX: u32 = 5;

/// Times that one browser's beginning is asked for: a site that is closed again whenever its time has come is given up.
const BEGINNINGS_MAX: u32 = 100;

/// The site tells that a program is at work: another tier may be let in, another attempt is not.
const DETECTED: [&str; 1] = ["bot_blocked"];
/// The site lets nobody in from here: a person says whether to try again.
const TURNED_AWAY: &str = "access_denied";

/// Runs that began before know nothing of tallies.
const TELLS_OUTCOMES: &str = "tells-outcomes-of-tiers";

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
        for browser in 0..BROWSERS_MAX {
            let tier = case.choose(next, browser).await?;
            if let Some(place) = tier.direct.clone() {
                let sent = Direct::new(&mut case, place).through().await;
                case.tell(&tier, browser, &sent).await;
                next = match sent {
                    Ok(submission) => {
                        ctx.set_status("applied");
                        return Ok(case.receipt(submission, tier, started_at));
                    }
                    Err(halt) => case.after(halt, tier)?,
                };
                continue;
            }
            let record = case.application.record;
            let place = Place { sandbox: ctx.id(), tier: tier.tier.clone(), host: tier.host.clone(), record };
            let cleanup = ctx.finally(Cleanup { at: place.clone() });
            let driven = Drive::new(&mut case, place, &tier, browser).through().await;
            case.tell(&tier, browser, &driven).await;
            next = match driven {
                Ok(submission) => {
                    let receipt = case.receipt(submission, tier, started_at);
                    clean_up(&ctx, cleanup).await?;
                    ctx.set_status("applied");
                    return Ok(receipt);
                }
                Err(halt) => case.after(halt, tier)?,
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
        tier: TierChoice,
        block: Failure,
    },
    Chosen(Want, TierChoice),
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
    Escalated(Box<(Want, TierChoice)>),
    /// The site refuses everybody for now.
    TurnedAway(Failure),
    /// The browser or its machine is gone; nothing was submitted in it.
    Lost(Failure),
    /// The site wants to be left alone for a while; nothing was submitted.
    Limited(Failure),
    /// The same step failed until it had no attempt left.
    Failed(StepFailure),
    /// The hiring system itself does not take it; a browser may hand it in.
    NoDirect(Failure),
}

impl Halt {
    fn outcome(&self) -> Option<TierOutcome> {
        match self {
            Self::Blocked(_) | Self::Escalated(_) | Self::TurnedAway(_) => Some(TierOutcome::Detected),
            Self::Lost(_) => Some(TierOutcome::Lost),
            Self::Failed(_) | Self::NoDirect(_) => Some(TierOutcome::Failed),
            // The posting's or a person's end says nothing of the tier.
            Self::Stop(_) | Self::Limited(_) => None,
        }
    }
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
            StepFailure::Failed(why) | StepFailure::Exhausted(why) if why.code == steps::RATE_LIMITED => {
                Self::Limited(why)
            }
            StepFailure::Blocked(why) if DETECTED.contains(&why.code.as_str()) => Self::Blocked(why),
            StepFailure::Blocked(why) if why.code == TURNED_AWAY => Self::TurnedAway(why),
            StepFailure::Blocked(why) if why.code == steps::NO_DIRECT => Self::NoDirect(why),
            exhausted @ StepFailure::Exhausted(_) => Self::Failed(exhausted),
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
    /// Tiers that turned out not to serve this application.
    without: Vec<String>,
}

impl<'a> Case<'a> {
    fn new(ctx: &'a Context, application: Application) -> Self {
        let people = People::new(ctx, application.human_deadline_s);
        let posting = Posting { url: application.job_url.clone(), ..Posting::default() };
        Self {
            ctx,
            application,
            people,
            posting,
            escalations: Vec::new(),
            answered: Vec::new(),
            approved: None,
            without: Vec::new(),
        }
    }

    /// What follows what one tier could not finish; the run's end where nothing does.
    fn after(&mut self, halt: Halt, tier: TierChoice) -> Result<Next, Stop> {
        Ok(match halt {
            Halt::Stop(stop) => return Err(stop),
            Halt::Failed(failure) => return Err(failure.into()),
            Halt::Blocked(block) => Next::Above { tier, block },
            Halt::Escalated(above) => Next::Chosen(above.0, above.1),
            Halt::TurnedAway(why) => Next::IfAPersonSaysSo { tier: tier.tier, why },
            Halt::Lost(why) => {
                self.ctx.log(format!("the browser is lost, another takes its place: {why}"));
                Next::Wanted(Want::Same { tier: tier.tier })
            }
            Halt::Limited(why) => {
                self.ctx.log(format!("the site wants to be left alone, another browser goes there later: {why}"));
                Next::Wanted(Want::Same { tier: tier.tier })
            }
            Halt::NoDirect(why) => {
                self.ctx.log(format!("the hiring system itself does not take it, a browser hands it in: {why}"));
                self.without.push(tier.tier);
                Next::Wanted(Want::Cheapest)
            }
        })
    }

    fn selecting(&self, want: &Want, browser: u32) -> SelectTier {
        SelectTier { without: self.without.clone(), ..SelectTier::new(&self.application, want.clone(), browser) }
    }

    async fn choose(&mut self, next: Next, browser: u32) -> Result<TierChoice, Stop> {
        match next {
            Next::Wanted(want) => self.select_tier(want, browser, None).await,
            Next::Above { tier, block } => match self.above(&tier, &block) {
                Some(want) => self.select_tier(want, browser, None).await,
                None => Err(Stop::Failed(block)),
            },
            Next::Chosen(want, tier) => self.select_tier(want, browser, Some(tier)).await,
            Next::IfAPersonSaysSo { tier, why } => {
                if !self.people.is_to_be_tried_again(&self.posting.title(), &why).await? {
                    return Err(Stop::Failed(why));
                }
                self.select_tier(Want::Same { tier }, browser, None).await
            }
        }
    }

    /// The tier of the next browser, once it may begin; one that was chosen is asked for again only if it may not begin yet.
    async fn select_tier(&mut self, want: Want, browser: u32, chosen: Option<TierChoice>) -> Result<TierChoice, Stop> {
        let mut chosen = chosen;
        for _ in 0..BEGINNINGS_MAX {
            self.ctx.set_status("choosing a browser");
            let tier = match (chosen.take(), &want) {
                (Some(tier), _) => tier,
                (None, Want::Above { block, .. }) => {
                    // Nothing is left to try: the site's refusal is how the run ends.
                    self.tier_for(&want, browser).await?.ok_or_else(|| Stop::Failed(block.clone()))?
                }
                (None, _) => self.ctx.step(self.selecting(&want, browser)).await?,
            };
            let Some(wait) = &tier.wait else {
                self.note_escalation(&want, &tier);
                return Ok(tier);
            };
            self.ctx.set_status(format!("waiting until {}: {}", wait.until.format("%Y-%m-%d %H:%M:%S UTC"), wait.why));
            self.ctx.sleep_until(wait.until).await;
        }
        Err(Stop::failed("site_closed", format!("the site was not to be visited {BEGINNINGS_MAX} times")))
    }

    /// `None`: there is no such tier.
    async fn tier_for(&self, want: &Want, browser: u32) -> Result<Option<TierChoice>, StepFailure> {
        match self.ctx.step(self.selecting(want, browser)).await {
            Err(StepFailure::Failed(why)) if why.code == steps::NO_TIER => Ok(None),
            other => other.map(Some),
        }
    }

    /// The next tier up from one that the site doubts, for the browser behind this one: if there is one, and the application may still have it.
    async fn tier_above(
        &self,
        from: &TierChoice,
        browser: u32,
        block: &Failure,
    ) -> Result<Option<(Want, TierChoice)>, StepFailure> {
        let Some(want) = self.above(from, block) else { return Ok(None) };
        Ok(self.tier_for(&want, browser + 1).await?.map(|tier| (want, tier)))
    }

    fn learn(&mut self, posting: Posting) {
        let known = &mut self.posting;
        known.job_title = posting.job_title.or(known.job_title.take());
        known.company = posting.company.or(known.company.take());
    }

    fn note_escalation(&mut self, want: &Want, tier: &TierChoice) {
        let Want::Above { tier: from, block } = want else { return };
        let escalation = Escalation {
            from: from.clone(),
            to: tier.tier.clone(),
            code: block.code.clone(),
            reason: block.message.clone(),
        };
        self.ctx.emit("tier.escalated", &escalation);
        self.ctx.log(format!("{from} was refused ({block}), going on with {}", tier.tier));
        self.escalations.push(escalation);
    }

    /// The next tier up, if the application may still have one. A policy may raise what the application allows, unless that is none.
    fn above(&self, from: &TierChoice, block: &Failure) -> Option<Want> {
        let own = self.application.max_escalations;
        let most = if own == 0 { 0 } else { own.max(from.max_escalations.unwrap_or_default()) };
        let may = self.escalations.len() < most as usize;
        may.then(|| Want::Above { tier: from.tier.clone(), block: block.clone() })
    }

    /// How the browser came off, for those who choose after it. That it cannot be told is no reason to fail.
    async fn tell(&self, tier: &TierChoice, browser: u32, driven: &Result<Submission, Halt>) {
        let outcome = match driven {
            Ok(_) => Some(TierOutcome::Good),
            Err(halt) => halt.outcome(),
        };
        let Some(outcome) = outcome else { return };
        if self.ctx.version(TELLS_OUTCOMES, 1) == 0 {
            return;
        }
        let job_url = self.application.job_url.clone();
        let note = NoteTier { job_url, browser, tier: tier.tier.clone(), policy: tier.policy.clone(), outcome };
        if let Err(why) = self.ctx.step(note).await {
            self.ctx.log(format!("how the browser came off is not noted: {why}"));
        }
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
