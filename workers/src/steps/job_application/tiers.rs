//! Which browser a run gets. The tiers of this machine, cheapest first; those of providers join them later.

use uuid::Uuid;
use valet_workflows::job_application::steps::{NO_TIER, SelectTier, TierChoice, Want};

use super::Browsers;
use crate::browser::Pace;
use crate::runtime::StepError;

/// A headless browser.
const LOCAL: &str = "local";
/// One with a window, on a screen of its own: what a headless one shows of itself is not there.
const LOCAL_HEADED: &str = "local_headed";

pub(super) fn is_headless(tier: &str) -> bool {
    tier != LOCAL_HEADED
}

/// Who asks for a browser that cannot be told from a person's watches how it is used, too.
pub(super) fn pace(tier: &str, sandbox: Uuid) -> Option<Pace> {
    let (seed, _) = sandbox.as_u64_pair();
    (tier == LOCAL_HEADED).then_some(Pace { seed })
}

impl Browsers {
    pub(super) fn select_tier(&self, step: &SelectTier) -> Result<TierChoice, StepError> {
        if step.max_cost.is_some_and(|most| most < 0.0) {
            return Err(StepError::fail("over_budget", "no tier costs less than nothing"));
        }
        let (tier, why) = choose(&step.want, self.headed)?;
        let reasons = vec![why, "it costs nothing".to_owned()];
        Ok(TierChoice { tier: tier.to_owned(), host: Some(self.host.clone()), reasons })
    }
}

fn choose(want: &Want, headed: bool) -> Result<(&'static str, String), StepError> {
    let no_tier = |why: String| Err(StepError::fail(NO_TIER, why));
    match want {
        Want::Cheapest => Ok((LOCAL, "the local tier is the cheapest".to_owned())),
        Want::Same { tier } if tier == LOCAL => Ok((LOCAL, "the browser before it was lost".to_owned())),
        Want::Same { tier } if tier == LOCAL_HEADED && headed => {
            Ok((LOCAL_HEADED, "the browser before it was lost".to_owned()))
        }
        Want::Same { tier } => no_tier(format!("the tier `{tier}` is not to be had here")),
        Want::Above { tier, block } if tier == LOCAL && headed => {
            Ok((LOCAL_HEADED, format!("{tier} was refused: {}", block.code)))
        }
        Want::Above { tier, .. } if tier == LOCAL => {
            no_tier("no browser with a window: Xvfb is not installed (Debian package xvfb)".to_owned())
        }
        Want::Above { tier, .. } => no_tier(format!("no tier is harder to tell from a person's browser than `{tier}`")),
    }
}

#[cfg(test)]
mod tests {
    use valet_core::Failure;

    use super::*;

    fn above(tier: &str) -> Want {
        Want::Above { tier: tier.to_owned(), block: Failure::new("bot_blocked", "refused") }
    }

    #[test]
    fn a_refused_tier_is_followed_by_the_next_one_up_until_none_is_left() {
        assert_eq!(choose(&Want::Cheapest, true).unwrap().0, LOCAL);
        assert_eq!(choose(&above(LOCAL), true).unwrap().0, LOCAL_HEADED);
        for (want, headed) in [(above(LOCAL), false), (above(LOCAL_HEADED), true)] {
            let Err(StepError::Fail(why)) = choose(&want, headed) else { panic!("{want:?} has a tier") };
            assert_eq!(why.code, NO_TIER);
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
        for tier in [LOCAL, LOCAL_HEADED] {
            assert_eq!(choose(&Want::Same { tier: tier.to_owned() }, true).unwrap().0, tier);
        }
        assert!(choose(&Want::Same { tier: "else".to_owned() }, true).is_err());
    }
}
