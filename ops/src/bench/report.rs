//! What a benchmark found, for people and for programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

/// All rounds of a scenario.
pub struct Outcome {
    scenario: &'static str,
    pub settings: BTreeMap<String, String>,
    pub rounds: Vec<Round>,
    pub rss_mb: BTreeMap<String, f64>,
}

pub struct Round {
    pub seconds: f64,
    pub steps_per_s: f64,
    pub runs_per_s: f64,
    pub latency_ms: Latency,
    pub cpu_us_per_step: BTreeMap<String, f64>,
    pub check: Check,
}

#[derive(Clone, Copy, Default)]
pub struct Latency {
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
    pub max: f64,
}

/// What the database says.
pub struct Check {
    pub wanted_runs: i64,
    pub succeeded: i64,
    pub wanted_results: i64,
    pub accepted: i64,
    pub gaps: i64,
    pub left: i64,
}

impl Check {
    fn holds(&self) -> bool {
        self.succeeded == self.wanted_runs && self.accepted == self.wanted_results && self.gaps == 0 && self.left == 0
    }
}

impl Outcome {
    pub fn new(scenario: &'static str, settings: BTreeMap<String, String>) -> Self {
        Self { scenario, settings, rounds: Vec::new(), rss_mb: BTreeMap::new() }
    }

    pub fn is_consistent(&self) -> bool {
        !self.rounds.is_empty() && self.rounds.iter().all(|round| round.check.holds())
    }

    fn median(&self, of: impl Fn(&Round) -> f64) -> f64 {
        let mut values: Vec<f64> = self.rounds.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or_default()
    }

    fn cpu(&self) -> BTreeMap<String, f64> {
        let names = self.rounds.first().map(|round| round.cpu_us_per_step.keys().cloned().collect::<Vec<_>>());
        let median = |name: &String| self.median(|round| round.cpu_us_per_step.get(name).copied().unwrap_or_default());
        names.unwrap_or_default().into_iter().map(|name| (name.clone(), rounded(median(&name)))).collect()
    }

    pub fn to_json(&self) -> Value {
        let latency = |of: fn(&Latency) -> f64| rounded(self.median(|round| of(&round.latency_ms)));
        let rss: BTreeMap<&String, f64> = self.rss_mb.iter().map(|(name, mb)| (name, rounded(*mb))).collect();
        json!({
            "scenario": self.scenario,
            "settings": self.settings,
            "rounds": self.rounds.iter().map(|r| json!({
                "seconds": rounded(r.seconds), "steps_per_s": r.steps_per_s.round(), "runs_per_s": r.runs_per_s.round(),
                "p50_ms": rounded(r.latency_ms.p50), "p99_ms": rounded(r.latency_ms.p99), "db_check": r.check.holds(),
            })).collect::<Vec<_>>(),
            "steps_per_s": self.median(|r| r.steps_per_s).round(),
            "runs_per_s": self.median(|r| r.runs_per_s).round(),
            "latency_ms": { "p50": latency(|l| l.p50), "p95": latency(|l| l.p95), "p99": latency(|l| l.p99), "max": latency(|l| l.max) },
            "cpu_us_per_step": self.cpu(),
            "rss_mb": rss,
            "db_check": if self.is_consistent() { "ok" } else { "mismatch" },
        })
    }

    pub fn to_text(&self) -> String {
        let mut text = format!("{}:", self.scenario);
        for (name, value) in &self.settings {
            let _ = write!(text, " {name}={value}");
        }
        for (number, round) in (1..).zip(&self.rounds) {
            let (latency, check) = (&round.latency_ms, &round.check);
            let _ = write!(
                text,
                "\nround {number}: {:.0} steps/s, {:.0} runs/s in {:.1} s; p50 {:.1} ms, p95 {:.1} ms, p99 {:.1} ms, max {:.1} ms; \
                 {}/{} runs succeeded, {}/{} results accepted, {} gaps, {} rows left",
                round.steps_per_s,
                round.runs_per_s,
                round.seconds,
                latency.p50,
                latency.p95,
                latency.p99,
                latency.max,
                check.succeeded,
                check.wanted_runs,
                check.accepted,
                check.wanted_results,
                check.gaps,
                check.left,
            );
        }
        let _ = write!(text, "\nmedian: {:.0} steps/s; CPU µs/step:", self.median(|r| r.steps_per_s));
        for (name, value) in self.cpu() {
            let _ = write!(text, " {name} {value:.1}");
        }
        text.push_str("; memory MB:");
        for (name, value) in &self.rss_mb {
            let _ = write!(text, " {name} {value:.0}");
        }
        let _ = write!(text, "\ndatabase check: {}", if self.is_consistent() { "ok" } else { "MISMATCH" });
        text
    }
}

fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
