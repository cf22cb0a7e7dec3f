//! `valet sandboxes`: the browsers that runs hold, what they cost, and the end of one.

use std::fmt::Write as _;

use clap::{Args, Subcommand};
use valet_core::Timestamp;
use valet_engine::ports::{Clock, Machine};
use valet_protocol::api::{ReasonRequest, SandboxList, SandboxView};

use super::client::Client;
use super::error::CliError;
use super::exit::Exit;
use super::output::Output;
use super::style::Style;
use super::table::{Cell, Table};
use super::{money, when};

/// Days of costs that are shown.
const DAYS_SHOWN: usize = 7;

#[derive(Args, Clone, Debug)]
pub struct Sandboxes {
    #[command(subcommand)]
    verb: Option<SandboxesVerb>,
}

#[derive(Subcommand, Clone, Debug)]
enum SandboxesVerb {
    /// List sandboxes with their lease, tier, run, age and cost (the default)
    List {
        /// Those that have ended too
        #[arg(long)]
        all: bool,
    },
    /// End a sandbox: its run takes another
    Kill {
        id: String,
        /// Why, for whoever looks later
        #[arg(long)]
        reason: Option<String>,
    },
}

pub async fn run(args: Sandboxes, client: &Client, output: &Output) -> Result<Exit, CliError> {
    match args.verb.unwrap_or(SandboxesVerb::List { all: false }) {
        SandboxesVerb::List { all } => {
            let list = client.sandboxes(all).await?;
            output.either(&list, |style| render(&list, Machine.now(), style))?;
        }
        SandboxesVerb::Kill { id, reason } => {
            let request = ReasonRequest { reason: reason.unwrap_or_default() };
            let killed = client.kill_sandbox(&id, &request).await?;
            output.either(&killed, |_| format!("{}  {}", killed.id, killed.state))?;
        }
    }
    Ok(Exit::Done)
}

fn render(list: &SandboxList, now: Timestamp, style: Style) -> String {
    let mut text = String::new();
    if list.sandboxes.is_empty() {
        text += "no sandboxes: no run holds a browser now\n";
    } else {
        let mut table = Table::new(["SANDBOX", "TIER", "STATE", "RUN", "WHERE", "AGE", "LEASE ENDS", "COST", "WHY"]);
        for one in &list.sandboxes {
            let place =
                one.host.as_ref().map_or_else(|| one.provider.clone(), |host| format!("{} {host}", one.provider));
            table.row([
                Cell::new(&one.id),
                Cell::new(&one.tier),
                Cell::new(&one.state),
                Cell::new(one.run.as_deref().unwrap_or("-")),
                Cell::new(place),
                Cell::new(when::relative(one.created_at, now)),
                Cell::new(lease(one, now)),
                Cell::number(&money::show(one.cost_usd_micros)),
                Cell::new(one.reason.as_deref().unwrap_or("-")),
            ]);
        }
        text += &table.render(style);
    }
    if !list.costs.is_empty() {
        let mut table = Table::new(["DAY (UTC)", "TIER", "HOURS", "COST"]);
        let mut days: Vec<&str> = list.costs.iter().map(|cost| cost.day.as_str()).collect();
        days.dedup();
        for cost in list.costs.iter().filter(|cost| days.iter().take(DAYS_SHOWN).any(|day| *day == cost.day)) {
            table.row([
                Cell::new(&cost.day),
                Cell::new(&cost.tier),
                Cell::number(&format!("{:.2}", cost.seconds / 3600.0)),
                Cell::number(&money::show(cost.usd_micros)),
            ]);
        }
        let _ = write!(text, "\n{}", table.render(style));
    }
    text
}

fn lease(one: &SandboxView, now: Timestamp) -> String {
    match one.state.as_str() {
        "destroyed" | "lost" => "-".to_owned(),
        _ if one.left => "nobody looks after it".to_owned(),
        _ => when::relative(one.lease_until, now),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sandboxes_show_whose_they_are_and_what_they_cost() {
        let one = |id: &str, state: &str, left: bool, reason: Option<&str>| {
            json!({ "id": id, "tier": "local", "state": state, "state_since": "2026-11-22T06:00:00Z", "run": "run_1",
                "provider": "local", "host": "h1", "lease_until": "2026-11-22T07:00:00Z", "fence": 1,
                "created_at": "2026-11-22T06:00:00Z", "age_s": 60, "cost_usd_micros": 20_000, "left": left, "reason": reason })
        };
        let list: SandboxList = serde_json::from_value(json!({
            "sandboxes": [one("a", "in_use", false, None), one("b", "in_use", true, None), one("c", "lost", false, Some("gone"))],
            "costs": [{ "tier": "local", "day": "2026-11-22", "seconds": 1800.0, "usd_micros": 1_500_000 }],
        }))
        .unwrap();
        let text = render(&list, "2026-11-22T06:01:00Z".parse().unwrap(), Style::default());
        let expected = "\
SANDBOX  TIER   STATE   RUN    WHERE     AGE        LEASE ENDS              COST  WHY
a        local  in_use  run_1  local h1  1 min ago  in 59 min              $0.02  -
b        local  in_use  run_1  local h1  1 min ago  nobody looks after it  $0.02  -
c        local  lost    run_1  local h1  1 min ago  -                      $0.02  gone

DAY (UTC)   TIER   HOURS   COST
2026-11-22  local   0.50  $1.50
";
        assert_eq!(text, expected);
        let none = SandboxList { sandboxes: Vec::new(), costs: Vec::new() };
        assert!(render(&none, Timestamp::default(), Style::default()).contains("no run holds a browser"));
    }
}
