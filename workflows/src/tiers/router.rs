//! Which tier a browser gets, and when it may begin. Pure: the same question always has the same answer, with all its reasons.
//!
//! A tier is *refused* where a rule or a fact forbids it: it cannot be had here, its switch is off, the site's policy, the plan or the
//! budget do not allow it. It is *weak* where it failed too often: taken only if nothing else is left.

use serde::{Deserialize, Serialize};
use valet_core::tiers::{OVERRIDE_RULE, SITE_RULE, SiteState, TIER_RULE, Tally, TierFacts};
use valet_core::workflow::InputProblem;
use valet_core::{Failure, RunId, Timestamp};

use super::rules::{ALL_TIERS, OverrideRule, SiteRule, TierRule};
use super::site::{Site, ats_of};
use super::visits;
pub use super::visits::Slot;

/// What the owner of the requirements asks for where no rule says otherwise.
const FAILURE_SHARE_MAX: f64 = 0.3;
const LOST_SHARE_MAX: f64 = 0.5;
const SAMPLES_MIN: f64 = 5.0;

/// What a run wants of the next tier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Want {
    Cheapest,
    /// The same kind of browser again, wherever it can be had.
    Same {
        tier: String,
    },
    /// One that is harder to tell from a person's, since this one was refused.
    Above {
        tier: String,
        block: Failure,
    },
}

/// A tier that whoever asks can provision.
#[derive(Clone, Debug, PartialEq)]
pub struct Offer {
    pub tier: String,
    /// The higher, the harder to tell from a person's browser.
    pub rank: u32,
    pub cost_usd: f64,
    /// Keeps a subject's profile from one run to the next.
    pub has_profiles: bool,
    /// Why it cannot be had here after all.
    pub missing: Option<String>,
    /// Why it is better not asked for now.
    pub failing: Option<String>,
}

pub struct Question<'a> {
    pub run: RunId,
    pub subject: &'a str,
    /// `None`: nothing is known of where it goes.
    pub site: Option<&'a Site>,
    pub want: &'a Want,
    pub max_cost: Option<f64>,
    pub offers: &'a [Offer],
    /// `None`: the engine keeps none.
    pub facts: Option<&'a TierFacts>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Fits,
    Weak,
    Refused,
}

/// What was thought of a tier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Considered {
    pub tier: String,
    pub verdict: Verdict,
    pub why: String,
}

/// The site is not to be visited yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    pub until: Timestamp,
    pub why: String,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decision {
    /// `None`: none of those considered may be had.
    pub tier: Option<String>,
    pub reasons: Vec<String>,
    pub considered: Vec<Considered>,
    /// The site's policy, by its pattern.
    pub policy: Option<String>,
    /// What the policy allows of escalations, where it says so.
    pub max_escalations: Option<u32>,
    pub wait: Option<Waiting>,
    /// To be noted before the browser begins, or waits.
    pub slot: Option<Slot>,
}

pub fn decide(question: &Question<'_>) -> Decision {
    let mut decision = Decision::default();
    let rules = Rules::of(question, &mut decision.reasons);
    let mut candidates: Vec<(Considered, f64, u32)> = question
        .offers
        .iter()
        .map(|offer| {
            let cost_usd = rules.of_tier(&offer.tier).cost_usd.unwrap_or(offer.cost_usd);
            let (verdict, why) = consider(question, &rules, offer, cost_usd);
            (Considered { tier: offer.tier.clone(), verdict, why }, cost_usd, offer.rank)
        })
        .collect();
    candidates.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.2.cmp(&b.2)).then_with(|| a.0.tier.cmp(&b.0.tier)));
    decision.considered = candidates.into_iter().map(|(considered, ..)| considered).collect();
    if let Some((pattern, rule)) = &rules.policy {
        decision.reasons.push(format!("the policy of `{pattern}` holds here"));
        decision.policy = Some(pattern.clone());
        decision.max_escalations = rule.max_escalations;
    }
    let Some((chosen, why)) = choose(question, &rules, &decision.considered) else {
        decision.reasons.extend(decision.considered.iter().map(|c| format!("not {}: {}", c.tier, c.why)));
        return decision;
    };
    let passed_over = decision.considered.iter().take_while(|c| c.tier != chosen.tier);
    decision.reasons.extend(passed_over.map(|c| format!("not {}: {}", c.tier, c.why)));
    decision.reasons.push(format!("{}: {why}", chosen.tier));
    decision.reasons.push(chosen.why.clone());
    decision.tier = Some(chosen.tier.clone());
    if let Some(facts) = question.facts {
        (decision.wait, decision.slot) = when(rules.policy.as_ref().map(|(_, rule)| rule), facts);
    }
    decision
}

fn choose<'c>(
    question: &Question<'_>,
    rules: &Rules,
    considered: &'c [Considered],
) -> Option<(&'c Considered, String)> {
    let find = |tier: &str| considered.iter().find(|c| c.tier == tier && c.verdict != Verdict::Refused);
    match question.want {
        Want::Same { tier } => {
            if let Some(same) = find(tier) {
                return Some((same, "the browser before it was lost".to_owned()));
            }
        }
        Want::Cheapest => {
            let sent = rules.overrides.iter().find_map(|(name, rule)| Some((name, find(&rule.tier)?)));
            if let Some((name, sent)) = sent {
                return Some((sent, format!("the override `{name}` sends it there")));
            }
        }
        Want::Above { .. } => {}
    }
    let best = |verdict: Verdict| considered.iter().find(|c| c.verdict == verdict);
    let fits = best(Verdict::Fits).map(|c| (c, "the cheapest that fits".to_owned()));
    fits.or_else(|| best(Verdict::Weak).map(|c| (c, "nothing better is left".to_owned())))
}

/// Whether a tier may be had, and how it does.
fn consider(question: &Question<'_>, rules: &Rules, offer: &Offer, cost_usd: f64) -> (Verdict, String) {
    let rule = rules.of_tier(&offer.tier);
    if let Some(why) = refusal(question, rules, &rule, offer, cost_usd) {
        return (Verdict::Refused, why);
    }
    let samples_min = rule.samples_min.unwrap_or(SAMPLES_MIN);
    let share = |at_site: bool| {
        let tallies = question.facts.map_or(&[] as &[Tally], |facts| facts.tallies.as_slice());
        let tally = tallies.iter().find(|t| t.tier == offer.tier && t.site.is_some() == at_site)?;
        let seen = tally.good + tally.bad;
        (seen >= samples_min).then(|| tally.bad / seen)
    };
    let percent = |share: f64| (share * 100.0).round();
    let failure_max = rule.failure_share_max.unwrap_or(FAILURE_SHARE_MAX);
    let lost_max = rule.lost_share_max.unwrap_or(LOST_SHARE_MAX);
    let at_site = share(true);
    if let Some(failures) = at_site.filter(|share| *share > failure_max) {
        let why =
            format!("it failed {} % of late at this site, more than {} %", percent(failures), percent(failure_max));
        return (Verdict::Weak, why);
    }
    if let Some(lost) = share(false).filter(|share| *share > lost_max) {
        let why = format!("{} % of its browsers went away of late, more than {} %", percent(lost), percent(lost_max));
        return (Verdict::Weak, why);
    }
    if let Some(failing) = &offer.failing {
        return (Verdict::Weak, failing.clone());
    }
    let cost = if cost_usd > 0.0 { format!("it costs {cost_usd} USD a run") } else { "it costs nothing".to_owned() };
    let history = at_site.map(|share| format!(", and failed {} % of late at this site", percent(share)));
    (Verdict::Fits, cost + &history.unwrap_or_default())
}

fn refusal(question: &Question<'_>, rules: &Rules, rule: &TierRule, offer: &Offer, cost_usd: f64) -> Option<String> {
    let ranks = |tier: &str| question.offers.iter().find(|offer| offer.tier == tier).map_or(0, |offer| offer.rank);
    match question.want {
        Want::Above { tier, block } if offer.rank <= ranks(tier) => {
            return Some(if offer.tier == *tier {
                format!("it was refused: {}", block.code)
            } else {
                format!("it is no harder to tell from a person's than {tier}, which was refused")
            });
        }
        Want::Same { tier } if offer.rank < ranks(tier) => return Some(format!("the run was past it, at {tier}")),
        _ => {}
    }
    if let Some(missing) = &offer.missing {
        return Some(missing.clone());
    }
    if rule.enabled == Some(false) {
        return Some("its switch is off".to_owned());
    }
    if let Some((pattern, policy)) = &rules.policy {
        if policy.tiers.as_ref().is_some_and(|tiers| !tiers.contains(&offer.tier)) {
            return Some(format!("the policy of `{pattern}` does not allow it"));
        }
        if policy.needs_profile && !offer.has_profiles {
            return Some(format!("the policy of `{pattern}` wants a profile, and it keeps none"));
        }
    }
    let plan = question.facts.map_or("", |facts| facts.plan.as_str());
    if rule.plans.as_ref().is_some_and(|plans| !plans.iter().any(|allowed| allowed == plan)) {
        return Some(format!("the plan `{plan}` does not include it"));
    }
    if let Some(most) = question.max_cost.filter(|most| cost_usd > *most) {
        return Some(format!("it costs {cost_usd} USD a run, and this one may cost {most}"));
    }
    if let Some(percent) = rule.percent.filter(|percent| lot(question.run) >= *percent) {
        return Some(format!("{percent} % of the runs may have it, and this is none of them"));
    }
    None
}

/// When the visit may begin; and its time, where the policy gives visits theirs.
fn when(policy: Option<&SiteRule>, facts: &TierFacts) -> (Option<Waiting>, Option<Slot>) {
    let SiteState { cool_until, cool_why, .. } = &facts.site;
    let mut waits = Vec::new();
    if let Some(until) = *cool_until {
        waits
            .push((until, format!("the site wants to be left alone: {}", cool_why.as_deref().unwrap_or("it said so"))));
    }
    let Some(policy) = policy else { return (latest(waits, facts.now), None) };
    if let Some(until) = policy.cool_down_until {
        waits.push((until, "its policy leaves the site alone".to_owned()));
    }
    let free_at = waits.iter().map(|(until, _)| *until).fold(facts.now, Timestamp::max);
    let slot = if facts.begins_at.is_some() { None } else { visits::slot(policy, &facts.site, free_at) };
    if let Some(at) = facts.begins_at.or(slot.map(|slot| slot.begins_at)) {
        waits.push((at, "its policy paces visits to the site".to_owned()));
    }
    if let Some(hours) = policy.hours {
        let free_at = waits.iter().map(|(until, _)| *until).fold(facts.now, Timestamp::max);
        waits.push((hours.opens(free_at), "its policy has hours for the site".to_owned()));
    }
    (latest(waits, facts.now), slot)
}

/// The first of those that last longest.
fn latest(waits: Vec<(Timestamp, String)>, now: Timestamp) -> Option<Waiting> {
    let to_come = waits.into_iter().filter(|(until, _)| *until > now);
    let last = to_come.reduce(|last, next| if next.0 > last.0 { next } else { last });
    last.map(|(until, why)| Waiting { until, why })
}

/// Which hundredth of all runs this is one of: the same whenever it is asked.
fn lot(run: RunId) -> u64 {
    run.0.as_u64_pair().1 % 100
}

/// The rules that concern this question.
struct Rules {
    policy: Option<(String, SiteRule)>,
    tiers: Vec<(String, TierRule)>,
    /// Those that fit, by name.
    overrides: Vec<(String, OverrideRule)>,
}

impl Rules {
    /// A rule that this program does not understand, since it was written for another build, is passed over and named.
    fn of(question: &Question<'_>, reasons: &mut Vec<String>) -> Self {
        let mut rules = Self { policy: None, tiers: Vec::new(), overrides: Vec::new() };
        let Some(facts) = question.facts else { return rules };
        let patterns = question.site.map(Site::patterns).unwrap_or_default();
        let mut best = patterns.len();
        for rule in &facts.rules {
            let mut unread = |problems: Vec<InputProblem>| {
                let field = problems.first().map_or("", |problem| problem.field.as_str());
                reasons.push(format!(
                    "the rule {} `{}` is not understood here (at {field}), and passed over",
                    rule.kind, rule.name
                ));
            };
            match rule.kind.as_str() {
                TIER_RULE => match TierRule::read(&rule.name, &rule.value) {
                    Ok(read) => rules.tiers.push((rule.name.clone(), read)),
                    Err(problems) => unread(problems),
                },
                SITE_RULE => {
                    let Some(place) = patterns.iter().position(|p| *p == rule.name).filter(|place| *place < best)
                    else {
                        continue;
                    };
                    match SiteRule::read(&rule.name, &rule.value) {
                        Ok(read) => (best, rules.policy) = (place, Some((rule.name.clone(), read))),
                        Err(problems) => unread(problems),
                    }
                }
                OVERRIDE_RULE => match OverrideRule::read(&rule.name, &rule.value) {
                    Ok(read) if fits(&read, question, facts) => rules.overrides.push((rule.name.clone(), read)),
                    Ok(_) => {}
                    Err(problems) => unread(problems),
                },
                _ => {}
            }
        }
        rules.overrides.sort_by(|a, b| a.0.cmp(&b.0));
        rules
    }

    fn of_tier(&self, tier: &str) -> TierRule {
        let named = |name: &str| self.tiers.iter().find(|(known, _)| known == name).map(|(_, rule)| rule);
        let own = named(tier).cloned().unwrap_or_default();
        named(ALL_TIERS).map_or_else(|| own.clone(), |all| own.clone().or(all))
    }
}

fn fits(rule: &OverrideRule, question: &Question<'_>, facts: &TierFacts) -> bool {
    let is =
        |wanted: &Option<String>, found: Option<&str>| wanted.as_deref().is_none_or(|wanted| found == Some(wanted));
    rule.site.as_deref().is_none_or(|pattern| question.site.is_some_and(|site| site.matches(pattern)))
        && is(&rule.ats, question.site.and_then(ats_of))
        && is(&rule.plan, Some(&facts.plan))
        && is(&rule.subject, Some(question.subject))
        && rule.percent.is_none_or(|percent| lot(question.run) < percent)
        && rule.until.is_none_or(|until| facts.now < until)
}

#[cfg(test)]
pub(super) mod tests;
