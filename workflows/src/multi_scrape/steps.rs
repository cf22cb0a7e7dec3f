//! The contracts of the steps of `multi-scrape` that `job-application` has not too.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;
use valet_core::{Backoff, Failure, Step, StepPolicy};

use super::input::{Keep, Page, Take};
use crate::job_application::steps::{BROWSER_QUEUE, Place};
use crate::tiers::Waiting;

/// A record as JSON: a page that says more has its words in a file, not in the journal.
pub const RECORD_BYTES_MAX: usize = 16 * 1024;

fn browser() -> StepPolicy {
    let backoff = Backoff { initial_ms: 500, factor: 2.0, max_ms: 15_000, jitter: 0.2 };
    StepPolicy::queue(BROWSER_QUEUE).timeout(Duration::from_mins(3)).backoff(backoff)
}

/// Opens one page, as its site's policy lets it, and takes what was asked for. Changes nothing there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScrapePage {
    pub at: Place,
    pub page: Page,
    /// Its place in the run: a time that it was given once is kept for it.
    pub visit: u32,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub take: Vec<Take>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub keep: BTreeSet<Keep>,
}

impl Step for ScrapePage {
    const NAME: &'static str = "scrape-page";
    type Output = Read;

    fn policy() -> StepPolicy {
        browser()
    }

    fn host(&self) -> Option<&str> {
        self.at.host.as_deref()
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Read {
    Page(Record),
    /// The site is not to be visited yet.
    Later(Waiting),
}

/// What became of one page.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Record {
    pub number: u32,
    pub url: String,
    /// Where the page was in the end, if elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub final_url: Option<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// By the names of what was to be taken; null where the page has none.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub values: BTreeMap<String, Value>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<KeptFile>,
    /// Why it could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<PageError>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PageError {
    /// Stable, for programs.
    pub code: String,
    pub message: String,
}

impl Record {
    pub fn failed(page: &Page, why: &Failure) -> Self {
        let error = PageError { code: why.code.clone(), message: why.message.clone() };
        Self { number: page.number, url: page.url.clone(), error: Some(error), ..Self::default() }
    }
}

/// An artifact of the run that read the page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeptFile {
    /// What it was taken for; `html` and `screenshot` are the page itself.
    pub name: String,
    /// `file_…`
    pub file: String,
    pub content_type: String,
    pub bytes: u64,
}

/// Keeps the records of some pages as a file: JSON, one a line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WriteRecords {
    pub records: Vec<Record>,
}

impl Step for WriteRecords {
    const NAME: &'static str = "write-records";
    type Output = Uuid;

    fn policy() -> StepPolicy {
        browser().timeout(Duration::from_mins(1)).attempts(10)
    }
}
