//! `valet simulate`: the engine's loops under seeded faults, judged against a reference interpreter.
//!
//! Exit codes: 0 every promise was kept, 1 one was broken, 2 the command line cannot be used.

use std::io::IsTerminal;
use std::ops::Range;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use valet_simulation::{BrokenVariant, Failure, Progress, Report, SimulationConfig, run_with_progress};

/// Which histories to run.
#[derive(Args)]
pub struct SimulateCommand {
    /// How many seeds
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// First seed
    #[arg(long, value_name = "K", default_value_t = 0)]
    from: u64,
    /// One seed alone: shows a failure again
    #[arg(long, value_name = "K", conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,
    /// Run an engine that is broken on purpose: drop_fence, ack_before_commit, skip_sweep, answer_before_commit,
    /// lose_inbox_row, lose_timer, take_key_twice, ignore_gate, grant_twice or read_too_late
    #[arg(long, value_name = "NAME")]
    variant: Option<BrokenVariant>,
    /// Run all seeds even after one broke a promise
    #[arg(long)]
    keep_going: bool,
}

impl SimulateCommand {
    fn range(&self) -> Range<u64> {
        match self.seed {
            Some(seed) => seed..seed.saturating_add(1),
            None => self.from..self.from.saturating_add(self.seeds),
        }
    }
}

/// Runs the seeds on every core, with progress on a terminal.
pub fn run(command: &SimulateCommand, as_json: bool) -> u8 {
    let config = SimulationConfig {
        seeds: command.range(),
        variant: command.variant,
        stop_at_first: !command.keep_going,
        threads: None,
    };
    let bar = progress_bar(config.seeds.end - config.seeds.start);
    let report = run_with_progress(&config, |progress: Progress| bar.set_position(progress.seeds_done));
    bar.finish_and_clear();
    if as_json {
        println!("{}", as_document(&report));
    } else {
        print(&report);
    }
    u8::from(!report.failures.is_empty())
}

fn progress_bar(seeds: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{pos}/{len} seeds  {wide_bar}  {per_sec}");
    ProgressBar::new(seeds).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn print(report: &Report) {
    for failure in &report.failures {
        println!("{failure}\n");
    }
    let minutes = report.simulated.as_secs_f64() / 60.0;
    println!(
        "{} seeds, {} runs, {minutes:.0} simulated minutes in {:.1} s ({:.0} seeds/s)",
        report.seeds_done,
        report.runs,
        report.took.as_secs_f64(),
        report.seeds_per_second()
    );
    let met: Vec<String> = report.events.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
    println!("met: {}", met.join(", "));
    match report.failures.len() {
        0 => println!("every promise was kept"),
        1 => println!("1 seed broke a promise"),
        several => println!("{several} seeds broke a promise"),
    }
}

fn as_document(report: &Report) -> serde_json::Value {
    let failure = |failure: &Failure| {
        json!({
            "seed": failure.run.seed,
            "violations": failure.run.violations,
            "trace": failure.run.trace,
            "replay": failure.replay_command(),
        })
    };
    json!({
        "seeds": report.seeds_done,
        "runs": report.runs,
        "simulated_s": report.simulated.as_secs_f64(),
        "took_s": report.took.as_secs_f64(),
        "events": report.events,
        "failures": report.failures.iter().map(failure).collect::<Vec<_>>(),
    })
}
