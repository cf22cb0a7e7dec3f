//! What the rules say that operators change live. Reading one is checking it: the door refuses what is not read here.

use chrono::Duration;
use serde_json::Value;
use valet_core::tiers::{OVERRIDE_RULE, Rule, SITE_RULE, TIER_RULE};
use valet_core::workflow::InputProblem;
use valet_core::{Registry, Timestamp};

use super::hours::{self, Hours};
use super::reading::Fields;
use super::site::pattern_problem;
use crate::job_application::steps::Price;

/// The rule of all tiers that have none of their own, or do not say it.
pub(super) const ALL_TIERS: &str = "*";

const NAMES_MAX: usize = 20;
const TEXT_CHARS_MAX: usize = 2_000;
const NAME_CHARS_MAX: usize = 128;
/// A day between two visits; who wants fewer says so with hours or a cool-down.
const PACE_S_MAX: u64 = 24 * 3600;
const PER_DAY_MAX: u64 = 100_000;
const ESCALATIONS_MAX: u64 = 3;
const COST_USD_MAX: f64 = 1_000.0;
const DAY_USD_MAX: f64 = 1_000_000.0;
const SAMPLES_MAX: f64 = 10_000.0;

/// The kinds of rules that choosing a tier reads, with their checks.
#[must_use]
pub fn register(registry: Registry) -> Registry {
    registry
        .with_rule(TIER_RULE, |name, value| TierRule::read(name, value).err().unwrap_or_default())
        .with_rule(SITE_RULE, |name, value| SiteRule::read(name, value).err().unwrap_or_default())
        .with_rule(OVERRIDE_RULE, |name, value| OverrideRule::read(name, value).err().unwrap_or_default())
}

/// Of one tier, by its name, or of all that say nothing else: `*`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TierRule {
    /// The kill switch.
    pub enabled: Option<bool>,
    /// The part of all runs that may have it.
    pub percent: Option<u64>,
    /// Plans that may have it; all if nothing is said.
    pub plans: Option<Vec<String>>,
    /// What a browser of it costs a run.
    pub cost_usd: Option<f64>,
    /// What its provider asks for an hour of one browser.
    pub usd_per_hour: Option<f64>,
    /// What all browsers of it may cost in a day (UTC); a run that comes later waits, or ends if `day_ends` says so.
    pub max_usd_per_day: Option<f64>,
    pub day_ends: Option<bool>,
    /// A site at which it fails more often starts on the next tier.
    pub failure_share_max: Option<f64>,
    /// A tier that goes away more often is passed over.
    pub lost_share_max: Option<f64>,
    /// What must have been seen, recent and decayed, before either is believed.
    pub samples_min: Option<f64>,
}

impl TierRule {
    pub fn read(name: &str, value: &Value) -> Result<Self, Vec<InputProblem>> {
        let mut fields = Fields::of(value);
        if name != ALL_TIERS && !is_tier(name) {
            fields.wrong("name", format!("a tier is named by letters, digits and `_`, all tiers by `{ALL_TIERS}`"));
        }
        fields.text("note", TEXT_CHARS_MAX);
        let rule = Self {
            enabled: fields.flag("enabled"),
            percent: fields.whole("percent", 0, 100),
            plans: fields.texts("plans", NAMES_MAX),
            cost_usd: fields.number("cost_usd", 0.0, COST_USD_MAX),
            usd_per_hour: fields.number("usd_per_hour", 0.0, COST_USD_MAX),
            max_usd_per_day: fields.number("max_usd_per_day", 0.0, DAY_USD_MAX),
            day_ends: fields.flag("day_ends"),
            failure_share_max: fields.number("failure_share_max", 0.0, 1.0),
            lost_share_max: fields.number("lost_share_max", 0.0, 1.0),
            samples_min: fields.number("samples_min", 1.0, SAMPLES_MAX),
        };
        fields.end(rule)
    }

    /// What a browser of this tier costs, as the rules say.
    pub fn price(tier: &str, rules: &[Rule]) -> Price {
        let of = |name: &str| {
            let found = rules.iter().find(|rule| rule.kind == TIER_RULE && rule.name == name);
            found.and_then(|rule| Self::read(name, &rule.value).ok()).unwrap_or_default()
        };
        let rule = of(tier).or(&of(ALL_TIERS));
        Price {
            usd_micros_per_hour: micros(rule.usd_per_hour.unwrap_or_default()),
            day_max_usd_micros: rule.max_usd_per_day.map(micros),
            stops: rule.day_ends.unwrap_or_default(),
        }
    }

    /// What this one leaves unsaid, the other says.
    pub(super) fn or(self, other: &Self) -> Self {
        Self {
            enabled: self.enabled.or(other.enabled),
            percent: self.percent.or(other.percent),
            plans: self.plans.or_else(|| other.plans.clone()),
            cost_usd: self.cost_usd.or(other.cost_usd),
            usd_per_hour: self.usd_per_hour.or(other.usd_per_hour),
            max_usd_per_day: self.max_usd_per_day.or(other.max_usd_per_day),
            day_ends: self.day_ends.or(other.day_ends),
            failure_share_max: self.failure_share_max.or(other.failure_share_max),
            lost_share_max: self.lost_share_max.or(other.lost_share_max),
            samples_min: self.samples_min.or(other.samples_min),
        }
    }
}

/// Of the sites that its name, a pattern, matches. The most telling pattern alone holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SiteRule {
    /// All if nothing is said.
    pub tiers: Option<Vec<String>>,
    /// Between the beginnings of two visits.
    pub pace: Option<Duration>,
    pub hours: Option<Hours>,
    pub cool_down_until: Option<Timestamp>,
    pub max_per_day: Option<u32>,
    /// Only tiers that keep a subject's profile.
    pub needs_profile: bool,
    /// Raises what an application may escalate.
    pub max_escalations: Option<u32>,
    /// What the site's terms say, for people.
    pub terms: Option<String>,
}

impl SiteRule {
    pub fn read(name: &str, value: &Value) -> Result<Self, Vec<InputProblem>> {
        let mut fields = Fields::of(value);
        if let Some(problem) = pattern_problem(name) {
            fields.wrong("name", problem.to_owned());
        }
        fields.text("note", TEXT_CHARS_MAX);
        let rule = Self {
            tiers: fields.texts("tiers", NAMES_MAX),
            pace: fields.whole("pace_s", 0, PACE_S_MAX).map(|s| Duration::seconds(s as i64)),
            hours: fields.read("hours", hours::HOW, Hours::read),
            cool_down_until: fields.instant("cool_down_until"),
            max_per_day: fields.whole("max_per_day", 1, PER_DAY_MAX).map(|most| most as u32),
            needs_profile: fields.flag("needs_profile").unwrap_or_default(),
            max_escalations: fields.whole("max_escalations", 0, ESCALATIONS_MAX).map(|most| most as u32),
            terms: fields.text("terms", TEXT_CHARS_MAX),
        };
        fields.end(rule)
    }
}

/// Sends those whom it fits to a tier, if they may have it at all.
#[derive(Clone, Debug, PartialEq)]
pub struct OverrideRule {
    pub tier: String,
    pub site: Option<String>,
    pub ats: Option<String>,
    pub plan: Option<String>,
    pub subject: Option<String>,
    /// The part of the runs that it fits.
    pub percent: Option<u64>,
    pub until: Option<Timestamp>,
}

impl OverrideRule {
    pub fn read(_: &str, value: &Value) -> Result<Self, Vec<InputProblem>> {
        let mut fields = Fields::of(value);
        fields.text("note", TEXT_CHARS_MAX);
        let tier = fields.read("tier", "must be the name of a tier, such as `local`", |value| {
            value.as_str().filter(|tier| is_tier(tier)).map(str::to_owned)
        });
        if tier.is_none() && value.get("tier").is_none() {
            fields.wrong("/tier", "is missing: name the tier to send them to".to_owned());
        }
        let site = fields.text("site", NAME_CHARS_MAX * 2);
        if let Some(problem) = site.as_deref().and_then(pattern_problem) {
            fields.wrong("/site", problem.to_owned());
        }
        let rule = Self {
            tier: tier.unwrap_or_default(),
            site,
            ats: fields.text("ats", NAME_CHARS_MAX),
            plan: fields.text("plan", NAME_CHARS_MAX),
            subject: fields.text("subject", NAME_CHARS_MAX),
            percent: fields.whole("percent", 0, 100),
            until: fields.instant("until"),
        };
        fields.end(rule)
    }
}

/// Both bounds of what a rule may say lie well within it.
fn micros(usd: f64) -> u64 {
    (usd * 1e6).round() as u64
}

fn is_tier(name: &str) -> bool {
    (1..=NAME_CHARS_MAX).contains(&name.len())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields<T: std::fmt::Debug>(read: Result<T, Vec<InputProblem>>) -> Vec<String> {
        read.expect_err("a fault").into_iter().map(|problem| problem.field).collect()
    }

    #[test]
    fn every_fault_of_a_rule_is_told_with_its_field_and_what_to_write() {
        let wrong = json!({ "tiers": [], "pace_s": -1, "hours": "always", "cool_down_until": "soon", "max_per_day": 0,
            "needs_profile": "yes", "max_escalations": 9, "term": "no bots" });
        let mut told = fields(SiteRule::read("*.Example.com", &wrong));
        told.sort();
        let expected = [
            "/cool_down_until",
            "/hours",
            "/max_escalations",
            "/max_per_day",
            "/needs_profile",
            "/pace_s",
            "/term",
            "/tiers",
            "name",
        ];
        assert_eq!(told, expected);
        let problems = SiteRule::read("*", &json!({ "term": 1 })).expect_err("an unknown field");
        assert!(problems[0].message.contains("terms"), "it names the fields that there are: {problems:?}");
        assert_eq!(
            fields(TierRule::read("a tier", &json!({ "percent": 101, "enabled": 1 }))),
            ["name", "/enabled", "/percent"]
        );
        assert_eq!(fields(OverrideRule::read("x", &json!({}))), ["/tier"]);
        assert_eq!(fields(OverrideRule::read("x", &json!({ "tier": "", "site": "http://x" }))), ["/tier", "/site"]);
        assert_eq!(fields(TierRule::read("local", &json!([]))), [""]);
    }

    #[test]
    fn a_rule_in_order_is_read_as_it_is_meant() {
        let value = json!({ "tiers": ["local_headed"], "pace_s": 30, "max_per_day": 5, "needs_profile": true, "max_escalations": 2,
            "cool_down_until": "2026-11-22T18:00:00Z", "terms": "asks for a person's pace", "hours": null, "note": "ask legal" });
        let rule = SiteRule::read("*.example.com", &value).expect("a rule");
        assert_eq!((rule.pace, rule.max_per_day, rule.hours), (Some(Duration::seconds(30)), Some(5), None));
        assert_eq!(rule.max_escalations, Some(2));
        let own = TierRule::read("local", &json!({ "percent": 10 })).expect("a rule");
        let all = TierRule::read("*", &json!({ "percent": 50, "failure_share_max": 0.5 })).expect("a rule");
        let both = own.or(&all);
        assert_eq!((both.percent, both.failure_share_max, both.enabled), (Some(10), Some(0.5), None));
    }
}
