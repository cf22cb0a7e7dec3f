//! The contracts of the steps: what each is given, what it answers, how it is retried.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;
use valet_core::{Backoff, Step, StepPolicy};

use super::input::{Answer, Application, Document, Profile};
use crate::job_url;

/// Steps that drive a browser.
pub const BROWSER_QUEUE: &str = "browser";

fn browser() -> StepPolicy {
    let backoff = Backoff { initial_ms: 500, factor: 2.0, max_ms: 15_000 };
    StepPolicy::queue(BROWSER_QUEUE).timeout(Duration::from_mins(3)).backoff(backoff)
}

/// Chooses where the browser runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SelectTier {
    pub job_url: String,
    pub max_cost: Option<f64>,
}

impl SelectTier {
    pub fn new(application: &Application) -> Self {
        Self { job_url: application.job_url.clone(), max_cost: application.max_cost }
    }
}

impl Step for SelectTier {
    const NAME: &'static str = "select-tier";
    type Output = TierChoice;
}

/// The tier with the reasons for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TierChoice {
    pub tier: String,
    pub reasons: Vec<String>,
}

/// Starts a browser behind its gate. The sandbox's id was made by the run, so that clean-up is registered before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provision {
    pub sandbox: Uuid,
    pub tier: String,
    /// Hosts that the browser may reach.
    pub allowed_hosts: Vec<String>,
    /// The sandbox ends by itself this long after the last step that used it.
    pub lease_s: u64,
}

/// Beyond the time that a person has: room for the steps before and after.
const LEASE_BEYOND_S: u64 = 3600;

impl Provision {
    pub fn new(sandbox: Uuid, tier: &TierChoice, application: &Application) -> Self {
        let own = url::Url::parse(&application.job_url).map(|url| job_url::authority(&url));
        let allowed_hosts = own.into_iter().chain(application.allowed_domains.iter().cloned()).collect();
        Self { sandbox, tier: tier.tier.clone(), allowed_hosts, lease_s: lease_s(application) }
    }
}

fn lease_s(application: &Application) -> u64 {
    application.human_deadline_s + LEASE_BEYOND_S
}

impl Step for Provision {
    const NAME: &'static str = "provision";
    type Output = Provisioned;

    fn policy() -> StepPolicy {
        browser().timeout(Duration::from_mins(2))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provisioned {
    /// `chromium 156.0…`
    pub browser: String,
}

/// Opens the posting and finds its form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenPosting {
    pub sandbox: Uuid,
    pub job_url: String,
}

impl Step for OpenPosting {
    const NAME: &'static str = "open-posting";
    type Output = Posting;

    fn policy() -> StepPolicy {
        browser()
    }
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
    pub sandbox: Uuid,
    pub page: u32,
    pub profile: Profile,
    pub documents: Vec<Document>,
    pub answers: Vec<Answer>,
    pub lease_s: u64,
    /// The page came back when it was sent: what it says about its fields is asked of a person, not sent once more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refused: bool,
}

impl FillPage {
    pub fn new(sandbox: Uuid, page: u32, application: &Application, refused: bool) -> Self {
        Self {
            sandbox,
            page,
            profile: application.profile.clone(),
            documents: application.documents.clone(),
            answers: application.answers.clone(),
            lease_s: lease_s(application),
            refused,
        }
    }
}

impl Step for FillPage {
    const NAME: &'static str = "fill-page";
    type Output = Filled;

    fn policy() -> StepPolicy {
        browser()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filled {
    /// The form shows its next page.
    Next { fields: Vec<FilledField> },
    /// Required questions that nothing answers.
    NeedsPerson { questions: Vec<Question>, screenshot: Option<Uuid>, url: String },
    /// Everything is filled and verified; the button that sends it was not touched.
    ReadyToSubmit { summary: Vec<FilledField>, screenshot: Option<Uuid> },
    /// The page says that the application is in.
    AlreadySubmitted(Submission),
}

/// A field that was written and read back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilledField {
    pub label: String,
    /// What it was taken for: `email`, `resume` …
    pub kind: String,
    pub value: String,
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
    pub sandbox: Uuid,
}

impl Step for Submit {
    const NAME: &'static str = "submit";
    type Output = Sent;

    fn policy() -> StepPolicy {
        browser().effect_once()
    }
}

/// Looks at the page for what became of a submission that nobody saw the end of. Touches nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckSubmission {
    pub sandbox: Uuid,
}

impl Step for CheckSubmission {
    const NAME: &'static str = "check-submission";
    type Output = Sent;

    fn policy() -> StepPolicy {
        browser()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sent {
    Confirmed(Submission),
    /// The form is still there and says what is wrong.
    Refused {
        errors: Vec<String>,
    },
    /// Neither a confirmation nor an error.
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

/// Ends the browser and all that belongs to it. Cleaning up what never was succeeds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cleanup {
    pub sandbox: Uuid,
}

impl Step for Cleanup {
    const NAME: &'static str = "cleanup";
    type Output = ();

    fn policy() -> StepPolicy {
        browser().timeout(Duration::from_mins(1)).attempts(10)
    }
}

/// The output of `job-application`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    pub confirmation: String,
    pub reference: Option<String>,
    pub tier: String,
    pub job_title: Option<String>,
    pub company: Option<String>,
    pub seconds: f64,
    pub people_asked: u32,
    /// `file_…`: the page that confirmed it.
    pub screenshot: Option<String>,
}
