//! The input of `job-application`, and what a schema cannot say about it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use valet_core::workflow::{Door, InputProblem};

use crate::job_url;

/// One application: who, where, with what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Application {
    /// The posting or its form: http or https, no private address.
    #[schemars(length(min = 1, max = 2048))]
    pub job_url: String,
    /// Whose application it is: an id, not a name.
    #[schemars(length(min = 1, max = 128))]
    pub subject: String,
    #[schemars(extend("x-personal" = true))]
    pub profile: Profile,
    /// Files to hand in; `file` is what `POST /api/v1/files` answered.
    #[serde(default)]
    #[schemars(length(max = 20), extend("x-personal" = true))]
    pub documents: Vec<Document>,
    /// Answers to questions that forms ask beyond the profile.
    #[serde(default)]
    #[schemars(length(max = 200), extend("x-personal" = true))]
    pub answers: Vec<Answer>,
    #[serde(default)]
    pub mode: Mode,
    /// Hosts that the browser may reach besides the posting's own: `host`, `host:port` or `*.suffix`.
    #[serde(default)]
    #[schemars(length(max = 50))]
    pub allowed_domains: Vec<String>,
    /// How long a task waits for a person.
    #[serde(default = "one_day_s")]
    #[schemars(range(min = 10, max = 2_592_000))]
    pub human_deadline_s: u64,
    /// Times that a browser which the site refuses is replaced by one that is harder to tell from a person's.
    #[serde(default = "one")]
    #[schemars(range(max = 3))]
    pub max_escalations: u32,
    /// Moving pictures of the browser are kept, two a second at most.
    #[serde(default)]
    pub record: bool,
    /// Most that the run may cost, in US dollars.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub max_cost: Option<f64>,
}

const fn one() -> u32 {
    1
}

const fn one_day_s() -> u64 {
    24 * 3600
}

/// The applicant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    #[schemars(length(min = 1, max = 255))]
    pub first_name: String,
    #[schemars(length(min = 1, max = 255))]
    pub last_name: String,
    #[schemars(length(min = 3, max = 255), regex(pattern = r"^[^@\s]+@[^@\s]+$"))]
    pub email: String,
    /// With the country's code: `+49 30 1234567`.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub phone: Option<String>,
    #[serde(default)]
    pub address: Address,
    /// `linkedin`, `github`, `website`, `portfolio` …
    #[serde(default)]
    #[schemars(length(max = 20))]
    pub links: BTreeMap<String, String>,
    /// May the applicant work where the job is?
    #[serde(default)]
    pub work_authorization: Option<bool>,
    /// Does the applicant need a visa to be sponsored, now or later?
    #[serde(default)]
    pub needs_sponsorship: Option<bool>,
    #[serde(default)]
    #[schemars(length(max = 255))]
    pub salary_expectation: Option<String>,
    /// `YYYY-MM-DD`
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub start_date: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Address {
    pub street: Option<String>,
    pub city: Option<String>,
    pub state: Option<String>,
    pub postal_code: Option<String>,
    pub country: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Document {
    pub kind: DocumentKind,
    /// `file_…`
    #[schemars(regex(pattern = r"^file_[0-9a-f]{32}$"))]
    pub file: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DocumentKind {
    Resume,
    CoverLetter,
    Other,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    #[schemars(length(min = 1, max = 2000))]
    pub question: String,
    #[schemars(length(max = 10000))]
    pub answer: String,
}

/// Whether a person looks before the application goes out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    #[default]
    Auto,
    Review,
}

pub(super) fn problems(application: &Application, door: &Door) -> Vec<InputProblem> {
    let mut problems = Vec::new();
    if let Some(message) = job_url::problem(&application.job_url, door) {
        problems.push(InputProblem { field: "/job_url".to_owned(), message });
    }
    for (index, domain) in application.allowed_domains.iter().enumerate() {
        let host = domain.strip_prefix("*.").unwrap_or(domain);
        let fits = !host.is_empty()
            && domain.len() <= 255
            && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']'));
        if !fits {
            let message = "must be `host`, `host:port` or `*.suffix`".to_owned();
            problems.push(InputProblem { field: format!("/allowed_domains/{index}"), message });
        }
    }
    problems
}
