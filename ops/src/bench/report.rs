//! What a benchmark found, for people and for programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value, json};

/// All rounds of a scenario.
pub struct Outcome {
    scenario: &'static str,
    pub settings: BTreeMap<String, String>,
    pub rounds: Vec<Round>,
}

/// One round; what does not apply is absent.
#[derive(Default)]
pub struct Round {
    pub seconds: f64,
    /// By the name in the report: `steps_per_s`, `start_s` …
    pub figures: BTreeMap<&'static str, f64>,
    pub latency_ms: Option<Latency>,
    /// By group and process: `rss_mb`, `cpu_us_per_step`, `cpu_share`.
    pub processes: BTreeMap<&'static str, BTreeMap<String, f64>>,
    pub check: Check,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Latency {
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
    pub max: f64,
}

impl Latency {
    /// Of samples in milliseconds, by the nearest rank; `None` without any.
    pub fn of(mut samples: Vec<f64>) -> Option<Self> {
        samples.sort_by(f64::total_cmp);
        let max = *samples.last()?;
        let at = |share: f64| samples[((share * samples.len() as f64).ceil() as usize).clamp(1, samples.len()) - 1];
        Some(Self { p50: at(0.5), p95: at(0.95), p99: at(0.99), max })
    }
}

/// What the database says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Check {
    pub wanted_runs: i64,
    pub succeeded: i64,
    pub wanted_results: i64,
    pub accepted: i64,
    pub gaps: i64,
    pub left: i64,
}

impl Check {
    pub fn holds(&self) -> bool {
        self.succeeded == self.wanted_runs && self.accepted == self.wanted_results && self.gaps == 0 && self.left == 0
    }
}

/// Figures of which the worst round counts, not the median.
const WORST: [&str; 3] = ["recover_s", "worker_recover_s", "engine_recover_s"];

impl Outcome {
    pub fn new(scenario: &'static str, settings: BTreeMap<String, String>) -> Self {
        Self { scenario, settings, rounds: Vec::new() }
    }

    pub fn is_consistent(&self) -> bool {
        !self.rounds.is_empty() && self.rounds.iter().all(|round| round.check.holds())
    }

    /// Over the rounds that have it.
    fn of_rounds(&self, name: &str, of: impl Fn(&Round) -> Option<f64>) -> Option<f64> {
        let mut values: Vec<f64> = self.rounds.iter().filter_map(of).collect();
        values.sort_by(f64::total_cmp);
        if WORST.contains(&name) { values.last().copied() } else { values.get(values.len() / 2).copied() }
    }

    fn figures(&self) -> BTreeMap<&'static str, f64> {
        let names = self.rounds.iter().flat_map(|round| round.figures.keys().copied());
        names.filter_map(|name| Some((name, self.of_rounds(name, |r| r.figures.get(name).copied())?))).collect()
    }

    fn latency(&self) -> Option<Latency> {
        let of = |of: fn(&Latency) -> f64| self.of_rounds("", |round| round.latency_ms.as_ref().map(of));
        Some(Latency { p50: of(|l| l.p50)?, p95: of(|l| l.p95)?, p99: of(|l| l.p99)?, max: of(|l| l.max)? })
    }

    fn processes(&self) -> BTreeMap<&'static str, BTreeMap<String, f64>> {
        let mut all: BTreeMap<&'static str, BTreeMap<String, f64>> = BTreeMap::new();
        for (group, name) in self.rounds.iter().flat_map(|round| {
            round.processes.iter().flat_map(|(group, of)| of.keys().map(move |name| (*group, name.clone())))
        }) {
            let value = self.of_rounds("", |round| round.processes.get(group)?.get(&name).copied());
            all.entry(group).or_default().insert(name, value.unwrap_or_default());
        }
        all
    }

    pub fn to_json(&self) -> Value {
        let mut document = Map::new();
        document.insert("scenario".to_owned(), json!(self.scenario));
        document.insert("settings".to_owned(), json!(self.settings));
        let rounds: Vec<Value> = self.rounds.iter().map(of_round).collect();
        document.insert("rounds".to_owned(), json!(rounds));
        for (name, value) in self.figures() {
            document.insert(name.to_owned(), json!(rounded(value)));
        }
        if let Some(latency) = self.latency() {
            document.insert("latency_ms".to_owned(), of_latency(&latency));
        }
        for (group, of) in self.processes() {
            document.insert(group.to_owned(), of_processes(&of));
        }
        document.insert("db_check".to_owned(), json!(if self.is_consistent() { "ok" } else { "mismatch" }));
        Value::Object(document)
    }

    pub fn to_text(&self) -> String {
        let mut text = format!("{}:", self.scenario);
        for (name, value) in &self.settings {
            let _ = write!(text, " {name}={value}");
        }
        for (number, round) in (1..).zip(&self.rounds) {
            let _ = write!(text, "\nround {number}: {:.1} s", round.seconds);
            write_figures(&mut text, &round.figures, round.latency_ms.as_ref());
            let check = &round.check;
            let _ = write!(
                text,
                "; {}/{} runs succeeded, {}/{} results accepted, {} gaps, {} rows left",
                check.succeeded, check.wanted_runs, check.accepted, check.wanted_results, check.gaps, check.left,
            );
        }
        text.push_str("\nmedian (recovery: longest):");
        write_figures(&mut text, &self.figures(), self.latency().as_ref());
        for (group, of) in self.processes() {
            let _ = write!(text, "\n{group}:");
            for (name, value) in of {
                let _ = write!(text, " {name} {}", rounded(value));
            }
        }
        let _ = write!(text, "\ndatabase check: {}", if self.is_consistent() { "ok" } else { "MISMATCH" });
        text
    }
}

fn write_figures(text: &mut String, figures: &BTreeMap<&'static str, f64>, latency: Option<&Latency>) {
    for (name, value) in figures {
        let _ = write!(text, ", {name} {}", rounded(*value));
    }
    if let Some(Latency { p50, p95, p99, max }) = latency {
        let _ = write!(text, ", p50 {p50:.1} ms, p95 {p95:.1} ms, p99 {p99:.1} ms, max {max:.1} ms");
    }
}

fn of_round(round: &Round) -> Value {
    let mut document = Map::new();
    document.insert("seconds".to_owned(), json!(rounded(round.seconds)));
    for (name, value) in &round.figures {
        document.insert((*name).to_owned(), json!(rounded(*value)));
    }
    if let Some(latency) = &round.latency_ms {
        document.insert("latency_ms".to_owned(), of_latency(latency));
    }
    for (group, of) in &round.processes {
        document.insert((*group).to_owned(), of_processes(of));
    }
    let check = &round.check;
    document.insert(
        "db_check".to_owned(),
        json!({
            "holds": check.holds(), "wanted_runs": check.wanted_runs, "succeeded": check.succeeded,
            "wanted_results": check.wanted_results, "accepted": check.accepted, "gaps": check.gaps, "left": check.left,
        }),
    );
    Value::Object(document)
}

fn of_latency(latency: &Latency) -> Value {
    let Latency { p50, p95, p99, max } = *latency;
    json!({ "p50": rounded(p50), "p95": rounded(p95), "p99": rounded(p99), "max": rounded(max) })
}

fn of_processes(of: &BTreeMap<String, f64>) -> Value {
    of.iter().map(|(name, value)| (name.clone(), json!(rounded(*value)))).collect::<Map<_, _>>().into()
}

/// Rates as whole numbers, small figures with three digits.
fn rounded(value: f64) -> f64 {
    let grain = if value.abs() >= 1000.0 { 1.0 } else { 1000.0 };
    (value * grain).round() / grain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(figures: &[(&'static str, f64)], holds: bool) -> Round {
        let check = Check { wanted_runs: 1, succeeded: i64::from(holds), ..Check::default() };
        Round { figures: figures.iter().copied().collect(), check, ..Round::default() }
    }

    #[test]
    fn one_round_that_does_not_add_up_is_a_mismatch() {
        let mut outcome = Outcome::new("steps", BTreeMap::new());
        assert!(!outcome.is_consistent(), "no round shows nothing");
        outcome.rounds = vec![round(&[], true), round(&[], true)];
        assert_eq!(outcome.to_json()["db_check"], "ok");
        outcome.rounds.push(round(&[], false));
        assert!(!outcome.is_consistent());
        assert_eq!(outcome.to_json()["db_check"], "mismatch");
    }

    #[test]
    fn the_median_counts_and_of_recoveries_the_longest() {
        let mut outcome = Outcome::new("recovery", BTreeMap::new());
        for (rate, recover) in [(10.0, 3.0), (30.0, 9.0), (20.0, 4.0)] {
            outcome.rounds.push(round(&[("steps_per_s", rate), ("recover_s", recover)], true));
        }
        let told = outcome.to_json();
        assert_eq!((&told["steps_per_s"], &told["recover_s"]), (&json!(20.0), &json!(9.0)));
        assert_eq!(told.get("latency_ms"), None, "what does not apply is absent");
    }

    #[test]
    fn percentiles_are_the_nearest_ranks() {
        let latency = Latency::of((1..=100).rev().map(f64::from).collect()).unwrap();
        assert_eq!(latency, Latency { p50: 50.0, p95: 95.0, p99: 99.0, max: 100.0 });
        assert_eq!(Latency::of(vec![7.0]), Some(Latency { p50: 7.0, p95: 7.0, p99: 7.0, max: 7.0 }));
        assert_eq!(Latency::of(Vec::new()), None);
    }
}
