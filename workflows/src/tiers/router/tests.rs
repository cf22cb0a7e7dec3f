//! The router on rules, tallies and sites; and on whatever of them is drawn.

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
    let offer = |tier: &str, rank, cost_usd| Offer {
        tier: tier.into(),
        rank,
        cost_usd,
        has_profiles: false,
        missing: None,
        failing: None,
    };
    vec![offer("local", 0, 0.0), offer("local_headed", 1, 0.0), offer("stealth", 2, 0.1)]
}

fn rule(kind: &str, name: &str, value: Value) -> Rule {
    Rule { kind: kind.into(), name: name.into(), version: 1, value }
}

fn facts(rules: Vec<Rule>) -> TierFacts {
    TierFacts {
        now: at(NOW),
        plan: "pro".into(),
        rules,
        tallies: Vec::new(),
        site: SiteState::default(),
        begins_at: None,
    }
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
    assert_eq!(
        refused(vec![rule("tier", "local", json!({ "plans": ["free"] }))]),
        "the plan `pro` does not include it"
    );
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
    let off = vec![
        rule("override", "try", json!({ "tier": "stealth" })),
        rule("tier", "stealth", json!({ "enabled": false })),
    ];
    assert_eq!(tier_of(&Want::Cheapest, off).as_deref(), Some("local"), "a switch goes before an override");
}

#[test]
fn a_site_that_wants_quiet_is_waited_for() {
    let mut known = facts(vec![]);
    known.site = SiteState {
        cool_until: Some(at("2026-11-22T12:05:00Z")),
        cool_why: Some("HTTP status 429".into()),
        ..SiteState::default()
    };
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
    paced.site =
        SiteState { revision: 4, last_visit_at: Some(at("2026-11-22T13:05:00Z")), visits: 1, ..SiteState::default() };
    let decision = asked(&Want::Cheapest, &paced);
    assert_eq!(decision.slot, Some(Slot { begins_at: at("2026-11-22T13:15:00Z"), visits: 2 }));
    assert_eq!(decision.wait.map(|w| w.until), Some(at("2026-11-22T13:15:00Z")));
    paced.begins_at = Some(at("2026-11-22T11:00:00Z"));
    let decision = asked(&Want::Cheapest, &paced);
    assert_eq!(
        (decision.slot, decision.wait.map(|w| w.until)),
        (None, Some(at("2026-11-22T13:00:00Z"))),
        "its time is kept"
    );
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
        rules.push(rule(
            "site",
            draw.one(&["*", "*.example.com"]),
            json!({ "tiers": [draw.one(&tiers), draw.one(&tiers)] }),
        ));
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
