//! Tiers and sites: how they do, for operators; what is known of them, for whoever holds a step.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::{Extension, Json};
use valet_core::bounds::NAME_BYTES_MAX;
use valet_protocol::api::{PolicyEffect, SiteStanding, TierMetrics, TierTally};
use valet_protocol::worker::{TierAnswer, TierAsk, TierQuestion};

use super::auth::Caller;
use super::worker::{Wire, own_session};
use super::{App, Fault};
use crate::bounds::{COOL_DOWN_MAX, SITE_PATTERNS_MAX, TIER_ROWS_MAX};
use crate::store::SessionClaim;
use crate::store::postgres::tiers::{NewVisit, Taken, Visitor};

/// Longest sentence that is kept of why a site is left alone.
const WHY_CHARS_MAX: usize = 200;

/// How the tiers do, everywhere and at each site, and what is known of sites.
#[utoipa::path(get, operation_id = "tier_metrics", path = "/api/v1/admin/tier-metrics", tag = "tiers", responses((status = 200, body = TierMetrics)))]
pub(super) async fn metrics(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<TierMetrics>, Fault> {
    let store = &app.engine.store;
    let tallies = store.list_tallies(&caller.tenant, TIER_ROWS_MAX).await?;
    let sites = store.list_tier_sites(&caller.tenant, TIER_ROWS_MAX).await?;
    let policies = store.policy_effects(&caller.tenant, TIER_ROWS_MAX).await?;
    Ok(Json(TierMetrics {
        tallies: tallies
            .into_iter()
            .map(|t| TierTally {
                failure_share: Some(t.bad / (t.good + t.bad)).filter(|share| share.is_finite()),
                tier: t.tier,
                site: t.site,
                good: t.good,
                bad: t.bad,
                last_at: t.at,
            })
            .collect(),
        sites: sites
            .into_iter()
            .map(|s| SiteStanding {
                site: s.site,
                cool_until: s.cool_until,
                cool_why: s.cool_why,
                last_visit_at: s.last_visit_at,
                visits: s.visits as u32,
            })
            .collect(),
        policies: policies
            .into_iter()
            .map(|p| PolicyEffect {
                policy: p.policy,
                tier: p.tier,
                good: p.good as u64,
                detected: p.detected as u64,
                failed: p.failed as u64,
                lost: p.lost as u64,
            })
            .collect(),
    }))
}

/// Asked and told by whoever holds a step; every statement looks at its lease.
pub(super) async fn of_step(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Wire(ask): Wire<TierAsk>,
) -> Result<Json<TierAnswer>, Fault> {
    own_session(&app, &caller, ask.session).await?;
    let TierAsk { session, run, seq, attempt, lease, site, browser, what } = ask;
    if site.is_empty() || site.len() > NAME_BYTES_MAX * 4 || site.contains('\0') || i32::try_from(browser).is_err() {
        return Err(Fault::bad_request("invalid_site", "a site is `host` or `host:port`").at("site"));
    }
    let visitor = Visitor { holder: SessionClaim { session, run, seq, attempt, lease }, site, browser };
    let store = &app.engine.store;
    let done = |held: bool| if held { TierAnswer::Done } else { TierAnswer::Stale };
    Ok(Json(match what {
        TierQuestion::Facts { patterns } => {
            if patterns.len() > SITE_PATTERNS_MAX || patterns.iter().any(|pattern| pattern.contains('\0')) {
                let detail = format!("at most {SITE_PATTERNS_MAX} patterns, without NUL");
                return Err(Fault::bad_request("invalid_patterns", detail).at("what"));
            }
            let facts = store.tier_facts(&visitor, &patterns).await?;
            facts.map_or(TierAnswer::Stale, |facts| TierAnswer::Facts(Box::new(facts)))
        }
        TierQuestion::Visit { tier, policy, begins_at, visits, revision } => {
            named(&tier, policy.as_deref())?;
            let visit = NewVisit { tier, policy, begins_at, visits, revision };
            match store.take_visit(&visitor, &visit).await? {
                Taken::Taken => TierAnswer::Done,
                Taken::Changed => TierAnswer::Changed,
                Taken::Stale => TierAnswer::Stale,
            }
        }
        TierQuestion::Outcome { tier, policy, outcome } => {
            named(&tier, policy.as_deref())?;
            done(store.note_tier(&visitor, &tier, policy.as_deref(), outcome).await?)
        }
        TierQuestion::CoolDown { for_ms, why } => {
            let why: String = why.chars().filter(|c| *c != '\0').take(WHY_CHARS_MAX).collect();
            done(store.cool_down(&visitor, Duration::from_millis(for_ms).min(COOL_DOWN_MAX), &why).await?)
        }
    }))
}

fn named(tier: &str, policy: Option<&str>) -> Result<(), Fault> {
    let fits = |name: &str| (1..=NAME_BYTES_MAX * 4).contains(&name.len()) && !name.contains('\0');
    if fits(tier) && policy.is_none_or(fits) {
        return Ok(());
    }
    Err(Fault::bad_request("invalid_tier", "names of tiers and policies are short, and without NUL").at("what"))
}
