//! Fills a database with finished runs, then reads pages of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection as _, PgConnection, PgPool};
use tokio::task::JoinSet;
use tokio::time::Instant;
use valet_engine::codec::MasterKeys;

use super::settings_of;
use crate::bench::SeedArgs;
use crate::bench::load::Load;
use crate::bench::meter::rss_mb;
use crate::bench::report::{Check, Latency, Outcome, Round};
use crate::bench::seeder::{BATCH_RUNS, Seeder, Share, WEEK};
use crate::bench::stack::{BenchError, Processes};
use crate::settings::{Settings, Source};

/// Journals that are opened and followed with their code.
const FOLLOWED: i64 = 500;
/// Pages that are read of each kind.
const PAGES: u32 = 300;
const WEEK_S: i64 = 7 * 24 * 3600;
/// What every run has, and what none has: one request looks at no more of them than it may.
const FILTERS: [(&str, &str); 5] = [
    ("p99_ms_of_a_workflow", "&workflow=bench"),
    ("p99_ms_of_a_subject", "&subject=bench"),
    ("p99_ms_of_a_strange_workflow", "&workflow=strange"),
    ("p99_ms_of_a_strange_subject", "&subject=strange"),
    ("p99_ms_of_a_strange_attribute", "&attributes=%7B%22site%22:%22strange%22%7D"),
];

pub async fn run(args: &SeedArgs, settings: &Settings) -> Result<Outcome, BenchError> {
    let is_given = !matches!(settings.source("database.url"), None | Some(Source::Default));
    if is_given && args.place.dir.is_none() {
        let masters = crate::roles::master_keys::read(settings)?;
        let url = settings.text("database.url")?;
        crate::roles::engine::migrate_database(settings).await.map_err(|e| BenchError::Refused(e.to_string()))?;
        let pool = PgPoolOptions::new().max_connections(2).connect(url).await?;
        let mut outcome = Outcome::new("seed", described(args, &pool).await?);
        outcome.rounds.push(fill(args, url, &masters).await?);
        return Ok(outcome);
    }
    // An engine brings the schema, and answers pages afterwards.
    let processes = Processes::start(&args.place, 1, true).await?;
    let outcome = kept(args, &processes).await;
    processes.stop().await?;
    outcome
}

async fn kept(args: &SeedArgs, processes: &Processes) -> Result<Outcome, BenchError> {
    let url = processes.place.stack.database_url();
    let secrets = std::fs::read_to_string(processes.place.folder.join("secret.key"))?;
    let masters = MasterKeys::parse(&secrets)
        .ok_or_else(|| BenchError::Refused("secret.key in the folder holds no key".to_owned()))?;
    let pool = PgPoolOptions::new().max_connections(2).connect(url).await?;
    let mut outcome = Outcome::new("seed", described(args, &pool).await?);
    let mut round = fill(args, url, &masters).await?;
    let load = Load::new(&processes.url, &processes.token, 1)?;
    round.latency_ms = pages(&load, "").await?;
    for (name, filter) in FILTERS {
        if let Some(latency) = pages(&load, filter).await? {
            round.figures.insert(name, latency.p99);
        }
    }
    round.processes.insert("rss_mb", rss_mb(&processes.pids()));
    outcome.rounds.push(round);
    pool.close().await;
    Ok(outcome)
}

async fn described(args: &SeedArgs, pool: &PgPool) -> Result<BTreeMap<String, String>, BenchError> {
    let mut settings = settings_of(pool).await?;
    for (name, value) in
        [("finished", args.finished), ("steps", args.steps), ("weeks", args.weeks), ("conns", args.conns)]
    {
        settings.insert(name.to_owned(), value.to_string());
    }
    Ok(settings)
}

/// One week's share of the runs.
#[derive(Clone, Copy)]
struct Week {
    begin: DateTime<Utc>,
    runs: u32,
    apart: TimeDelta,
}

/// Adds the runs, over several connections; each batch is a transaction.
async fn fill(args: &SeedArgs, url: &str, masters: &MasterKeys) -> Result<Round, BenchError> {
    let seeder = Seeder::new(url, masters, args.steps).await?;
    let mut connection = PgConnection::connect(url).await?;
    let (size_before, (runs_before, results_before)) = (size(&mut connection).await?, count(&mut connection).await?);
    let began = Instant::now();
    let now = sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(&mut connection).await?;
    let weeks = weeks(args, now);
    for week in &weeks {
        let number = week.begin.timestamp() / WEEK_S;
        sqlx::query("SELECT ensure_week($1)").bind(number as i32).execute(&mut connection).await?;
    }
    let batches: Arc<Vec<(Week, Share)>> = Arc::new(weeks.iter().flat_map(|week| shares(*week)).collect());
    let next = Arc::new(AtomicU32::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..args.conns {
        let (seeder, url, batches) = (seeder.clone(), url.to_owned(), Arc::clone(&batches));
        let next = Arc::clone(&next);
        tasks.spawn(async move {
            let mut connection = PgConnection::connect(&url).await?;
            while let Some((week, share)) = batches.get(next.fetch_add(1, Ordering::AcqRel) as usize) {
                seeder.finished(&mut connection, *share, week.begin, week.apart).await?;
            }
            connection.close().await?;
            Ok::<_, BenchError>(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.map_err(|e| BenchError::Refused(e.to_string()))??;
    }
    let fill_s = began.elapsed().as_secs_f64();
    // What would otherwise begin by itself while something is measured.
    for table in ["VACUUM (ANALYZE) journal", "VACUUM (ANALYZE) finished_runs"] {
        sqlx::query(table).execute(&mut connection).await?;
    }
    let seconds = began.elapsed().as_secs_f64();
    let bytes = (size(&mut connection).await? - size_before) as f64;
    let finished = f64::from(args.finished);
    let misfits = seeder.misfits(&mut connection, FOLLOWED).await?;
    let (succeeded, accepted) = count(&mut connection).await?;
    let gaps = gaps(&mut connection).await?;
    connection.close().await?;
    let results = i64::from(args.finished) * i64::from(args.steps);
    let mut round = Round {
        seconds,
        check: Check {
            wanted_runs: i64::from(args.finished),
            succeeded: succeeded - runs_before,
            wanted_results: results,
            accepted: accepted - results_before,
            gaps,
            left: misfits,
        },
        ..Round::default()
    };
    let figures = [
        ("runs_per_s", finished / seconds),
        ("fill_s", fill_s),
        ("database_mb", bytes / 1e6),
        ("bytes_per_run", bytes / finished),
        ("minutes_of_10_million", seconds / finished * 1e7 / 60.0),
        ("gb_of_10_million", bytes / finished * 1e7 / 1e9),
    ];
    round.figures.extend(figures);
    Ok(round)
}

/// Over whole weeks before this one, and this one up to now.
fn weeks(args: &SeedArgs, now: DateTime<Utc>) -> Vec<Week> {
    let this = now.timestamp() / WEEK_S;
    let each = args.finished.div_ceil(args.weeks);
    let mut left = args.finished;
    let mut weeks = Vec::new();
    for back in (0..i64::from(args.weeks)).rev() {
        let runs = each.min(left);
        left -= runs;
        let Some(begin) = DateTime::from_timestamp((this - back) * WEEK_S, 0) else { continue };
        // Not beyond now, and a little before, so that what is measured next is the newest.
        let long = if back == 0 { (now - begin - TimeDelta::minutes(1)).max(TimeDelta::zero()) } else { WEEK };
        let apart = long / i32::try_from(runs.max(1)).unwrap_or(i32::MAX);
        weeks.push(Week { begin, runs, apart });
    }
    weeks
}

fn shares(week: Week) -> Vec<(Week, Share)> {
    let firsts = (0..week.runs).step_by(BATCH_RUNS as usize);
    firsts.map(|first| (week, Share { first, runs: BATCH_RUNS.min(week.runs - first), of: week.runs })).collect()
}

async fn size(connection: &mut PgConnection) -> Result<i64, BenchError> {
    Ok(sqlx::query_scalar("SELECT pg_database_size(current_database())").fetch_one(connection).await?)
}

/// Runs that succeeded, and results in journals.
async fn count(connection: &mut PgConnection) -> Result<(i64, i64), BenchError> {
    let query = sqlx::query_as(
        "SELECT (SELECT count(*) FROM finished_runs WHERE status = 'succeeded'),
                (SELECT coalesce(sum(accepted), 0)::bigint FROM journal)",
    );
    Ok(query.fetch_one(connection).await?)
}

/// Of a sample of ended runs, those whose journal is not whole.
async fn gaps(connection: &mut PgConnection) -> Result<i64, BenchError> {
    let query = sqlx::query_scalar(
        "SELECT count(*) FROM (
             SELECT f.revision, j.chunks, j.first, j.last
             FROM (SELECT id, revision FROM finished_runs WHERE tenant = 'default' ORDER BY created_at DESC LIMIT 100000) f
             CROSS JOIN LATERAL (SELECT count(*) AS chunks, min(revision) AS first, max(revision) AS last
                                 FROM journal WHERE run_id = f.id) j) t
         WHERE chunks <> revision OR first IS DISTINCT FROM 1 OR last <> revision",
    );
    Ok(query.fetch_one(connection).await?)
}

/// From the newest on, page by page.
async fn pages(load: &Load, filter: &str) -> Result<Option<Latency>, BenchError> {
    let (mut took, mut cursor) = (Vec::new(), None);
    for _ in 0..PAGES {
        let (page, next) = load.page(filter, cursor.as_deref()).await?;
        took.push(page.as_secs_f64() * 1000.0);
        // From the beginning again behind the last.
        cursor = next;
    }
    Ok(Latency::of(took))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::PlaceArgs;

    #[test]
    fn weeks_hold_all_runs_and_none_of_the_future() {
        let args = SeedArgs { finished: 100_003, steps: 1, weeks: 4, conns: 1, place: PlaceArgs::default() };
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let weeks = weeks(&args, now);
        assert_eq!(weeks.iter().map(|week| week.runs).sum::<u32>(), args.finished);
        for week in &weeks {
            let last = week.begin + week.apart * week.runs as i32;
            assert!(last <= now && last - week.begin <= WEEK);
            assert_eq!(week.begin.timestamp() % WEEK_S, 0, "a run's id names the week in which it began");
            let shares = shares(*week);
            assert_eq!(shares.iter().map(|(_, share)| share.runs).sum::<u32>(), week.runs);
        }
    }
}
