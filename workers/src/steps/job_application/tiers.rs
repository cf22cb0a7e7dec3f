//! Which browser a run gets: what this machine offers, what the engine knows, decided by the router of `workflows/`.

use std::time::Duration;

use uuid::Uuid;
use valet_core::tiers::TierFacts;
use valet_protocol::worker::{TierAnswer, TierQuestion};
use valet_workflows::ats::JobPlace;
use valet_workflows::job_application::steps::{DIRECT, NO_TIER, NoteTier, SelectTier, TierChoice};
use valet_workflows::tiers::{Decision, Offer, Question, Site, TierRule, Waiting, Want, decide};

use super::Browsers;
use crate::browser::Pace;
use crate::runtime::{StepContext, StepError};

/// A headless browser.
const LOCAL: &str = "local";
/// One with a window, on a screen of its own: what a headless one shows of itself is not there.
const LOCAL_HEADED: &str = "local_headed";
/// A machine at Fly, with a window.
pub(super) const FLY: &str = "fly";
/// Two dedicated processors and 4 GiB for the minutes that an application takes.
const FLY_COST_USD: f64 = 0.02;
/// Times that a decision is made anew because somebody else took a time at the site meanwhile.
const DECIDE_MAX: u32 = 8;

pub(super) fn is_headless(tier: &str) -> bool {
    !matches!(tier, LOCAL_HEADED | FLY)
}

/// Who asks for a browser that cannot be told from a person's watches how it is used, too.
pub(super) fn pace(tier: &str, sandbox: Uuid) -> Option<Pace> {
    let (seed, _) = sandbox.as_u64_pair();
    (!is_headless(tier)).then_some(Pace { seed })
}

/// The tiers of this machine; those of other providers join them later.
fn offers(headed: bool, resting: Option<Duration>) -> Vec<Offer> {
    let offer = |tier: &str, rank: u32| Offer {
        tier: tier.to_owned(),
        rank,
        cost_usd: 0.0,
        has_profiles: false,
        missing: None,
        failing: resting
            .map(|left| format!("its provider failed again and again, and rests for {} s", left.as_secs() + 1)),
    };
    let no_screen = || "no browser with a window: Xvfb is not installed (Debian package xvfb)".to_owned();
    vec![offer(LOCAL, 1), Offer { missing: (!headed).then(no_screen), ..offer(LOCAL_HEADED, 2) }]
}

fn fly_offer(resting: Option<Duration>) -> Offer {
    let failing = resting.map(|left| format!("Fly failed again and again, and rests for {} s", left.as_secs() + 1));
    Offer { tier: FLY.to_owned(), rank: 3, cost_usd: FLY_COST_USD, has_profiles: false, missing: None, failing }
}

/// Handing the application to the hiring system itself: only where that is a known one.
fn direct_offer(missing: Option<String>) -> Offer {
    Offer { tier: DIRECT.to_owned(), rank: 0, cost_usd: 0.0, has_profiles: true, missing, failing: None }
}

impl Browsers {
    /// The job in a hiring system that takes applications itself.
    async fn direct_place(&self, job_url: &str) -> Option<JobPlace> {
        self.systems.place(job_url).await.filter(|place| place.system.takes_applications())
    }

    pub(super) async fn select_tier(&self, ctx: StepContext, step: SelectTier) -> Result<TierChoice, StepError> {
        let site = Site::of(&step.job_url);
        let mut offers = offers(self.headed, self.provider.resting());
        offers.extend(self.fly.as_ref().map(|fly| fly_offer(fly.resting())));
        let place = self.direct_place(&step.job_url).await;
        offers.extend(place.as_ref().map(|place| direct_offer(self.systems.lacks(place))));
        for offer in offers.iter_mut().filter(|offer| step.without.contains(&offer.tier)) {
            offer.missing = Some("it did not serve this application".to_owned());
        }
        for _ in 0..DECIDE_MAX {
            let facts = match &site {
                Some(site) => known(&ctx, site, step.browser).await?,
                None => None,
            };
            let decision = decide(&Question {
                run: ctx.run(),
                subject: ctx.subject(),
                site: site.as_ref(),
                want: &step.want,
                max_cost: step.max_cost,
                offers: &offers,
                facts: facts.as_ref(),
            });
            let Some(tier) = &decision.tier else {
                let why = format!("no tier may be had: {}", decision.reasons.join("; "));
                return Err(StepError::fail(NO_TIER, why).with_details(&decision.considered));
            };
            if let (Some(site), Some(facts)) = (&site, &facts)
                && !step.untimed
                && !take(&ctx, site, step.browser, &decision, tier, facts).await?
            {
                continue;
            }
            tracing::info!(run = %ctx.run(), tier, reasons = ?decision.reasons, "a tier was chosen");
            let direct = place.filter(|_| tier == DIRECT);
            let here = direct.is_none() && tier != FLY;
            return Ok(TierChoice {
                tier: tier.clone(),
                host: here.then(|| self.host.clone()),
                direct,
                reasons: decision.reasons,
                considered: decision.considered,
                policy: decision.policy,
                max_escalations: decision.max_escalations,
                price: facts.as_ref().map(|facts| TierRule::price(tier, &facts.rules)).unwrap_or_default(),
                wait: decision.wait.filter(|_| !step.untimed),
            });
        }
        Err(StepError::retry("site_busy", "others took a time at the site again and again"))
    }

    /// Whether a browser of this tier may open the page now, as its site's policy says; else until when not. The time that a visit is
    /// given, counted within its run, is kept for it.
    pub(in crate::steps) async fn may_visit(
        &self,
        ctx: &StepContext,
        url: &str,
        visit: u32,
        tier: &str,
    ) -> Result<Option<Waiting>, StepError> {
        let Some(site) = Site::of(url) else { return Ok(None) };
        let mut offers = offers(self.headed, None);
        offers.extend(self.fly.as_ref().map(|_| fly_offer(None)));
        // It is there already.
        offers.iter_mut().filter(|offer| offer.tier == tier).for_each(|offer| offer.missing = None);
        let want = Want::Same { tier: tier.to_owned() };
        for _ in 0..DECIDE_MAX {
            let Some(facts) = known(ctx, &site, visit).await? else { return Ok(None) };
            let decision = decide(&Question {
                run: ctx.run(),
                subject: ctx.subject(),
                site: Some(&site),
                want: &want,
                max_cost: None,
                offers: &offers,
                facts: Some(&facts),
            });
            if decision.tier.as_deref() != Some(tier) {
                let why = format!("no browser of `{tier}` may go there: {}", decision.reasons.join("; "));
                return Err(StepError::fail("policy_refused", why).with_details(&decision.considered));
            }
            if take(ctx, &site, visit, &decision, tier, &facts).await? {
                return Ok(decision.wait);
            }
        }
        Err(StepError::retry("site_busy", "others took a time at the site again and again"))
    }

    pub(super) async fn note_tier(&self, ctx: StepContext, step: NoteTier) -> Result<(), StepError> {
        let Some(site) = Site::of(&step.job_url) else { return Ok(()) };
        let what = TierQuestion::Outcome { tier: step.tier, policy: step.policy, outcome: step.outcome };
        ctx.tiers(&site.name(), step.browser, what).await.map(drop)
    }
}

async fn known(ctx: &StepContext, site: &Site, browser: u32) -> Result<Option<TierFacts>, StepError> {
    let what = TierQuestion::Facts { patterns: site.patterns() };
    Ok(match ctx.tiers(&site.name(), browser, what).await? {
        Some(TierAnswer::Facts(facts)) => Some(*facts),
        _ => None,
    })
}

/// Whether the time that the decision gives the visit is its own; there may be none to take.
async fn take(
    ctx: &StepContext,
    site: &Site,
    browser: u32,
    decision: &Decision,
    tier: &str,
    facts: &TierFacts,
) -> Result<bool, StepError> {
    let Some(slot) = decision.slot else { return Ok(true) };
    let what = TierQuestion::Visit {
        tier: tier.to_owned(),
        policy: decision.policy.clone(),
        begins_at: slot.begins_at,
        visits: slot.visits,
        revision: facts.site.revision,
    };
    Ok(ctx.tiers(&site.name(), browser, what).await? != Some(TierAnswer::Changed))
}

#[cfg(test)]
mod tests {
    use valet_core::{Failure, RunId};

    use super::*;

    fn tier(want: &Want, headed: bool) -> Option<String> {
        let offers = offers(headed, None);
        let question = Question {
            run: RunId(Uuid::nil()),
            subject: "ada",
            site: None,
            want,
            max_cost: None,
            offers: &offers,
            facts: None,
        };
        decide(&question).tier
    }

    #[test]
    fn a_refused_tier_is_followed_by_the_next_one_up_until_none_is_left() {
        let above = |tier: &str| Want::Above { tier: tier.to_owned(), block: Failure::new("bot_blocked", "refused") };
        assert_eq!(tier(&Want::Cheapest, true).as_deref(), Some(LOCAL));
        assert_eq!(tier(&above(LOCAL), true).as_deref(), Some(LOCAL_HEADED));
        for (want, headed) in [(above(LOCAL), false), (above(LOCAL_HEADED), true)] {
            assert_eq!(tier(&want, headed), None, "{want:?}");
        }
    }

    #[test]
    fn a_browser_with_a_window_is_used_at_a_persons_pace() {
        let sandbox = Uuid::from_u64_pair(7, 0);
        assert_eq!(pace(LOCAL, sandbox), None);
        assert_eq!(pace(LOCAL_HEADED, sandbox), Some(Pace { seed: 7 }));
    }

    #[test]
    fn a_lost_browser_is_followed_by_one_of_its_own_tier() {
        for name in [LOCAL, LOCAL_HEADED] {
            assert_eq!(tier(&Want::Same { tier: name.to_owned() }, true).as_deref(), Some(name));
        }
    }
}
