//! The contracts of the steps: what each is given, what it answers, how it is retried.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;
use valet_core::tiers::TierOutcome;
use valet_core::{Backoff, Step, StepPolicy};

use super::input::{Answer, Application, Document, Profile};
use crate::ats::JobPlace;
use crate::job_url;
pub use crate::tiers::Want;
use crate::tiers::{Considered, Waiting};

/// Steps that drive a browser.
pub const BROWSER_QUEUE: &str = "browser";

/// The code of a failure that says: the browser, or the machine that it ran on, is gone.
pub const SANDBOX_LOST: &str = "sandbox_lost";
/// The code of a failure that says: no tier that was asked for is there.
pub const NO_TIER: &str = "no_tier";
/// The code of a block that says: the hiring system itself does not take this application, so that a browser hands it in.
pub const NO_DIRECT: &str = "no_direct";
/// The code of a failure that says: the job takes no applications any more.
pub const POSTING_CLOSED: &str = "posting_closed";
/// The tier that hands an application to the hiring system itself, without a browser.
pub const DIRECT: &str = "direct";
/// The code of a failure that says: the site wants to be left alone for longer than a browser is kept open for it.
pub const RATE_LIMITED: &str = "rate_limited";

fn browser() -> StepPolicy {
    let backoff = Backoff { initial_ms: 500, factor: 2.0, max_ms: 15_000, jitter: 0.2 };
    StepPolicy::queue(BROWSER_QUEUE).timeout(Duration::from_mins(3)).backoff(backoff)
}

/// Where a run's browser is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Made by the run, so that clean-up is registered before anything is there.
    pub sandbox: Uuid,
    pub tier: String,
    /// The machine of a tier whose browsers run beside their worker: steps of this browser go to its workers only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// What it shows is kept as moving pictures.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub record: bool,
}

/// A step in a browser.
macro_rules! in_browser {
    ($step:ty, $name:literal, $output:ty, $policy:expr) => {
        impl Step for $step {
            const NAME: &'static str = $name;
            type Output = $output;

            fn policy() -> StepPolicy {
                $policy
            }

            fn host(&self) -> Option<&str> {
                self.at.host.as_deref()
            }
        }
    };
}

/// Chooses where the browser runs, by the rules and by what is known at this moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SelectTier {
    pub job_url: String,
    pub max_cost: Option<f64>,
    pub want: Want,
    /// Which browser of the run it is, counted from 0: a time that it was given once is kept for it.
    #[serde(default)]
    pub browser: u32,
    /// Tiers that turned out not to serve this application, whatever the site.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub without: Vec<String>,
    /// The tier alone is asked for: each visit to the site gets its time when it is due.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub untimed: bool,
}

impl SelectTier {
    pub fn new(application: &Application, want: Want, browser: u32) -> Self {
        let Application { job_url, max_cost, .. } = application;
        Self { job_url: job_url.clone(), max_cost: *max_cost, want, browser, without: Vec::new(), untimed: false }
    }
}

impl Step for SelectTier {
    const NAME: &'static str = "select-tier";
    type Output = TierChoice;

    fn policy() -> StepPolicy {
        // A worker answers that has browsers, and with them a host.
        browser().timeout(Duration::from_secs(30))
    }
}

/// The tier with the reasons for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TierChoice {
    pub tier: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    pub reasons: Vec<String>,
    /// Every tier that was thought of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub considered: Vec<Considered>,
    /// The site's policy, by its pattern.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// What the policy allows of escalations, where it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_escalations: Option<u32>,
    #[serde(default, skip_serializing_if = "Price::is_nothing")]
    pub price: Price,
    /// The site is not to be visited yet: ask again then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait: Option<Waiting>,
    /// The job in its hiring system, where the tier hands the application to that system itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direct: Option<JobPlace>,
}

/// What a browser costs, and what those of its tier may cost in a day (UTC).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    #[serde(default, skip_serializing_if = "is_zero")]
    pub usd_micros_per_hour: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub day_max_usd_micros: Option<u64>,
    /// A run that finds the day's money spent ends; else it waits.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stops: bool,
}

impl Price {
    fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Tells how a browser came off at its site, for those who choose after it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoteTier {
    pub job_url: String,
    pub browser: u32,
    pub tier: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    pub outcome: TierOutcome,
}

impl Step for NoteTier {
    const NAME: &'static str = "note-tier";
    type Output = ();

    fn policy() -> StepPolicy {
        browser().timeout(Duration::from_secs(10))
    }
}

/// Starts a browser behind its gate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provision {
    pub at: Place,
    /// Hosts that the browser may reach.
    pub allowed_hosts: Vec<String>,
    /// The sandbox ends by itself this long after the last step that used it.
    pub lease_s: u64,
    #[serde(default, skip_serializing_if = "Price::is_nothing")]
    pub price: Price,
}

/// Beyond the time that a person has: room for the steps before and after.
const LEASE_BEYOND_S: u64 = 3600;

impl Provision {
    pub fn new(at: Place, application: &Application, price: Price) -> Self {
        let own = url::Url::parse(&application.job_url).map(|url| job_url::authority(&url));
        let allowed_hosts = own.into_iter().chain(application.allowed_domains.iter().cloned()).collect();
        Self { at, allowed_hosts, lease_s: lease_s(application), price }
    }
}

fn lease_s(application: &Application) -> u64 {
    application.human_deadline_s + LEASE_BEYOND_S
}

in_browser!(Provision, "provision", Provisioned, browser().timeout(Duration::from_mins(2)));

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Provisioned {
    /// `chromium 156.0…`
    Ready {
        browser: String,
        /// Where a person looks at it, and acts, where its provider shows it. Opens the screen to whoever has it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        live_view: Option<String>,
    },
    /// The machine has as many browsers as it may have. Room comes when a run ends, which no attempt can hasten.
    Full { max: u32 },
    /// Its provider fails for everybody now, and is given a rest.
    Resting { why: String },
    /// Those of its tier cost all that they may in a day.
    Spent { usd_micros: u64 },
}

/// Opens the posting and finds its form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenPosting {
    pub at: Place,
    pub job_url: String,
    /// Goes on from the page that the browser shows, after somebody cleared the way.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub from_here: bool,
}

in_browser!(OpenPosting, "open-posting", Opened, browser());

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Opened {
    Form(Posting),
    AlreadyApplied(Submission),
    Obstacle(Posting, Obstacle),
}

/// What a page wants from a person before it lets the browser pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Obstacle {
    /// `captcha`, `login` or `code`.
    pub kind: String,
    /// What the page says.
    pub prompt: String,
    /// None: it is solved in the browser itself.
    pub fields: Vec<ObstacleField>,
    /// Whose puzzle it is, where it is a vendor's.
    pub vendor: Option<String>,
    pub screenshot: Option<Uuid>,
    pub url: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObstacleField {
    pub key: String,
    pub label: String,
    pub secret: bool,
    pub help: String,
}

/// Types what a person answered and hands it in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerObstacle {
    pub at: Place,
    pub answers: Vec<ObstacleAnswer>,
}

in_browser!(AnswerObstacle, "answer-obstacle", Passed, browser());

/// May be a password; sealed like every payload.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObstacleAnswer {
    pub key: String,
    pub value: String,
}

impl std::fmt::Debug for ObstacleAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ObstacleAnswer").field("key", &self.key).finish_non_exhaustive()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Passed {
    /// A page of the form.
    Form,
    /// Neither the form nor a confirmation.
    Elsewhere,
    Confirmed(Submission),
    /// The same again with what the page says of the answer, or another one behind it.
    Obstacle(Obstacle, Option<String>),
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Posting {
    pub job_title: Option<String>,
    pub company: Option<String>,
    pub url: String,
}

impl Posting {
    /// What people call it.
    pub fn title(&self) -> String {
        match (&self.job_title, &self.company) {
            (Some(job), Some(company)) => format!("“{job}” at {company}"),
            (Some(one), None) | (None, Some(one)) => format!("“{one}”"),
            (None, None) => self.url.clone(),
        }
    }
}

/// Reads the page, fills it, verifies what was written, and moves on if the page is not the last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FillPage {
    pub at: Place,
    pub page: u32,
    pub profile: Profile,
    pub documents: Vec<Document>,
    pub answers: Vec<Answer>,
    pub lease_s: u64,
    /// Those of the answers that people gave in this run: what a page takes of them is kept for the subject's next application.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answered: Vec<Answer>,
    /// Who asks, where the posting said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub employer: Option<String>,
    /// The page came back when it was sent: what it says about its fields is asked of a person, not sent once more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refused: bool,
}

impl FillPage {
    pub fn new(at: Place, page: u32, application: &Application, refused: bool) -> Self {
        Self {
            at,
            page,
            profile: application.profile.clone(),
            documents: application.documents.clone(),
            answers: application.answers.clone(),
            lease_s: lease_s(application),
            answered: Vec::new(),
            employer: None,
            refused,
        }
    }
}

in_browser!(FillPage, "fill-page", Filled, browser());

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filled {
    /// The form shows its next page.
    Next {
        fields: Vec<FilledField>,
    },
    /// Required questions that nothing answers.
    NeedsPerson {
        questions: Vec<Question>,
        screenshot: Option<Uuid>,
        url: String,
    },
    Obstacle(Obstacle),
    /// The site forgot the visit, or the tab shows nothing of it any more: the form is begun anew. Nothing was sent.
    Expired,
    /// Everything is filled and verified; the button that sends it was not touched.
    ReadyToSubmit {
        summary: Vec<FilledField>,
        screenshot: Option<Uuid>,
    },
    /// The page says that the application is in.
    AlreadySubmitted(Submission),
}

/// A field that was written and read back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilledField {
    pub label: String,
    /// What it was taken for: `email`, `resume` …
    pub kind: String,
    pub value: String,
    /// Where the value is from: `the applicant`, `a stored answer` …
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// How sure it is that the field asks for this.
    #[serde(default)]
    pub confidence_percent: u8,
}

/// A question for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    pub label: String,
    /// `text`, `long_text`, `choice`, `choices`, `yes_no`, `file` …
    pub kind: String,
    pub options: Vec<String>,
    /// What the page says is wrong with the last answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Sends the application. Begins its effect right before the click; never repeated silently.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submit {
    pub at: Place,
}

in_browser!(Submit, "submit", Sent, browser().effect_once());

/// Looks for what became of a submission that nobody saw the end of: at the page that the browser shows, then at the posting,
/// which may say "already applied". Sends nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckSubmission {
    pub at: Place,
    pub job_url: String,
}

in_browser!(CheckSubmission, "check-submission", Sent, browser());

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sent {
    Confirmed(Submission),
    /// The form is still there and says what is wrong.
    Refused {
        errors: Vec<String>,
    },
    /// It wants something more of a person before it counts.
    Obstacle(Obstacle),
    /// Neither a confirmation nor an error: what a check of the submission may find, never the sending itself.
    Unclear {
        screenshot: Option<Uuid>,
        url: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submission {
    /// What the page says.
    pub confirmation: String,
    pub reference: Option<String>,
    pub screenshot: Option<Uuid>,
}

/// An application to a hiring system itself: what its form is answered with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DirectForm {
    pub at: JobPlace,
    pub job_url: String,
    pub profile: Profile,
    pub documents: Vec<Document>,
    pub answers: Vec<Answer>,
    /// Those of the answers that people gave in this run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answered: Vec<Answer>,
}

impl DirectForm {
    pub fn new(at: JobPlace, application: &Application, answered: &[Answer]) -> Self {
        Self {
            at,
            job_url: application.job_url.clone(),
            profile: application.profile.clone(),
            documents: application.documents.clone(),
            answers: application.answers.clone(),
            answered: answered.to_vec(),
        }
    }
}

/// A step at a hiring system, by any worker that has its key.
macro_rules! at_the_system {
    ($step:ty, $name:literal, $output:ty, $policy:expr) => {
        impl Step for $step {
            const NAME: &'static str = $name;
            type Output = $output;

            fn policy() -> StepPolicy {
                $policy
            }
        }
    };
}

/// Asks the hiring system which questions the job has, and finds their answers. Sends nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReadForm {
    pub form: DirectForm,
}

at_the_system!(ReadForm, "read-form", FormRead, browser());

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FormRead {
    /// Everything that the job requires is known.
    Ready { posting: Posting, summary: Vec<FilledField> },
    /// Required questions that nothing answers.
    NeedsPerson { posting: Posting, questions: Vec<Question> },
}

/// Hands the application to the hiring system. Begins its effect right before; never repeated silently.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SendForm {
    pub form: DirectForm,
}

at_the_system!(SendForm, "send-form", ApplicationResult, browser().effect_once());

/// Finds out what became of an application whose answer was lost, where the hiring system has a way: one that merges what is sent twice
/// is sent it again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckForm {
    pub form: DirectForm,
}

at_the_system!(CheckForm, "check-form", ApplicationResult, browser());

/// What a hiring system did with an application, whichever it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApplicationResult {
    Received(Submission),
    /// It did not take it, and said what is wrong.
    Refused {
        errors: Vec<String>,
    },
    /// It did not take it now.
    Later {
        again_in_s: u64,
        why: String,
    },
    /// The job was closed since its questions were read.
    Closed {
        why: String,
    },
    /// It takes none from here: the key is wrong, or the application needs what its interface cannot carry.
    Unfit {
        why: String,
    },
    /// It has no way to find out.
    Unclear,
}

/// Ends the browser and all that belongs to it. Cleaning up what never was succeeds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cleanup {
    pub at: Place,
}

in_browser!(Cleanup, "cleanup", (), browser().timeout(Duration::from_mins(1)).attempts(10));

/// A tier that the site refused, and the one that took its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Escalation {
    pub from: String,
    pub to: String,
    pub code: String,
    pub reason: String,
}

/// The output of `job-application`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    pub confirmation: String,
    pub reference: Option<String>,
    pub tier: String,
    /// The tiers that were refused on the way, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub escalations: Vec<Escalation>,
    pub job_title: Option<String>,
    pub company: Option<String>,
    pub seconds: f64,
    pub people_asked: u32,
    /// `file_…`: the page that confirmed it.
    pub screenshot: Option<String>,
}

/// What a step left, and whether the browser now waits for a person.
pub trait WaitsForPeople {
    fn waits_for_people(&self) -> bool;
}

impl WaitsForPeople for Opened {
    fn waits_for_people(&self) -> bool {
        matches!(self, Self::Obstacle(..))
    }
}

impl WaitsForPeople for Filled {
    fn waits_for_people(&self) -> bool {
        matches!(self, Self::NeedsPerson { .. } | Self::Obstacle(_))
    }
}

impl WaitsForPeople for Passed {
    fn waits_for_people(&self) -> bool {
        matches!(self, Self::Obstacle(..))
    }
}

impl WaitsForPeople for Sent {
    fn waits_for_people(&self) -> bool {
        matches!(self, Self::Obstacle(_) | Self::Unclear { .. })
    }
}
