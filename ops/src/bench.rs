//! `valet bench`: load, engine, worker, Postgres and Redis as separate processes, real fsync, checked in SQL.
//!
//! Every step is a ticket or a hand-over, a finish and a commit. After each round the database is asked whether every
//! run succeeded, every step has one accepted result, and no journal has a gap; a mismatch ends with exit code 1.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::settings::Settings;

mod bounds;
mod check;
mod copy;
mod forms;
mod line;
mod load;
mod meter;
mod report;
mod scenario;
mod seeder;
mod stack;

use scenario::Scenario;
use stack::Fault;

/// What to measure.
#[derive(Subcommand)]
pub enum BenchCommand {
    /// Runs of some no-op steps, all at once: steps per second
    Steps(BenchArgs),
    /// Runs of some no-op steps at a steady rate: time from trigger to completion
    Latency(BenchArgs),
    /// Runs that wait for a signal: start, memory, restart of the engine, release of all
    Parked(BenchArgs),
    /// One run with many children: time until all are started, and until all have ended
    Fanout(BenchArgs),
    /// Runs by idempotency keys, each with children by keys, at random over some keys
    Keyed(BenchArgs),
    /// Runs under a limit of 10 for each of many keys, then under one of 1 for all: steps per second; from one run's end to the next one's
    Limits(BenchArgs),
    /// A long backlog in one queue: memory of Redis, throughput against a short one, pause
    Backlog(BenchArgs),
    /// An engine and a worker with nothing to do: CPU and statements
    Idle(BenchArgs),
    /// Runs triggered over HTTP one by one
    Api(BenchArgs),
    /// A worker fails, then the engine is killed: time until their work goes on
    Recovery(BenchArgs),
    /// Schedules that are due in the same minute: from the minute to the first journal entry of each one's run
    Schedules(BenchArgs),
    /// Saved pages whose controls people have labelled: how many the agent understands, and how fast
    Forms(forms::FormsArgs),
    /// Fill a database with finished runs and their journals; then pages of `runs list`
    Seed(SeedArgs),
}

/// How to measure.
#[derive(Args, Clone)]
pub struct BenchArgs {
    /// How many: runs of a round; children of `fanout`; ready steps of `backlog`; schedules
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    runs: Option<u32>,
    /// No-op steps of a run
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000))]
    steps: Option<u32>,
    /// Runs started a second (latency)
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rate: u32,
    /// Measure from the request to the answer with the run's output, not by the instants that the database holds (latency)
    #[arg(long)]
    wait: bool,
    /// Connections that start runs
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=4096))]
    conns: u32,
    /// Rounds; the median is reported, of recovery the longest
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: Option<u32>,
    /// Worker's slots: steps in flight. A step that does nothing needs many before commits are shared by many
    #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=4096))]
    slots: u32,
    /// Keys to draw from (keyed, limits)
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    keys: u32,
    /// Seconds of quiet (idle)
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=3600))]
    seconds: u32,
    /// What happens to the worker (recovery)
    #[arg(long, value_enum, default_value_t)]
    fault: Fault,
    /// Each step comes by its ticket, none with the finish before it
    #[arg(long)]
    no_hand_over: bool,
    #[command(flatten)]
    place: PlaceArgs,
}

/// Where the servers' data lie.
#[derive(Args, Clone, Default)]
pub struct PlaceArgs {
    /// Keep the servers' data here and go on with what is there; without it they are thrown away
    #[arg(long, visible_alias = "keep", value_name = "DIR")]
    dir: Option<PathBuf>,
    /// A setting of Postgres over the usual ones, to compare engines under the same ones; may be repeated
    #[arg(long = "postgres", value_name = "NAME=VALUE", value_parser = setting)]
    postgres: Vec<(String, String)>,
}

impl PlaceArgs {
    fn postgres_settings(&self) -> BTreeMap<String, String> {
        self.postgres.iter().cloned().collect()
    }
}

/// What to fill a database with.
#[derive(Args, Clone)]
pub struct SeedArgs {
    /// Finished runs to add
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    finished: u32,
    /// No-op steps of a run
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    steps: u32,
    /// Weeks over which they are spread, up to now; history is partitioned by week
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=520))]
    weeks: u32,
    /// Connections that fill
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=64))]
    conns: u32,
    #[command(flatten)]
    place: PlaceArgs,
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("a setting is NAME=VALUE, such as shared_buffers=1GB")?;
    let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'.');
    if !is_name {
        return Err(format!("`{name}` is not the name of a setting"));
    }
    Ok((name.to_owned(), value.to_owned()))
}

/// Runs a scenario.
pub async fn run(command: BenchCommand, settings: &Settings, json: bool) -> u8 {
    let outcome = match command {
        BenchCommand::Forms(args) => return forms::run(&args, settings, json).await,
        BenchCommand::Steps(args) => scenario::run(Scenario::Steps, &args, settings).await,
        BenchCommand::Latency(args) => scenario::run(Scenario::Latency, &args, settings).await,
        BenchCommand::Parked(args) => scenario::run(Scenario::Parked, &args, settings).await,
        BenchCommand::Fanout(args) => scenario::run(Scenario::Fanout, &args, settings).await,
        BenchCommand::Keyed(args) => scenario::run(Scenario::Keyed, &args, settings).await,
        BenchCommand::Limits(args) => scenario::run(Scenario::Limits, &args, settings).await,
        BenchCommand::Backlog(args) => scenario::run(Scenario::Backlog, &args, settings).await,
        BenchCommand::Idle(args) => scenario::run(Scenario::Idle, &args, settings).await,
        BenchCommand::Api(args) => scenario::run(Scenario::Api, &args, settings).await,
        BenchCommand::Recovery(args) => scenario::run(Scenario::Recovery, &args, settings).await,
        BenchCommand::Schedules(args) => scenario::run(Scenario::Schedules, &args, settings).await,
        BenchCommand::Seed(args) => scenario::seed::run(&args, settings).await,
    };
    match outcome {
        Ok(outcome) => {
            if json {
                println!("{}", outcome.to_json());
            } else {
                println!("{}", outcome.to_text());
            }
            u8::from(!outcome.is_consistent())
        }
        Err(error) => {
            eprintln!("error: {error}");
            2
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_of_postgres_is_a_name_and_a_value() {
        assert_eq!(setting("shared_buffers=1GB"), Ok(("shared_buffers".to_owned(), "1GB".to_owned())));
        assert_eq!(setting("a=b=c").map(|(_, value)| value), Ok("b=c".to_owned()));
        for wrong in ["fsync", "=off", "a b=1", "x';--=1"] {
            assert!(setting(wrong).is_err(), "{wrong}");
        }
    }
}
