//! `valet limits`: how much is at work at once, and what waits for it.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use valet_core::Timestamp;
use valet_engine::ports::{Clock, Machine};
use valet_protocol::api::{CoolDownRequest, LimitKeyView, LimitView, RateView, SlotHold, WhenFull};

use super::client::Client;
use super::error::CliError;
use super::exit::Exit;
use super::output::Output;
use super::style::Style;
use super::table::{Cell, Table};
use super::{document, when};

#[derive(Args, Clone, Debug)]
pub struct Limits {
    #[command(subcommand)]
    verb: Option<LimitsVerb>,
}

#[derive(Subcommand, Clone, Debug)]
enum LimitsVerb {
    /// List limits (the default)
    List,
    /// Show what the keys of a limit have: running, waiting, since when, and when the next may begin
    Keys {
        name: String,
        /// Only this one
        #[arg(long)]
        key: Option<String>,
    },
    /// Set a limit: its figures hold at once
    Set {
        name: String,
        /// The limit as JSON, such as {"workflow": "apply", "key": "input.site", "most": 2}
        #[arg(required_unless_present = "file", conflicts_with = "file")]
        limit: Option<String>,
        /// A file with the limit; `-` reads standard input
        #[arg(long)]
        file: Option<PathBuf>,
    },
    /// Remove a limit: what waits for it waits no more
    Unset { name: String },
    /// Leave a key alone until an instant; without one it may begin again
    Cool {
        name: String,
        /// Empty: the key of what has none
        #[arg(default_value = "")]
        key: String,
        /// Such as 2026-11-22T06:00:00Z
        #[arg(long)]
        until: Option<Timestamp>,
    },
}

pub async fn run(args: Limits, client: &Client, output: &Output) -> Result<Exit, CliError> {
    match args.verb.unwrap_or(LimitsVerb::List) {
        LimitsVerb::List => {
            let list = client.limits().await?;
            output.either(&list, |style| limits(&list.limits, Machine.now(), style))?;
        }
        LimitsVerb::Keys { name, key } => {
            let list = client.limit_keys(&name, key.as_deref()).await?;
            output.either(&list, |style| keys(&list.keys, Machine.now(), style))?;
        }
        LimitsVerb::Set { name, limit, file } => {
            let value = match file {
                Some(file) => document::read("--file", &file)?,
                None => document::parse("LIMIT", limit.as_deref().unwrap_or_default())?,
            };
            let set = client.put_limit(&name, &value).await?;
            output.either(&set, |_| format!("{}  version {}", set.name, set.version))?;
        }
        LimitsVerb::Unset { name } => {
            client.remove_limit(&name).await?;
            let removed = serde_json::json!({ "name": name, "removed": true });
            output.either(&removed, |_| format!("{name}  removed"))?;
        }
        LimitsVerb::Cool { name, key, until } => {
            client.cool_limit_key(&name, &CoolDownRequest { key: key.clone(), until }).await?;
            let cooled = serde_json::json!({ "name": name, "key": key, "until": until });
            output.either(&cooled, |_| match until {
                Some(until) => format!("{name} {key}  left alone until {}", when::full(until, Machine.now())),
                None => format!("{name} {key}  may begin again"),
            })?;
        }
    }
    Ok(Exit::Done)
}

fn limits(limits: &[LimitView], now: Timestamp, style: Style) -> String {
    if limits.is_empty() {
        return "no limits: as much is at work as workers have slots".to_owned();
    }
    let mut table = Table::new(["NAME", "OF", "KEY", "AT ONCE", "RATE", "RUNS", "TURNS", "BY", "SINCE"]);
    for limit in limits {
        let of =
            limit.step.as_ref().map_or_else(|| limit.workflow.clone(), |step| format!("{} {step}", limit.workflow));
        table.row([
            Cell::new(&limit.name),
            Cell::new(of),
            Cell::new(limit.key.as_deref().unwrap_or("-")),
            Cell::number(&limit.most.map_or_else(|| "-".to_owned(), |most| most.to_string())),
            Cell::new(limit.rate.map_or_else(|| "-".to_owned(), rate)),
            Cell::new(runs(limit)),
            Cell::new(limit.share.as_deref().unwrap_or("-")),
            Cell::new(&limit.changed_by),
            Cell::new(when::relative(limit.changed_at, now)),
        ]);
    }
    table.render(style)
}

fn rate(rate: RateView) -> String {
    format!("{} in {} s", rate.count, rate.per_ms as f64 / 1000.0)
}

/// What a limit of runs says besides.
fn runs(limit: &LimitView) -> String {
    let seconds = |ms: u64| format!("{} s", ms as f64 / 1000.0);
    let parts = [
        (limit.when_full != WhenFull::Queue).then(|| limit.when_full.as_str().to_owned()),
        (limit.hold == SlotHold::Live).then(|| "live".to_owned()),
        limit.debounce.map(|debounce| format!("after {} of quiet", seconds(debounce.quiet_ms))),
        limit.expires_ms.map(|ms| format!("waits {} at most", seconds(ms))),
    ];
    let said: Vec<String> = parts.into_iter().flatten().collect();
    if said.is_empty() { "-".to_owned() } else { said.join(", ") }
}

fn keys(keys: &[LimitKeyView], now: Timestamp, style: Style) -> String {
    if keys.is_empty() {
        return "nothing is at work under this limit, and nothing waits".to_owned();
    }
    let mut table = Table::new(["KEY", "RUNNING", "OF", "WAITING", "OLDEST", "NEXT"]);
    for key in keys {
        let next = key.cooled_until.max(key.next_token_at);
        table.row([
            Cell::new(if key.key.is_empty() { "-" } else { &key.key }),
            Cell::number(&key.running),
            Cell::number(&key.most.map_or_else(|| "-".to_owned(), |most| most.to_string())),
            Cell::number(&key.waiting),
            Cell::new(key.oldest.map_or_else(|| "-".to_owned(), |at| when::relative(at, now))),
            Cell::new(next.map_or_else(|| "-".to_owned(), |at| when::relative(at, now))),
        ]);
    }
    table.render(style)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_limit_of_runs_shows_what_it_says_of_them() {
        let list: Vec<LimitView> = serde_json::from_value(json!([
            { "name": "one", "workflow": "digest", "key": "run.subject", "most": 1, "hold": "live", "when_full": "cancel_newest",
              "version": 1, "changed_by": "ada", "changed_at": "2026-11-22T06:00:00Z" },
            { "name": "quiet", "workflow": "digest", "debounce": { "quiet_ms": 1500 }, "expires_ms": 60000,
              "version": 2, "changed_by": "ada", "changed_at": "2026-11-22T06:00:00Z" },
        ]))
        .unwrap();
        let text = limits(&list, "2026-11-22T06:00:02Z".parse().unwrap(), Style::default());
        let expected = "\
NAME   OF      KEY          AT ONCE  RATE  RUNS                                      TURNS  BY   SINCE
one    digest  run.subject        1  -     cancel_newest, live                       -      ada  2 s ago
quiet  digest  -                  -  -     after 1.5 s of quiet, waits 60 s at most  -      ada  2 s ago
";
        assert_eq!(text, expected);
    }

    #[test]
    fn keys_show_what_they_have_and_when_the_next_may_begin() {
        let list: Vec<LimitKeyView> = serde_json::from_value(json!([
            { "key": "a.example", "most": 2, "running": 2, "waiting": 10, "oldest": "2026-11-22T06:00:00Z" },
            { "key": "", "running": 0, "waiting": 1, "oldest": "2026-11-22T06:00:01Z", "cooled_until": "2026-11-22T06:05:02Z" },
        ]))
        .unwrap();
        let text = keys(&list, "2026-11-22T06:00:02Z".parse().unwrap(), Style::default());
        let expected = "\
KEY        RUNNING  OF  WAITING  OLDEST   NEXT
a.example        2   2       10  2 s ago  -
-                0   -        1  1 s ago  in 5 min
";
        assert_eq!(text, expected);
    }
}
