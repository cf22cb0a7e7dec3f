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
        let why = format!("it failed {} % of late at this site, more than {} %", percent(failures), percent(failure_max));
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

fn refusal(
    question: &Question<'_>,
    rules: &Rules,
    rule: &TierRule,
    offer: &Offer,
    cost_usd: f64,
) -> Option<String> {
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
        waits.push((until, format!("the site wants to be left alone: {}", cool_why.as_deref().unwrap_or("it said so"))));
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
                reasons.push(format!("the rule {} `{}` is not understood here (at {field}), and passed over", rule.kind, rule.name));
            };
            match rule.kind.as_str() {
                TIER_RULE => match TierRule::read(&rule.name, &rule.value) {
                    Ok(read) => rules.tiers.push((rule.name.clone(), read)),
                    Err(problems) => unread(problems),
                },
                SITE_RULE => {
                    let Some(place) = patterns.iter().position(|p| *p == rule.name).filter(|place| *place < best) else {
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
    let is = |wanted: &Option<String>, found: Option<&str>| wanted.as_deref().is_none_or(|wanted| found == Some(wanted));
    rule.site.as_deref().is_none_or(|pattern| question.site.is_some_and(|site| site.matches(pattern)))
        && is(&rule.ats, question.site.and_then(ats_of))
        && is(&rule.plan, Some(&facts.plan))
        && is(&rule.subject, Some(question.subject))
        && rule.percent.is_none_or(|percent| lot(question.run) < percent)
        && rule.until.is_none_or(|until| facts.now < until)
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::{Value, json};
    use uuid::Uuid;
    use valet_core::tiers::Rule;

    use super::*;

    /// A small generator of numbers, so that a failure names its seed.
    pub struct Draw(pub u64);

    impl Draw {
        fn next(&mut self) -> u64 {
            // splitmix64
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ (mixed >> 31)
        }

        pub fn below(&mut self, most: u64) -> u64 {
            self.next() % most
        }

        fn one<T: Clone>(&mut self, of: &[T]) -> T {
            of[self.below(of.len() as u64) as usize].clone()
        }
    }

    const NOW: &str = "2026-11-22T12:00:00Z";

    fn at(text: &str) -> Timestamp {
        text.parse().expect("an instant")
    }

    fn offers() -> Vec<Offer> {
        let offer = |tier: &str, rank, cost_usd| Offer { tier: tier.into(), rank, cost_usd, has_profiles: false, missing: None, failing: None };
        vec![offer("local", 0, 0.0), offer("local_headed", 1, 0.0), offer("stealth", 2, 0.1)]
    }

    fn rule(kind: &str, name: &str, value: Value) -> Rule {
        Rule { kind: kind.into(), name: name.into(), version: 1, value }
    }

    fn facts(rules: Vec<Rule>) -> TierFacts {
        TierFacts { now: at(NOW), plan: "pro".into(), rules, tallies: Vec::new(), site: SiteState::default(), begins_at: None }
    }

    fn above(tier: &str) -> Want {
        Want::Above { tier: tier.into(), block: Failure::new("bot_blocked", "refused") }
    }

    fn asked(want: &Want, facts: &TierFacts) -> Decision {
        asked_by(0, want, facts)
    }

    /// By the run whose lot this is.
    fn asked_by(lot: u64, want: &Want, facts: &TierFacts) -> Decision {
        let site = Site::of("https://jobs.example.com/7").expect("a site");
        let question = Question {
            run: RunId(Uuid::from_u64_pair(0, lot)),
            subject: "ada",
            site: Some(&site),
            want,
            max_cost: None,
            offers: &offers(),
            facts: Some(facts),
        };
        decide(&question)
    }

    fn tier_of(want: &Want, rules: Vec<Rule>) -> Option<String> {
        asked(want, &facts(rules)).tier
    }

    fn tally(tier: &str, site: Option<&str>, good: f64, bad: f64) -> Tally {
        Tally { tier: tier.into(), site: site.map(Into::into), good, bad }
    }

    #[test]
    fn a_refused_tier_is_followed_by_the_next_one_up_until_none_is_left() {
        assert_eq!(tier_of(&Want::Cheapest, vec![]).as_deref(), Some("local"));
        assert_eq!(tier_of(&above("local"), vec![]).as_deref(), Some("local_headed"));
        assert_eq!(tier_of(&above("local_headed"), vec![]).as_deref(), Some("stealth"));
        let none = asked(&above("stealth"), &facts(vec![]));
        assert_eq!(none.tier, None);
        assert!(none.reasons.iter().any(|why| why == "not stealth: it was refused: bot_blocked"), "{none:?}");
    }

    #[test]
    fn a_lost_browser_is_followed_by_one_of_its_own_tier_and_never_by_a_lower_one() {
        let same = |tier: &str| Want::Same { tier: tier.into() };
        assert_eq!(tier_of(&same("local_headed"), vec![]).as_deref(), Some("local_headed"));
        let off = || vec![rule("tier", "local_headed", json!({ "enabled": false }))];
        assert_eq!(tier_of(&same("local_headed"), off()).as_deref(), Some("stealth"), "the switch holds for it too");
    }

    #[test]
    fn a_site_over_the_limit_starts_on_the_next_tier_and_comes_back_when_it_is_forgotten() {
        let mut known = facts(vec![]);
        known.tallies = vec![tally("local", Some("jobs.example.com"), 6.9, 3.1)];
        let decision = asked(&Want::Cheapest, &known);
        assert_eq!(decision.tier.as_deref(), Some("local_headed"));
        assert_eq!(decision.reasons[0], "not local: it failed 31 % of late at this site, more than 30 %");
        known.tallies[0] = tally("local", Some("jobs.example.com"), 7.1, 2.9);
        assert_eq!(asked(&Want::Cheapest, &known).tier.as_deref(), Some("local"));
        known.tallies[0] = tally("local", Some("jobs.example.com"), 0.0, 4.9);
        assert_eq!(asked(&Want::Cheapest, &known).tier.as_deref(), Some("local"), "too little was seen");
        known.tallies[0] = tally("local", Some("jobs.example.com"), 6.9, 3.1);
        known.rules = vec![rule("tier", "*", json!({ "failure_share_max": 0.5 }))];
        assert_eq!(asked(&Want::Cheapest, &known).tier.as_deref(), Some("local"), "a rule moves the limit");
    }

    #[test]
    fn a_tier_whose_browsers_go_away_is_passed_over_until_nothing_else_is_left() {
        let mut known = facts(vec![]);
        known.tallies = vec![tally("local", None, 4.0, 6.0)];
        assert_eq!(asked(&Want::Cheapest, &known).tier.as_deref(), Some("local_headed"));
        known.rules = vec![rule("site", "*.example.com", json!({ "tiers": ["local"] }))];
        let decision = asked(&Want::Cheapest, &known);
        assert_eq!(decision.tier.as_deref(), Some("local"));
        assert!(decision.reasons.contains(&"local: nothing better is left".to_owned()), "{decision:?}");
    }

    #[test]
    fn a_tier_whose_provider_fails_now_is_passed_over_too() {
        let mut offers = offers();
        offers[0].failing = Some("it fails".into());
        let question = |offers: &[Offer]| {
            let question = Question {
                run: RunId(Uuid::nil()),
                subject: "ada",
                site: None,
                want: &Want::Cheapest,
                max_cost: Some(0.0),
                offers,
                facts: None,
            };
            decide(&question).tier
        };
        assert_eq!(question(&offers).as_deref(), Some("local_headed"));
        assert_eq!(question(&offers[..1]).as_deref(), Some("local"), "it is all there is");
    }

    #[test]
    fn the_most_telling_policy_alone_holds() {
        let rules = vec![
            rule("site", "*", json!({ "tiers": ["stealth"] })),
            rule("site", "*.example.com", json!({ "tiers": ["local_headed"], "max_escalations": 3 })),
            rule("site", "other.example.com", json!({ "tiers": ["local"] })),
        ];
        let decision = asked(&Want::Cheapest, &facts(rules));
        assert_eq!(decision.tier.as_deref(), Some("local_headed"));
        assert_eq!((decision.policy.as_deref(), decision.max_escalations), (Some("*.example.com"), Some(3)));
    }

    #[test]
    fn plans_switches_costs_and_profiles_refuse() {
        let refused = |rules: Vec<Rule>| {
            let decision = asked(&Want::Cheapest, &facts(rules));
            decision.considered.iter().find(|c| c.tier == "local").expect("local").why.clone()
        };
        assert_eq!(refused(vec![rule("tier", "local", json!({ "enabled": false }))]), "its switch is off");
        assert_eq!(refused(vec![rule("tier", "local", json!({ "plans": ["free"] }))]), "the plan `pro` does not include it");
        let profile = "the policy of `*` wants a profile, and it keeps none";
        assert_eq!(refused(vec![rule("site", "*", json!({ "needs_profile": true }))]), profile);
        let dear = rule("tier", "local", json!({ "cost_usd": 0.5 }));
        assert_eq!(tier_of(&Want::Cheapest, vec![dear]).as_deref(), Some("local_headed"), "the cheapest goes first");
    }

    #[test]
    fn a_percentage_splits_the_runs_and_always_in_the_same_way() {
        let known = facts(vec![rule("tier", "local", json!({ "percent": 30 }))]);
        let local = (0..100).filter(|lot| asked_by(*lot, &Want::Cheapest, &known).tier.as_deref() == Some("local"));
        assert_eq!(local.count(), 30);
    }

    #[test]
    fn an_override_sends_those_whom_it_fits() {
        let sent = |value: Value| tier_of(&Want::Cheapest, vec![rule("override", "try", value)]);
        assert_eq!(sent(json!({ "tier": "stealth" })).as_deref(), Some("stealth"));
        assert_eq!(sent(json!({ "tier": "stealth", "site": "*.example.com" })).as_deref(), Some("stealth"));
        for not_this in [
            json!({ "tier": "stealth", "site": "example.org" }),
            json!({ "tier": "stealth", "plan": "free" }),
            json!({ "tier": "stealth", "subject": "eve" }),
            json!({ "tier": "stealth", "ats": "greenhouse" }),
            json!({ "tier": "stealth", "percent": 0 }),
            json!({ "tier": "stealth", "until": "2026-11-22T11:59:59Z" }),
            json!({ "tier": "elsewhere" }),
        ] {
            assert_eq!(sent(not_this.clone()).as_deref(), Some("local"), "{not_this}");
        }
        let off = vec![rule("override", "try", json!({ "tier": "stealth" })), rule("tier", "stealth", json!({ "enabled": false }))];
        assert_eq!(tier_of(&Want::Cheapest, off).as_deref(), Some("local"), "a switch goes before an override");
    }

    #[test]
    fn a_site_that_wants_quiet_is_waited_for() {
        let mut known = facts(vec![]);
        known.site = SiteState { cool_until: Some(at("2026-11-22T12:05:00Z")), cool_why: Some("HTTP status 429".into()), ..SiteState::default() };
        let decision = asked(&Want::Cheapest, &known);
        let waiting = decision.wait.expect("a wait");
        assert_eq!((decision.tier.as_deref(), waiting.until), (Some("local"), at("2026-11-22T12:05:00Z")));
        assert!(waiting.why.contains("429"), "{waiting:?}");
        known.site.cool_until = Some(at(NOW));
        assert_eq!(asked(&Want::Cheapest, &known).wait, None, "it is over");
    }

    #[test]
    fn the_latest_of_all_waits_holds_and_within_the_hours() {
        let hours = json!({ "from": "13:00", "to": "18:00" });
        let policy = |more: Value| {
            let mut value = json!({ "hours": hours });
            value.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
            facts(vec![rule("site", "*", value)])
        };
        let until = |known: &TierFacts| asked(&Want::Cheapest, known).wait.map(|w| w.until);
        assert_eq!(until(&policy(json!({}))), Some(at("2026-11-22T13:00:00Z")));
        assert_eq!(until(&policy(json!({ "cool_down_until": "2026-11-22T19:00:00Z" }))), Some(at("2026-11-23T13:00:00Z")));
        let mut paced = policy(json!({ "pace_s": 600 }));
        paced.site = SiteState { revision: 4, last_visit_at: Some(at("2026-11-22T13:05:00Z")), visits: 1, ..SiteState::default() };
        let decision = asked(&Want::Cheapest, &paced);
        assert_eq!(decision.slot, Some(Slot { begins_at: at("2026-11-22T13:15:00Z"), visits: 2 }));
        assert_eq!(decision.wait.map(|w| w.until), Some(at("2026-11-22T13:15:00Z")));
        paced.begins_at = Some(at("2026-11-22T11:00:00Z"));
        let decision = asked(&Want::Cheapest, &paced);
        assert_eq!((decision.slot, decision.wait.map(|w| w.until)), (None, Some(at("2026-11-22T13:00:00Z"))), "its time is kept");
    }

    #[test]
    fn a_rule_of_another_build_is_passed_over_and_named() {
        let decision = asked(&Want::Cheapest, &facts(vec![rule("tier", "local", json!({ "enabled": false, "new": 1 }))]));
        assert_eq!(decision.tier.as_deref(), Some("local"));
        assert!(decision.reasons[0].contains("tier `local` is not understood here (at /new)"), "{decision:?}");
    }

    fn drawn(draw: &mut Draw) -> (TierFacts, Want) {
        let tiers = ["local", "local_headed", "stealth"];
        let mut rules = Vec::new();
        for tier in tiers {
            if draw.below(2) == 0 {
                let value = json!({ "enabled": draw.below(4) > 0, "percent": draw.below(101), "cost_usd": draw.below(3) });
                rules.push(rule("tier", tier, value));
            }
        }
        if draw.below(2) == 0 {
            rules.push(rule("site", &draw.one(&["*", "*.example.com"]), json!({ "tiers": [draw.one(&tiers), draw.one(&tiers)] })));
        }
        if draw.below(2) == 0 {
            rules.push(rule("override", "o", json!({ "tier": draw.one(&tiers), "percent": draw.below(101) })));
        }
        let mut known = facts(rules);
        for tier in tiers {
            for site in [None, Some("jobs.example.com")] {
                known.tallies.push(tally(tier, site, draw.below(10) as f64, draw.below(10) as f64));
            }
        }
        let want = match draw.below(3) {
            0 => Want::Cheapest,
            1 => Want::Same { tier: draw.one(&tiers).into() },
            _ => above(draw.one(&tiers)),
        };
        (known, want)
    }

    #[test]
    fn whatever_the_rules_say_no_refused_tier_is_chosen_and_no_weak_one_before_one_that_fits() {
        for seed in 1..=3_000 {
            let mut draw = Draw(seed);
            let (known, want) = drawn(&mut draw);
            let lot = draw.below(100);
            let decision = asked_by(lot, &want, &known);
            assert_eq!(decision, asked_by(lot, &want, &known), "seed {seed}");
            assert_eq!(decision.considered.len(), 3, "seed {seed}");
            let left = |verdict: Verdict| decision.considered.iter().any(|c| c.verdict == verdict);
            let Some(tier) = &decision.tier else {
                assert!(!left(Verdict::Fits) && !left(Verdict::Weak), "seed {seed}: {decision:?}");
                continue;
            };
            let chosen = decision.considered.iter().find(|c| c.tier == *tier).expect("an offer");
            assert_ne!(chosen.verdict, Verdict::Refused, "seed {seed}: {decision:?}");
            let rank = |tier: &str| offers().iter().position(|offer| offer.tier == tier);
            if let Want::Above { tier: from, .. } = &want {
                assert!(rank(tier) > rank(from), "seed {seed}: {decision:?}");
                assert!(chosen.verdict == Verdict::Fits || !left(Verdict::Fits), "seed {seed}: {decision:?}");
            }
            assert!(decision.reasons.iter().any(|why| why.starts_with(tier.as_str())), "seed {seed}: {decision:?}");
        }
    }

    #[test]
    fn without_facts_the_cheapest_is_taken() {
        let question = Question {
            run: RunId(Uuid::nil()),
            subject: "ada",
            site: None,
            want: &Want::Cheapest,
            max_cost: Some(0.0),
            offers: &offers(),
            facts: None,
        };
        let decision = decide(&question);
        assert_eq!((decision.tier.as_deref(), decision.wait), (Some("local"), None));
    }
}
