//! Rounds: load, wait, count, ask the database whether it all adds up.

use std::collections::BTreeMap;

use serde_json::json;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio::time::Instant;
use valet_workflows::bench::BenchInput;

use super::BenchArgs;
use super::bounds::WARM_UP_RUNS;
use super::check::{Wanted, check, latency, now};
use super::load::{Load, Start, Started, until_done};
use super::meter::{Meter, Pids, rss_mb};
use super::report::{Latency, Outcome, Round};
use super::stack::{BenchError, Processes};
use crate::settings::{Settings, Source};

mod backlog;
mod crowd;
mod idle;
mod limits;
mod parked;
mod recovery;
mod schedules;
pub mod seed;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    Steps,
    Latency,
    Parked,
    Fanout,
    Keyed,
    Limits,
    Backlog,
    Idle,
    Api,
    Recovery,
    Schedules,
}

impl Scenario {
    fn name(self) -> &'static str {
        match self {
            Self::Steps => "steps",
            Self::Latency => "latency",
            Self::Parked => "parked",
            Self::Fanout => "fanout",
            Self::Keyed => "keyed",
            Self::Limits => "limits",
            Self::Backlog => "backlog",
            Self::Idle => "idle",
            Self::Api => "api",
            Self::Recovery => "recovery",
            Self::Schedules => "schedules",
        }
    }

    /// Where nothing else is asked for: how many, of how many steps, how often.
    fn usual(self, args: &BenchArgs) -> (u32, u32, u32) {
        match self {
            Self::Steps | Self::Limits => (10_000, 5, 3),
            Self::Latency => (args.rate.saturating_mul(20), 5, 3),
            Self::Parked => (100_000, 2, 1),
            Self::Fanout => (20_000, 1, 1),
            Self::Backlog => (1_000_000, 1, 1),
            Self::Idle => (0, 1, 1),
            Self::Keyed | Self::Api => (10_000, 1, 3),
            Self::Recovery => (args.slots.min(200), 1, 3),
            Self::Schedules => (1_000, 1, 1),
        }
    }

    /// Kills or restarts what it measures, so that it must have started it.
    fn needs_own_processes(self) -> bool {
        matches!(self, Self::Parked | Self::Recovery | Self::Backlog)
    }
}

/// A scenario at work.
struct Bench<'a> {
    args: &'a BenchArgs,
    runs: u32,
    steps: u32,
    load: Load,
    pool: PgPool,
    meter: Meter,
    /// Absent where an engine was given.
    processes: Option<&'a mut Processes>,
}

pub async fn run(scenario: Scenario, args: &BenchArgs, settings: &Settings) -> Result<Outcome, BenchError> {
    let is_given = |key| !matches!(settings.source(key), None | Some(Source::Default));
    if is_given("client.url") {
        if scenario.needs_own_processes() {
            let name = scenario.name();
            return Err(BenchError::Refused(format!(
                "`bench {name}` kills or fills what it measures: unset VALET_URL, so that it starts its own"
            )));
        }
        // Against a given engine nothing is started; the database is still asked, so its address must be known.
        let token = settings.secret_file("tokens.api_file")?;
        let (url, database) = (settings.text("client.url")?, settings.text("database.url")?);
        let load = Load::new(url, &token, args.conns)?;
        return rounds(scenario, args, load, database, None, None).await;
    }
    let mut processes = Processes::start(&args.place, args.slots, !args.no_hand_over).await?;
    let load = Load::new(&processes.url, &processes.token, args.conns)?;
    let database = processes.place.stack.database_url().to_owned();
    let admin = processes.place.stack.admin_url().map(ToOwned::to_owned);
    let outcome = rounds(scenario, args, load, &database, admin.as_deref(), Some(&mut processes)).await;
    processes.stop().await?;
    outcome
}

async fn rounds(
    scenario: Scenario,
    args: &BenchArgs,
    load: Load,
    database: &str,
    admin: Option<&str>,
    processes: Option<&mut Processes>,
) -> Result<Outcome, BenchError> {
    let pool = PgPoolOptions::new().max_connections(2).connect(database).await?;
    let (runs, steps, rounds) = scenario.usual(args);
    let (runs, steps) = (args.runs.unwrap_or(runs), args.steps.unwrap_or(steps));
    let rounds = args.rounds.unwrap_or(rounds);
    let meter = Meter::new(pool.clone(), admin).await;
    let mut outcome = Outcome::new(scenario.name(), settings_of(&pool).await?);
    for (name, value) in [
        ("runs", runs),
        ("steps", steps),
        ("conns", args.conns),
        ("rate", args.rate),
        ("slots", args.slots),
        ("keys", args.keys),
    ] {
        outcome.settings.insert(name.to_owned(), value.to_string());
    }
    outcome.settings.insert("hand_over".to_owned(), (!args.no_hand_over).to_string());
    if scenario == Scenario::Recovery {
        outcome.settings.insert("fault".to_owned(), format!("{:?}", args.fault));
    }
    let mut bench = Bench { args, runs, steps, load, pool, meter, processes };
    bench.warm_up().await?;
    for _ in 0..rounds {
        outcome.rounds.push(match scenario {
            Scenario::Steps => bench.saturated().await?,
            Scenario::Latency => bench.steady().await?,
            Scenario::Api => bench.api().await?,
            Scenario::Keyed => bench.keyed().await?,
            Scenario::Limits => bench.limits().await?,
            Scenario::Fanout => bench.fan_out().await?,
            Scenario::Parked => bench.parked().await?,
            Scenario::Backlog => bench.backlog().await?,
            Scenario::Idle => bench.idle().await?,
            Scenario::Recovery => bench.recovery().await?,
            Scenario::Schedules => bench.schedules().await?,
        });
    }
    bench.meter.close().await;
    bench.pool.close().await;
    Ok(outcome)
}

impl Bench<'_> {
    fn pids(&self) -> Pids {
        self.processes.as_ref().map(|processes| processes.pids()).unwrap_or_default()
    }

    fn own(&mut self) -> Result<&mut Processes, BenchError> {
        self.processes.as_deref_mut().ok_or_else(|| BenchError::Refused("this needs processes of its own".to_owned()))
    }

    fn starts(count: u32, input: &BenchInput) -> Vec<Start> {
        vec![Start { input: json!(input), key: None }; count as usize]
    }

    fn no_ops(&self, count: u32) -> Vec<Start> {
        Self::starts(count, &BenchInput { steps: self.steps, ..BenchInput::default() })
    }

    /// Runs that warm caches and plans up.
    async fn warm_up(&self) -> Result<(), BenchError> {
        let input = BenchInput { steps: self.steps.min(5), ..BenchInput::default() };
        self.load.all_at_once(Self::starts(WARM_UP_RUNS, &input), self.args.conns).await?;
        until_done(&self.pool).await
    }

    /// Runs of no-op steps, all at once.
    async fn saturated(&self) -> Result<Round, BenchError> {
        let (since, before, began) = self.begin().await?;
        self.load.all_at_once(self.no_ops(self.runs), self.args.conns).await?;
        until_done(&self.pool).await?;
        let mut round = self.end(before, began, Wanted::of(self.runs, self.steps), since).await?;
        round.latency_ms = latency(&self.pool, since).await?;
        Ok(round)
    }

    /// The same at a steady rate.
    async fn steady(&self) -> Result<Round, BenchError> {
        let (since, before, began) = self.begin().await?;
        let started = self.load.steadily(self.no_ops(self.runs), self.args.rate, self.args.wait).await?;
        until_done(&self.pool).await?;
        let mut round = self.end(before, began, Wanted::of(self.runs, self.steps), since).await?;
        round.latency_ms = if self.args.wait { answers(&started) } else { latency(&self.pool, since).await? };
        Ok(round)
    }

    /// How fast runs are triggered, each connection the next once its last was answered. The latency is the answer's.
    async fn api(&self) -> Result<Round, BenchError> {
        let (since, before, began) = self.begin().await?;
        let started = self.load.all_at_once(self.no_ops(self.runs), self.args.conns).await?;
        let start_s = began.elapsed().as_secs_f64();
        until_done(&self.pool).await?;
        let mut round = self.end(before, began, Wanted::of(self.runs, self.steps), since).await?;
        round.figures.insert("start_s", start_s);
        round.figures.insert("runs_per_s", f64::from(self.runs) / start_s);
        round.latency_ms = answers(&started);
        Ok(round)
    }

    async fn begin(&self) -> Result<(chrono::DateTime<chrono::Utc>, super::meter::Reading, Instant), BenchError> {
        let since = now(&self.pool).await?;
        let before = self.meter.read(&self.pids()).await?;
        Ok((since, before, Instant::now()))
    }

    /// What the round took, by step, and whether it adds up.
    async fn end(
        &self,
        before: super::meter::Reading,
        began: Instant,
        wanted: Wanted,
        since: chrono::DateTime<chrono::Utc>,
    ) -> Result<Round, BenchError> {
        let seconds = began.elapsed().as_secs_f64();
        let after = self.meter.read(&self.pids()).await?;
        let mut round = Round { seconds, ..Round::default() };
        let steps = wanted.results as f64;
        Meter::per_step(&before, &after, steps, &mut round);
        if wanted.runs > 0 {
            round.figures.insert("steps_per_s", steps / seconds);
            round.figures.insert("runs_per_s", wanted.runs as f64 / seconds);
        }
        round.processes.insert("rss_mb", rss_mb(&self.pids()));
        round.check = check(&self.pool, since, wanted).await?;
        Ok(round)
    }
}

/// How long answers took.
fn answers(started: &[Started]) -> Option<Latency> {
    Latency::of(started.iter().map(|run| run.answer.as_secs_f64() * 1000.0).collect())
}

/// What makes figures comparable: versions, and that nothing is traded for speed.
async fn settings_of(pool: &PgPool) -> Result<BTreeMap<String, String>, BenchError> {
    let rows: Vec<(String, String)> = sqlx::query_as(
        "/* valet bench */ SELECT name, current_setting(name) FROM pg_settings
         WHERE name IN ('fsync', 'synchronous_commit', 'server_version', 'shared_buffers', 'full_page_writes', 'max_wal_size')",
    )
    .fetch_all(pool)
    .await?;
    let mut settings: BTreeMap<String, String> = rows.into_iter().collect();
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    settings.insert("cores".to_owned(), cores.to_string());
    settings.insert("valet".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
    let build = if cfg!(debug_assertions) { "debug" } else { "release" };
    settings.insert("build".to_owned(), build.to_owned());
    Ok(settings)
}
