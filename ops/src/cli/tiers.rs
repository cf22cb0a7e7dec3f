//! `valet tiers`: how the tiers do, and the rules by which they are chosen.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use valet_core::Timestamp;
use valet_engine::ports::{Clock, Machine};
use valet_protocol::api::{RuleView, TierMetrics};

use super::client::Client;
use super::error::CliError;
use super::exit::Exit;
use super::output::Output;
use super::style::Style;
use super::table::{Cell, Table};
use super::{document, when};

#[derive(Args, Clone, Debug)]
pub struct Tiers {
    #[command(subcommand)]
    verb: Option<TiersVerb>,
}

#[derive(Subcommand, Clone, Debug)]
enum TiersVerb {
    /// Show how the tiers do, where, and under which policies (the default)
    Show,
    /// List the rules by which tiers are chosen
    Rules {
        /// `tier`, `site` or `override` [default: all]
        kind: Option<String>,
    },
    /// Set a rule: it holds for the next browser that is chosen
    Set {
        /// `tier` (of one tier, or of `*`), `site` (of a pattern such as `*.example.com`) or `override`
        kind: String,
        name: String,
        /// The rule as JSON, such as {"enabled": false}
        #[arg(required_unless_present = "file", conflicts_with = "file")]
        rule: Option<String>,
        /// A file with the rule; `-` reads standard input
        #[arg(long)]
        file: Option<PathBuf>,
        /// Only if it still is of this version, as `valet tiers rules` shows it; 0: only if there is none yet
        #[arg(long, value_name = "VERSION")]
        expected_version: Option<u64>,
    },
    /// Remove a rule
    Unset {
        kind: String,
        name: String,
        /// Only if it still is of this version
        #[arg(long, value_name = "VERSION")]
        expected_version: Option<u64>,
    },
}

pub async fn run(args: Tiers, client: &Client, output: &Output) -> Result<Exit, CliError> {
    match args.verb.unwrap_or(TiersVerb::Show) {
        TiersVerb::Show => {
            let metrics = client.tier_metrics().await?;
            output.either(&metrics, |style| render(&metrics, Machine.now(), style))?;
        }
        TiersVerb::Rules { kind } => {
            let list = client.rules(kind.as_deref()).await?;
            output.either(&list, |style| rules(&list.rules, Machine.now(), style))?;
        }
        TiersVerb::Set { kind, name, rule, file, expected_version } => {
            let value = match file {
                Some(file) => document::read("--file", &file)?,
                None => document::parse("RULE", rule.as_deref().unwrap_or_default())?,
            };
            let set = client.put_rule(&kind, &name, &value, expected_version).await?;
            output.either(&set, |_| format!("{} {}  version {}", set.kind, set.name, set.version))?;
        }
        TiersVerb::Unset { kind, name, expected_version } => {
            client.remove_rule(&kind, &name, expected_version).await?;
            let removed = serde_json::json!({ "kind": kind, "name": name, "removed": true });
            output.either(&removed, |_| format!("{kind} {name}  removed"))?;
        }
    }
    Ok(Exit::Done)
}

fn render(metrics: &TierMetrics, now: Timestamp, style: Style) -> String {
    if metrics.tallies.is_empty() && metrics.sites.is_empty() {
        return "nothing is known of any tier yet; `valet tiers rules` shows the rules".to_owned();
    }
    let mut text = String::new();
    if !metrics.tallies.is_empty() {
        let mut table = Table::new(["TIER", "SITE", "GOOD", "BAD", "FAILS", "LAST"]);
        for tally in &metrics.tallies {
            let fails = tally.failure_share.map_or_else(|| "-".to_owned(), |share| format!("{:.0} %", share * 100.0));
            table.row([
                Cell::new(&tally.tier),
                Cell::new(tally.site.as_deref().unwrap_or("everywhere")),
                Cell::number(&format!("{:.1}", tally.good)),
                Cell::number(&format!("{:.1}", tally.bad)),
                Cell::number(&fails),
                Cell::new(when::relative(tally.last_at, now)),
            ]);
        }
        text += &table.render(style);
    }
    if !metrics.sites.is_empty() {
        let mut table = Table::new(["SITE", "LEFT ALONE", "WHY", "LAST VISIT", "THAT DAY"]);
        for site in &metrics.sites {
            let cooling = site.cool_until.filter(|until| *until > now);
            let at = |at: Option<Timestamp>| at.map_or_else(|| "-".to_owned(), |at| when::relative(at, now));
            table.row([
                Cell::new(&site.site),
                Cell::new(cooling.map_or_else(|| "no".to_owned(), |until| format!("until {}", when::full(until, now)))),
                Cell::new(cooling.and(site.cool_why.as_deref()).unwrap_or("-")),
                Cell::new(at(site.last_visit_at)),
                Cell::number(&site.visits),
            ]);
        }
        let _ = write!(text, "\n{}", table.render(style));
    }
    if !metrics.policies.is_empty() {
        let mut table = Table::new(["POLICY (7 DAYS)", "TIER", "GOOD", "DETECTED", "FAILED", "LOST"]);
        for effect in &metrics.policies {
            table.row([
                Cell::new(effect.policy.as_deref().unwrap_or("none")),
                Cell::new(&effect.tier),
                Cell::number(&effect.good),
                Cell::number(&effect.detected),
                Cell::number(&effect.failed),
                Cell::number(&effect.lost),
            ]);
        }
        let _ = write!(text, "\n{}", table.render(style));
    }
    text
}

fn rules(rules: &[RuleView], now: Timestamp, style: Style) -> String {
    if rules.is_empty() {
        return "no rules: the cheapest tier goes first, and a site that fails on it over 30 % starts on the next"
            .to_owned();
    }
    let mut table = Table::new(["KIND", "NAME", "VERSION", "BY", "SINCE", "RULE"]);
    for rule in rules {
        table.row([
            Cell::new(&rule.kind),
            Cell::new(&rule.name),
            Cell::number(&rule.version),
            Cell::new(&rule.changed_by),
            Cell::new(when::relative(rule.changed_at, now)),
            Cell::new(rule.value.to_string()),
        ]);
    }
    table.render(style)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tiers_show_how_they_do_and_sites_why_they_are_left_alone() {
        let metrics: TierMetrics = serde_json::from_value(json!({
            "tallies": [
                { "tier": "local", "good": 9.0, "bad": 0.0, "failure_share": 0.0, "last_at": "2026-11-22T06:00:00Z" },
                { "tier": "local", "site": "jobs.example.com", "good": 3.0, "bad": 1.5, "failure_share": 0.333,
                  "last_at": "2026-11-22T06:00:00Z" },
            ],
            "sites": [
                { "site": "jobs.example.com", "cool_until": "2026-11-22T06:05:00Z", "cool_why": "it said for how long", "visits": 0 },
                { "site": "over.example.com", "cool_until": "2026-11-22T05:00:00Z", "cool_why": "too many requests",
                  "last_visit_at": "2026-11-22T06:00:00Z", "visits": 2 },
            ],
            "policies": [{ "tier": "local", "good": 3, "detected": 1, "failed": 0, "lost": 0 }],
        }))
        .unwrap();
        let text = render(&metrics, "2026-11-22T06:00:02Z".parse().unwrap(), Style::default());
        let expected = "\
TIER   SITE              GOOD  BAD  FAILS  LAST
local  everywhere         9.0  0.0    0 %  2 s ago
local  jobs.example.com   3.0  1.5   33 %  2 s ago

SITE              LEFT ALONE                                WHY                   LAST VISIT  THAT DAY
jobs.example.com  until 2026-11-22 06:05:00 UTC (in 4 min)  it said for how long  -                  0
over.example.com  no                                        -                     2 s ago            2

POLICY (7 DAYS)  TIER   GOOD  DETECTED  FAILED  LOST
none             local     3         1       0     0
";
        assert_eq!(text, expected);
    }
}
