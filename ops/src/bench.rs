//! `valet bench`: load, engine, worker, Postgres and Redis as separate processes, real fsync, checked in SQL.
//!
//! Every step is a ticket or a hand-over, a finish and a commit. After each round the database is asked whether every
//! run succeeded, every step has one accepted result, and no journal has a gap; a mismatch ends with exit code 1.

use clap::{Args, Subcommand};

use crate::settings::Settings;

mod load;
mod measure;
mod report;
mod stack;

/// What to measure.
#[derive(Subcommand)]
pub enum BenchCommand {
    /// Runs of some no-op steps, all at once: steps per second
    Steps(BenchArgs),
    /// Runs of some no-op steps at a steady rate: time from trigger to completion
    Latency(BenchArgs),
}

/// How to measure.
#[derive(Args, Clone)]
pub struct BenchArgs {
    /// Runs of a round
    #[arg(long)]
    runs: Option<u32>,
    /// No-op steps of a run
    #[arg(long, default_value_t = 5)]
    steps: u32,
    /// Runs started a second (latency)
    #[arg(long, default_value_t = 20)]
    rate: u32,
    /// Connections that start runs
    #[arg(long, default_value_t = 64)]
    conns: u32,
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Worker's slots
    #[arg(long, default_value_t = 256)]
    slots: u32,
}

/// Runs a scenario.
pub async fn run(command: BenchCommand, settings: &Settings, json: bool) -> u8 {
    let (scenario, args) = match command {
        BenchCommand::Steps(args) => (measure::Scenario::Steps, args),
        BenchCommand::Latency(args) => (measure::Scenario::Latency, args),
    };
    match measure::run(scenario, &args, settings).await {
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
