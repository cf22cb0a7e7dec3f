//! Rounds: load, wait, count, ask the database whether it all adds up.

use std::collections::BTreeMap;

use sqlx::postgres::PgPoolOptions;
use tokio::time::Instant;

use super::BenchArgs;
use super::load::{Load, until_done};
use super::report::{Check, Latency, Outcome, Round};
use super::stack::{BenchError, Processes};
use crate::settings::Settings;

/// What is measured.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    Steps,
    Latency,
}

impl Scenario {
    fn name(self) -> &'static str {
        match self {
            Self::Steps => "steps",
            Self::Latency => "latency",
        }
    }
}

/// Runs that warm caches and plans up before the first round.
const WARM_UP_RUNS: u32 = 500;

pub async fn run(scenario: Scenario, args: &BenchArgs, settings: &Settings) -> Result<Outcome, BenchError> {
    let given = matches!(settings.source("client.url"), Some(source) if *source != crate::settings::Source::Default);
    if given {
        // Against a given engine nothing is started; the database is still asked, so its address must be known.
        let refused = |e: crate::settings::SettingsError| BenchError::Refused(e.to_string());
        let token = settings.secret_file("tokens.api_file").map_err(refused)?;
        let database = settings.text("database.url").map_err(refused)?;
        let url = settings.text("client.url").map_err(refused)?;
        let target = Target { url, token: &token, database, pids: Vec::new() };
        return rounds(scenario, args, &target).await;
    }
    let processes = Processes::start(args.slots).await?;
    let target = Target {
        url: &processes.url,
        token: &processes.token,
        database: processes.stack.database_url(),
        pids: processes.pids(),
    };
    let outcome = rounds(scenario, args, &target).await;
    processes.stop().await?;
    outcome
}

struct Target<'a> {
    url: &'a str,
    token: &'a str,
    database: &'a str,
    pids: Vec<(&'static str, u32)>,
}

async fn rounds(scenario: Scenario, args: &BenchArgs, target: &Target<'_>) -> Result<Outcome, BenchError> {
    let pool = PgPoolOptions::new().max_connections(2).connect(target.database).await?;
    let load = Load::new(target.url, target.token, args.steps, args.conns)?;
    let runs = args.runs.unwrap_or(match scenario {
        Scenario::Steps => 10_000,
        Scenario::Latency => args.rate * 20,
    });
    load.all_at_once(WARM_UP_RUNS.min(runs), args.conns).await?;
    until_done(&pool).await?;
    let mut outcome = Outcome::new(scenario.name(), settings_of(&pool).await?);
    for (name, value) in
        [("runs", runs), ("steps", args.steps), ("conns", args.conns), ("rate", args.rate), ("slots", args.slots)]
    {
        outcome.settings.insert(name.to_owned(), value.to_string());
    }
    for _ in 0..args.rounds {
        outcome.rounds.push(round(scenario, args, runs, &load, &pool, target).await?);
    }
    outcome.rss_mb = target.pids.iter().map(|(name, pid)| ((*name).to_owned(), rss_mb(*pid))).collect();
    Ok(outcome)
}

async fn round(
    scenario: Scenario,
    args: &BenchArgs,
    runs: u32,
    load: &Load,
    pool: &sqlx::PgPool,
    target: &Target<'_>,
) -> Result<Round, BenchError> {
    let since: chrono::DateTime<chrono::Utc> = sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(pool).await?;
    let cpu_before: BTreeMap<&str, f64> = target.pids.iter().map(|(name, pid)| (*name, cpu_s(*pid))).collect();
    let started = Instant::now();
    match scenario {
        Scenario::Steps => load.all_at_once(runs, args.conns).await?,
        Scenario::Latency => load.steadily(runs, args.rate).await?,
    }
    until_done(pool).await?;
    let seconds = started.elapsed().as_secs_f64();
    let steps = f64::from(runs) * f64::from(args.steps);
    let cpu_us_per_step = target
        .pids
        .iter()
        .map(|(name, pid)| ((*name).to_owned(), (cpu_s(*pid) - cpu_before[name]) * 1e6 / steps))
        .collect();
    Ok(Round {
        seconds,
        steps_per_s: steps / seconds,
        runs_per_s: f64::from(runs) / seconds,
        latency_ms: latency(pool, since).await?,
        cpu_us_per_step,
        check: check(pool, since, runs, args.steps).await?,
    })
}

/// From the first journal entry to the last commit's instant, as stored.
async fn latency(pool: &sqlx::PgPool, since: chrono::DateTime<chrono::Utc>) -> Result<Latency, BenchError> {
    let row: (Option<f64>, Option<f64>, Option<f64>, Option<f64>) = sqlx::query_as(
        "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY ms), percentile_cont(0.95) WITHIN GROUP (ORDER BY ms),
                percentile_cont(0.99) WITHIN GROUP (ORDER BY ms), max(ms)
         FROM (SELECT extract(epoch FROM ended_at - created_at)::float8 * 1000 AS ms
               FROM finished_runs WHERE workflow = 'bench' AND created_at >= $1) AS t",
    )
    .bind(since)
    .fetch_one(pool)
    .await?;
    let zero = |value: Option<f64>| value.unwrap_or_default();
    Ok(Latency { p50: zero(row.0), p95: zero(row.1), p99: zero(row.2), max: zero(row.3) })
}

/// Runs succeeded, one accepted result a step, no gap in a journal, nothing left behind.
async fn check(
    pool: &sqlx::PgPool,
    since: chrono::DateTime<chrono::Utc>,
    runs: u32,
    steps: u32,
) -> Result<Check, BenchError> {
    let (succeeded, accepted, gaps): (i64, i64, i64) = sqlx::query_as(
        "WITH mine AS (SELECT id, revision, status FROM finished_runs WHERE workflow = 'bench' AND created_at >= $1),
              told AS (SELECT m.id, m.revision, count(j.run_id) AS chunks, min(j.revision) AS first,
                              max(j.revision) AS last, sum(j.accepted) AS accepted
                       FROM mine m LEFT JOIN journal j ON j.run_id = m.id GROUP BY m.id, m.revision)
         SELECT (SELECT count(*) FROM mine WHERE status = 'succeeded'),
                (SELECT coalesce(sum(accepted), 0)::bigint FROM told),
                (SELECT count(*) FROM told WHERE chunks <> revision OR first <> 1 OR last <> revision)",
    )
    .bind(since)
    .fetch_one(pool)
    .await?;
    let (left_steps, left_timers): (i64, i64) =
        sqlx::query_as("SELECT (SELECT count(*) FROM steps), (SELECT count(*) FROM timers)").fetch_one(pool).await?;
    Ok(Check {
        wanted_runs: i64::from(runs),
        succeeded,
        wanted_results: i64::from(runs) * i64::from(steps),
        accepted,
        gaps,
        left: left_steps + left_timers,
    })
}

/// What makes figures comparable: versions, and that nothing is traded for speed.
async fn settings_of(pool: &sqlx::PgPool) -> Result<BTreeMap<String, String>, BenchError> {
    let rows: Vec<(String, String)> = sqlx::query_as(
        "SELECT name, setting FROM pg_settings
         WHERE name IN ('fsync', 'synchronous_commit', 'server_version', 'shared_buffers', 'full_page_writes')",
    )
    .fetch_all(pool)
    .await?;
    let mut settings: BTreeMap<String, String> = rows.into_iter().collect();
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    settings.insert("cores".to_owned(), cores.to_string());
    settings.insert("valet".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
    Ok(settings)
}

/// CPU seconds of a process and its children (Postgres works in children), from /proc.
fn cpu_s(pid: u32) -> f64 {
    tree(pid).into_iter().map(own_cpu_s).sum()
}

fn own_cpu_s(pid: u32) -> f64 {
    let Some(fields) = stat_fields(pid) else { return 0.0 };
    let ticks: f64 = [11, 12].iter().filter_map(|i| fields.get(*i)?.parse::<f64>().ok()).sum();
    // Linux counts in hundredths of a second on every machine that Valet runs on (sysconf(_SC_CLK_TCK)).
    ticks / 100.0
}

/// The fields of /proc/PID/stat after the program's name, which may hold spaces.
fn stat_fields(pid: u32) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(text.rsplit_once(") ")?.1.split(' ').map(ToOwned::to_owned).collect())
}

fn tree(root: u32) -> Vec<u32> {
    let mut found = vec![root];
    let Ok(entries) = std::fs::read_dir("/proc") else { return found };
    for entry in entries.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let parent = stat_fields(pid).and_then(|fields| fields.get(1)?.parse::<u32>().ok());
        if parent == Some(root) {
            found.push(pid);
        }
    }
    found
}

fn rss_mb(pid: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("Pss:"));
    let kb = line.and_then(|line| line.split_whitespace().nth(1)).and_then(|kb| kb.parse::<f64>().ok());
    kb.unwrap_or_default() / 1024.0
}
