//! What an engine keeps of tiers and sites for those who choose between tiers. Data only: what it means is decided in `workflows/`, what
//! a rule may say is checked by what [`Registry::with_rule`](crate::Registry::with_rule) was given.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Timestamp;

/// Kinds of rules that are read when a tier is chosen: of a tier; of a site, named by a pattern of its place; and whose turn it is to be
/// sent elsewhere.
pub const TIER_RULE: &str = "tier";
pub const SITE_RULE: &str = "site";
pub const OVERRIDE_RULE: &str = "override";

/// A row that operators change while runs go on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    pub kind: String,
    pub name: String,
    pub version: i64,
    pub value: Value,
}

/// How a tier did at a place, decayed to now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    pub tier: String,
    /// `None`: everywhere, of which the health of the tier is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    pub good: f64,
    pub bad: f64,
}

/// What is known of a site, whoever visits it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteState {
    /// Grows with each change; 0: nothing is known yet.
    pub revision: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cool_until: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cool_why: Option<String>,
    /// When the latest visit begins that was given a time; it may be to come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_visit_at: Option<Timestamp>,
    /// Visits on the day of that one.
    #[serde(default)]
    pub visits: u32,
}

/// What is known at the moment when a tier is chosen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TierFacts {
    /// By the database's clock.
    pub now: Timestamp,
    /// Of the run that asks.
    pub plan: String,
    pub rules: Vec<Rule>,
    pub tallies: Vec<Tally>,
    pub site: SiteState,
    /// When this browser of the run may begin its visit, if that was said before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begins_at: Option<Timestamp>,
}

/// How a browser of a tier came off at a site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TierOutcome {
    /// It did what it was there for.
    Good,
    /// The site refused it.
    Detected,
    /// Its steps failed for good, for another reason.
    Failed,
    /// It went away, or its machine did: says nothing of the site.
    Lost,
}

impl TierOutcome {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Detected => "detected",
            Self::Failed => "failed",
            Self::Lost => "lost",
        }
    }
}
