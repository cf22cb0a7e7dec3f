//! Rules that operators change live, and what is known of tiers and sites: rows in, rows out.

use std::time::Duration;

use serde_json::Value;
use sqlx::types::Json;
use valet_core::Timestamp;
use valet_core::tiers::{Rule, SiteState, Tally, TierFacts, TierOutcome};

use super::{PgStore, audited, bounded, millis};
use crate::audit::Deed;
use crate::bounds::{POLICY_EFFECT_DAYS, RULES_MAX, TALLY_HALF_LIFE};
use crate::store::{SessionClaim, StoreError};

/// A rule as it is stored.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct RuleRecord {
    pub kind: String,
    pub name: String,
    pub version: i64,
    pub value: Value,
    pub changed_by: String,
    pub changed_at: Timestamp,
}

/// What became of a put.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct RulePut {
    #[sqlx(flatten)]
    pub rule: RuleRecord,
    pub created: bool,
    /// It is not of the version that was expected, and says something else.
    pub other: bool,
}

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct TallyRecord {
    pub tier: String,
    pub site: Option<String>,
    pub good: f64,
    pub bad: f64,
    pub at: Timestamp,
}

#[derive(Clone, Debug, sqlx::FromRow)]
pub struct SiteRecord {
    pub site: String,
    pub revision: i64,
    pub cool_until: Option<Timestamp>,
    pub cool_why: Option<String>,
    pub last_visit_at: Option<Timestamp>,
    pub visits: i32,
}

/// How browsers came off under a policy.
#[derive(Clone, Debug, sqlx::FromRow)]
pub struct PolicyEffectRecord {
    pub policy: Option<String>,
    pub tier: String,
    pub good: i64,
    pub detected: i64,
    pub failed: i64,
    pub lost: i64,
}

#[derive(sqlx::FromRow)]
struct FactsRecord {
    now: Timestamp,
    plan: String,
    rules: Json<Vec<Rule>>,
    tallies: Json<Vec<Tally>>,
    revision: Option<i64>,
    cool_until: Option<Timestamp>,
    cool_why: Option<String>,
    last_visit_at: Option<Timestamp>,
    visits: Option<i32>,
    begins_at: Option<Timestamp>,
}

/// Which browser of the run that a step belongs to, and where it goes.
#[derive(Clone, Debug)]
pub struct Visitor {
    pub holder: SessionClaim,
    pub site: String,
    pub browser: u32,
}

/// When a visit is to begin, as decided on what was known of the site.
#[derive(Clone, Debug)]
pub struct NewVisit {
    pub tier: String,
    pub policy: Option<String>,
    pub begins_at: Timestamp,
    /// Those of its day, with this one.
    pub visits: u32,
    /// Of the site, when it was decided.
    pub revision: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    Taken,
    /// Something else was noted of the site meanwhile.
    Changed,
    /// The lease does not hold.
    Stale,
}

/// Whose answer is stale unless the step's lease holds.
macro_rules! held {
    ($query:expr, $holder:expr) => {{
        let holder = &$holder;
        $query
            .bind(holder.run.0)
            .bind(holder.seq.0 as i32)
            .bind(holder.attempt.0 as i32)
            .bind(holder.lease.0)
            .bind(holder.session.0)
    }};
}

impl PgStore {
    /// `None`: the lease does not hold. `patterns` are the names that the site's policy may have.
    pub async fn tier_facts(&self, visitor: &Visitor, patterns: &[String]) -> Result<Option<TierFacts>, StoreError> {
        let query = sqlx::query_as::<_, FactsRecord>(include_str!("../sql/tier_facts.sql"));
        let query = held!(query, visitor.holder)
            .bind(&visitor.site)
            .bind(patterns)
            .bind(visitor.browser as i32)
            .bind(TALLY_HALF_LIFE.as_secs_f64());
        Ok(bounded(query.fetch_optional(self.pool())).await?.map(FactsRecord::facts))
    }

    pub async fn take_visit(&self, visitor: &Visitor, visit: &NewVisit) -> Result<Taken, StoreError> {
        let query = sqlx::query_as::<_, (bool, bool)>(include_str!("../sql/take_visit.sql"));
        let query = held!(query, visitor.holder)
            .bind(&visitor.site)
            .bind(visitor.browser as i32)
            .bind(&visit.tier)
            .bind(&visit.policy)
            .bind(visit.begins_at)
            .bind(visit.visits as i32)
            .bind(visit.revision);
        Ok(match bounded(query.fetch_one(self.pool())).await? {
            (false, _) => Taken::Stale,
            (true, true) => Taken::Taken,
            (true, false) => Taken::Changed,
        })
    }

    /// Whether the lease holds. What was told before stands.
    pub async fn note_tier(
        &self,
        visitor: &Visitor,
        tier: &str,
        policy: Option<&str>,
        outcome: TierOutcome,
    ) -> Result<bool, StoreError> {
        let (good, bad_at_site, bad_everywhere): (f64, f64, f64) = match outcome {
            TierOutcome::Good => (1.0, 0.0, 0.0),
            TierOutcome::Detected | TierOutcome::Failed => (0.0, 1.0, 0.0),
            TierOutcome::Lost => (0.0, 0.0, 1.0),
        };
        let query = sqlx::query_scalar::<_, bool>(include_str!("../sql/note_tier.sql"));
        let query = held!(query, visitor.holder)
            .bind(&visitor.site)
            .bind(visitor.browser as i32)
            .bind(tier)
            .bind(policy)
            .bind(outcome.as_str())
            .bind(good)
            .bind(bad_at_site)
            .bind(bad_everywhere)
            .bind(TALLY_HALF_LIFE.as_secs_f64());
        bounded(query.fetch_one(self.pool())).await
    }

    /// Whether the lease holds.
    pub async fn cool_down(&self, visitor: &Visitor, wait: Duration, why: &str) -> Result<bool, StoreError> {
        let query = sqlx::query_scalar::<_, bool>(include_str!("../sql/cool_down.sql"));
        let query = held!(query, visitor.holder).bind(&visitor.site).bind(millis(wait) as f64).bind(why);
        bounded(query.fetch_one(self.pool())).await
    }

    /// Of one kind, or all.
    pub async fn list_rules(&self, tenant: &str, kind: Option<&str>, most: u32) -> Result<Vec<RuleRecord>, StoreError> {
        let query = sqlx::query_as::<_, RuleRecord>(include_str!("../sql/list_rules.sql"));
        bounded(query.bind(tenant).bind(kind).bind(i64::from(most)).fetch_all(self.pool())).await
    }

    /// `None`: there are as many of this kind as may be.
    /// `expected` is the version that it is to be of, 0 for none.
    pub async fn put_rule(
        &self,
        kind: &str,
        name: &str,
        value: &Value,
        expected: Option<i64>,
        deed: &Deed,
    ) -> Result<Option<RulePut>, StoreError> {
        let query = sqlx::query_as::<_, RulePut>(include_str!("../sql/put_rule.sql"))
            .bind(&deed.tenant)
            .bind(kind)
            .bind(name)
            .bind(value)
            .bind(&deed.who)
            .bind(i64::from(RULES_MAX));
        bounded(audited!(query, deed).bind(expected).fetch_optional(self.pool())).await
    }

    pub async fn find_rule(&self, tenant: &str, kind: &str, name: &str) -> Result<Option<RuleRecord>, StoreError> {
        let query = sqlx::query_as::<_, RuleRecord>(include_str!("../sql/find_rule.sql"));
        bounded(query.bind(tenant).bind(kind).bind(name).fetch_optional(self.pool())).await
    }

    /// Whether there was one, of that version.
    pub async fn remove_rule(
        &self,
        kind: &str,
        name: &str,
        expected: Option<i64>,
        deed: &Deed,
    ) -> Result<bool, StoreError> {
        let query = sqlx::query_scalar::<_, i64>(include_str!("../sql/remove_rule.sql"))
            .bind(&deed.tenant)
            .bind(kind)
            .bind(name)
            .bind(&deed.who);
        Ok(bounded(audited!(query, deed).bind(expected).fetch_optional(self.pool())).await?.is_some())
    }

    pub async fn list_tallies(&self, tenant: &str, most: u32) -> Result<Vec<TallyRecord>, StoreError> {
        let query = sqlx::query_as::<_, TallyRecord>(include_str!("../sql/list_tallies.sql"))
            .bind(tenant)
            .bind(TALLY_HALF_LIFE.as_secs_f64())
            .bind(i64::from(most));
        bounded(query.fetch_all(self.pool())).await
    }

    pub async fn list_tier_sites(&self, tenant: &str, most: u32) -> Result<Vec<SiteRecord>, StoreError> {
        let query = sqlx::query_as::<_, SiteRecord>(include_str!("../sql/list_tier_sites.sql"));
        bounded(query.bind(tenant).bind(i64::from(most)).fetch_all(self.pool())).await
    }

    pub async fn policy_effects(&self, tenant: &str, most: u32) -> Result<Vec<PolicyEffectRecord>, StoreError> {
        let query = sqlx::query_as::<_, PolicyEffectRecord>(include_str!("../sql/policy_effects.sql"))
            .bind(tenant)
            .bind(f64::from(POLICY_EFFECT_DAYS))
            .bind(i64::from(most));
        bounded(query.fetch_all(self.pool())).await
    }
}

impl FactsRecord {
    fn facts(self) -> TierFacts {
        let site = SiteState {
            revision: self.revision.unwrap_or_default(),
            cool_until: self.cool_until,
            cool_why: self.cool_why,
            last_visit_at: self.last_visit_at,
            visits: self.visits.unwrap_or_default() as u32,
        };
        TierFacts {
            now: self.now,
            plan: self.plan,
            rules: self.rules.0,
            tallies: self.tallies.0,
            site,
            begins_at: self.begins_at,
        }
    }
}
