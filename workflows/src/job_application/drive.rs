//! The application on its way through one browser.

use std::time::Duration;

use uuid::Uuid;
use valet_core::{Failure, StepFailure, Stop};

use super::input::Mode;
use super::steps::{
    AnswerObstacle, CheckSubmission, FillPage, Filled, FilledField, Obstacle, OpenPosting, Opened, Passed, Place,
    Provision, Provisioned, Sent, Submission, Submit, TierChoice,
};
use super::{Case, Halt};

/// Pages of one form. A form that leads in circles ends here.
const PAGES_MAX: u32 = 20;
/// Looks at pages: each moves on a page, asks a person, or begins the form anew after a person said so.
const ROUNDS_MAX: u32 = 60;
/// Times that a form may refuse what is sent before it is given up; an answer of a person begins the count anew.
const REFUSALS_MAX: u32 = 3;
/// A full machine is asked for room after this long, then after twice as long, up to the longest.
const ROOM_AGAIN_MIN: Duration = Duration::from_secs(5);
const ROOM_AGAIN_MAX: Duration = Duration::from_mins(1);
/// A day: browsers that wait for people keep their place.
const ROOM_LOOKS_MAX: u32 = 24 * 60;
/// A site that still asks after these does not believe in people behind this browser.
const PUZZLES_MAX: u32 = 2;
/// The kind of an obstacle that is a puzzle, and the code of a browser that gets one.
const CAPTCHA: &str = "captcha";
/// The code of a browser that gets one after the other.
const CAPTCHA_LOOP: &str = "captcha_loop";

pub(super) struct Drive<'c, 'a> {
    case: &'c mut Case<'a>,
    at: Place,
    tier: &'c TierChoice,
    /// Which browser of the run.
    browser: u32,
    /// Sendings that the form refused since a person last answered.
    refusals: u32,
    /// Puzzles that this browser got before anything was sent.
    puzzles: u32,
    /// What was filled in on the pages before this one.
    written: Vec<FilledField>,
    /// The browser is past the posting's address: the way to the form goes on from the page that it shows.
    under_way: bool,
}

/// What a look at the form came to.
enum Page {
    Submitted(Submission),
    Next,
    Again,
    /// The form is begun anew from its posting.
    Anew,
}

/// What was behind an obstacle.
enum Cleared {
    Form,
    Elsewhere,
    Confirmed(Submission),
}

impl<'c, 'a> Drive<'c, 'a> {
    pub fn new(case: &'c mut Case<'a>, at: Place, tier: &'c TierChoice, browser: u32) -> Self {
        Self { case, at, tier, browser, refusals: 0, puzzles: 0, written: Vec::new(), under_way: false }
    }

    /// Provisions the browser and goes page by page until the application is in.
    pub async fn through(mut self) -> Result<Submission, Halt> {
        self.provision().await?;
        let mut page = 0;
        for _ in 0..ROUNDS_MAX {
            let came_to = if page == 0 { self.open().await? } else { self.page(page).await? };
            match came_to {
                Page::Submitted(submission) => return Ok(submission),
                Page::Next => page += 1,
                Page::Again => {}
                Page::Anew => {
                    self.written.clear();
                    page = 0;
                }
            }
            if page > PAGES_MAX {
                break;
            }
        }
        Err(Stop::failed("too_many_pages", format!("the form has no end after {PAGES_MAX} pages")).into())
    }

    /// Starts the browser. A machine that is full is asked again until another run's browser has ended.
    async fn provision(&mut self) -> Result<(), Halt> {
        self.case.people.look_at(None);
        let mut pause = ROOM_AGAIN_MIN;
        for _ in 0..ROOM_LOOKS_MAX {
            self.status(format!("starting a browser ({})", self.at.tier));
            match self
                .case
                .ctx
                .step(Provision::new(self.at.clone(), &self.case.application, self.tier.price.clone()))
                .await?
            {
                Provisioned::Ready { live_view, .. } => {
                    self.case.people.look_at(live_view);
                    return Ok(());
                }
                Provisioned::Full { max } => {
                    self.status(format!("waiting for room: the machine has its {max} browsers"));
                }
                Provisioned::Spent { .. } if self.tier.price.stops => {
                    let why = format!("browsers of `{}` cost all that they may in a day", self.at.tier);
                    return Err(Stop::failed("day_budget_spent", why).into());
                }
                Provisioned::Spent { .. } => {
                    self.status(format!(
                        "waiting for another day: browsers of `{}` cost all that they may in one",
                        self.at.tier
                    ));
                }
                Provisioned::Resting { why } => self.status(format!("waiting for a browser: {why}")),
            }
            self.case.ctx.sleep(pause).await;
            pause = (pause * 2).min(ROOM_AGAIN_MAX);
        }
        Err(Stop::failed("no_capacity", "the machine had no room for one more browser for a day").into())
    }

    async fn open(&mut self) -> Result<Page, Halt> {
        self.status("opening the posting");
        let job_url = self.case.application.job_url.clone();
        let open = OpenPosting { at: self.at.clone(), job_url, from_here: self.under_way };
        match self.case.ctx.step(open).await? {
            Opened::Form(posting) => {
                self.case.learn(posting);
                Ok(Page::Next)
            }
            Opened::AlreadyApplied(submission) => Ok(Page::Submitted(submission)),
            Opened::Obstacle(posting, obstacle) => {
                self.case.learn(posting);
                self.under_way = true;
                self.clear(obstacle).await
            }
        }
    }

    async fn page(&mut self, page: u32) -> Result<Page, Halt> {
        self.status(format!("filling page {page}"));
        let fill = FillPage {
            answered: self.case.answered.clone(),
            employer: self.case.posting.company.clone(),
            ..FillPage::new(self.at.clone(), page, &self.case.application, self.refusals > 0)
        };
        match self.case.ctx.step(fill).await? {
            Filled::Next { fields } => {
                self.written.extend(fields);
                Ok(Page::Next)
            }
            Filled::NeedsPerson { questions, screenshot, url } => {
                let title = self.case.posting.title();
                let answers = self.case.people.questions(&title, &questions, screenshot, url).await?;
                self.refusals = 0;
                self.case.answered.extend(answers.clone());
                self.case.application.answers.extend(answers);
                Ok(Page::Again)
            }
            Filled::Obstacle(obstacle) => self.clear(obstacle).await,
            Filled::Expired => {
                self.under_way = false;
                Ok(Page::Anew)
            }
            Filled::ReadyToSubmit { screenshot, summary: last } => {
                let summary: Vec<FilledField> = self.written.iter().cloned().chain(last).collect();
                if self.case.application.mode == Mode::Review && self.case.approved.as_ref() != Some(&summary) {
                    let title = self.case.posting.title();
                    self.case.people.review(&title, &summary, screenshot).await?;
                    self.case.approved = Some(summary);
                }
                self.submit().await
            }
            Filled::AlreadySubmitted(submission) => Ok(Page::Submitted(submission)),
        }
    }

    /// Sends the application: once. Where nobody knows whether it went out, the page is asked, then a person.
    async fn submit(&mut self) -> Result<Page, Halt> {
        self.status("submitting");
        let mut outcome = match self.case.ctx.step(Submit { at: self.at.clone() }).await {
            Err(StepFailure::InDoubt(_)) => self.check().await?,
            other => other?,
        };
        loop {
            // Bounded: each further round asks a person, and people are asked a limited number of times.
            outcome = match outcome {
                Sent::Confirmed(submission) => return Ok(Page::Submitted(submission)),
                Sent::Refused { errors } => return self.refused(&errors),
                Sent::Unclear { screenshot, url } => return self.in_doubt(screenshot, url).await,
                // The application may be in by now: another browser, or the way to the form, would send it twice.
                Sent::Obstacle(obstacle) => match self.overcome(obstacle).await? {
                    Ok(Cleared::Confirmed(submission)) => return Ok(Page::Submitted(submission)),
                    Ok(Cleared::Form) => return Ok(Page::Again),
                    Ok(Cleared::Elsewhere) | Err(_) => self.check().await?,
                },
            }
        }
    }

    /// What the browser shows now. A browser that is gone, or a site that is down, shows nothing, and that is no word
    /// against a submission.
    async fn check(&mut self) -> Result<Sent, Stop> {
        self.status("looking whether the application went out");
        let job_url = self.case.application.job_url.clone();
        let checked = self.case.ctx.step(CheckSubmission { at: self.at.clone(), job_url: job_url.clone() }).await;
        Ok(checked.unwrap_or_else(|why| {
            self.case.ctx.log(format!("whether the application went out cannot be seen: {why}"));
            Sent::Unclear { screenshot: None, url: job_url }
        }))
    }

    /// What the page says is looked at when it is filled anew; a form that refuses again and again has no use for more.
    fn refused(&mut self, errors: &[String]) -> Result<Page, Halt> {
        self.refusals += 1;
        if self.refusals < REFUSALS_MAX {
            return Ok(Page::Again);
        }
        let said = if errors.is_empty() { "it does not say why".to_owned() } else { errors.join("; ") };
        Err(Stop::failed("form_refused", format!("the form was refused {REFUSALS_MAX} times: {said}")).into())
    }

    /// Clears the way to the form. Nothing was sent yet.
    async fn clear(&mut self, obstacle: Obstacle) -> Result<Page, Halt> {
        if obstacle.kind == CAPTCHA {
            self.doubted().await?;
        }
        Ok(match self.overcome(obstacle).await?? {
            Cleared::Confirmed(submission) => Page::Submitted(submission),
            Cleared::Form | Cleared::Elsewhere => Page::Again,
        })
    }

    /// A site that sets puzzles doubts the browser: one that is harder to tell from a person's goes on where it can be had. Else people solve
    /// them.
    async fn doubted(&mut self) -> Result<(), Halt> {
        self.puzzles += 1;
        let block = if self.puzzles == 1 {
            Failure::new(CAPTCHA, "the site asks whether a person is there")
        } else if self.puzzles == PUZZLES_MAX + 1 {
            let why = format!("the site asked for another puzzle after {PUZZLES_MAX} were solved");
            Failure::new(CAPTCHA_LOOP, why)
        } else {
            return Ok(());
        };
        match self.case.tier_above(self.tier, self.browser, &block).await? {
            Some(above) => Err(Halt::Escalated(Box::new(above))),
            None => Ok(()),
        }
    }

    /// A person gives what the page asks for, until it lets the browser pass.
    async fn overcome(&mut self, mut obstacle: Obstacle) -> Result<Result<Cleared, StepFailure>, Stop> {
        let mut complaint = None;
        loop {
            // Bounded: people are asked a limited number of times.
            let title = self.case.posting.title();
            let answers = self.case.people.obstacle(&title, &obstacle, complaint.as_deref()).await?;
            self.refusals = 0;
            self.status("handing in the answer");
            let cleared = match self.case.ctx.step(AnswerObstacle { at: self.at.clone(), answers }).await {
                Ok(Passed::Form) => Ok(Cleared::Form),
                Ok(Passed::Elsewhere) => Ok(Cleared::Elsewhere),
                Ok(Passed::Confirmed(submission)) => Ok(Cleared::Confirmed(submission)),
                Ok(Passed::Obstacle(next, said)) => {
                    (obstacle, complaint) = (next, said);
                    continue;
                }
                Err(failure) => Err(failure),
            };
            return Ok(cleared);
        }
    }

    async fn in_doubt(&mut self, screenshot: Option<Uuid>, url: String) -> Result<Page, Halt> {
        let title = self.case.posting.title();
        if self.case.people.was_submitted(&title, screenshot, url).await? {
            let confirmation = "confirmed by a person".to_owned();
            return Ok(Page::Submitted(Submission { confirmation, reference: None, screenshot }));
        }
        self.under_way = false;
        Ok(Page::Anew)
    }

    fn status(&self, text: impl Into<String>) {
        self.case.ctx.set_status(text);
    }
}
