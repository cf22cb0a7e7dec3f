//! What work cost: CPU and memory of processes from /proc, statements and log from Postgres, memory from Redis.
//!
//! Statements are counted by `pg_stat_statements` where the server has it: it costs one update of shared memory a statement, and a
//! saturated engine sends a few hundred a second.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use redis::AsyncCommands as _;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

use super::bounds::REDIS_ANSWER_MAX;
use super::report::Round;
use super::stack::BenchError;

/// The claims' statement begins with this.
const CLAIMS: &str = "-- The database grants";

/// Reads counters.
pub struct Meter {
    pool: PgPool,
    /// The superuser's view, where statements are counted.
    statements: Option<PgPool>,
}

/// Counters at an instant.
pub struct Reading {
    at: Instant,
    cpu_s: BTreeMap<&'static str, (BTreeSet<u32>, f64)>,
    wal_bytes: f64,
    statements: Option<(f64, f64)>,
}

/// A process, or several of a kind.
pub type Pids = Vec<(&'static str, u32)>;

impl Meter {
    pub async fn new(pool: PgPool, admin_url: Option<&str>) -> Self {
        let statements = match admin_url {
            Some(url) => counting(url).await.ok(),
            None => None,
        };
        Self { pool, statements }
    }

    /// Before the servers stop.
    pub async fn close(&self) {
        if let Some(statements) = &self.statements {
            statements.close().await;
        }
    }

    pub async fn read(&self, pids: &Pids) -> Result<Reading, BenchError> {
        let wal = "/* valet bench */ SELECT (pg_current_wal_insert_lsn() - '0/0')::float8";
        let wal_bytes = sqlx::query_scalar(wal).fetch_one(&self.pool).await?;
        let statements = match &self.statements {
            Some(admin) => Some(
                sqlx::query_as(
                    "SELECT coalesce(sum(calls), 0)::float8, coalesce(sum(rows) FILTER (WHERE starts_with(query, $1)), 0)::float8
                     FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid
                     WHERE d.datname = 'valet' AND NOT starts_with(query, '/* valet bench */')",
                )
                .bind(CLAIMS)
                .fetch_one(admin)
                .await?,
            ),
            None => None,
        };
        let mut cpu_s: BTreeMap<&'static str, (BTreeSet<u32>, f64)> = BTreeMap::new();
        for (name, pid) in pids {
            let of = cpu_s.entry(name).or_default();
            of.0.insert(*pid);
            of.1 += tree(*pid).into_iter().map(own_cpu_s).sum::<f64>();
        }
        Ok(Reading { at: Instant::now(), cpu_s, wal_bytes, statements })
    }

    /// Adds to a round what was spent between two readings on `steps` steps.
    pub fn per_step(before: &Reading, after: &Reading, steps: f64, round: &mut Round) {
        if steps <= 0.0 {
            return;
        }
        let cpu = spent(before, after).into_iter().map(|(name, s)| (name, s * 1e6 / steps));
        round.processes.insert("cpu_us_per_step", cpu.collect());
        round.figures.insert("wal_bytes_per_step", (after.wal_bytes - before.wal_bytes) / steps);
        if let (Some((calls, claims)), Some((calls_after, claims_after))) = (before.statements, after.statements) {
            round.figures.insert("statements_per_step", (calls_after - calls) / steps);
            let claimed = (claims_after - claims).min(steps);
            round.figures.insert("claimed", claimed);
            // What was not claimed came with the finish before it.
            round.figures.insert("handed_over", steps - claimed);
        }
    }

    /// Adds what was spent between two readings by the time between them.
    pub fn per_time(before: &Reading, after: &Reading, round: &mut Round) {
        let seconds = (after.at - before.at).as_secs_f64();
        let cpu = spent(before, after).into_iter().map(|(name, s)| (name, s / seconds));
        round.processes.insert("cpu_share", cpu.collect());
        round.figures.insert("wal_bytes_per_min", (after.wal_bytes - before.wal_bytes) / seconds * 60.0);
        if let (Some((calls, _)), Some((calls_after, _))) = (before.statements, after.statements) {
            round.figures.insert("statements_per_min", (calls_after - calls) / seconds * 60.0);
        }
    }
}

/// CPU seconds of processes that lived through both readings.
fn spent(before: &Reading, after: &Reading) -> BTreeMap<String, f64> {
    let same = after.cpu_s.iter().filter_map(|(name, (pids, s))| {
        let (pids_before, s_before) = before.cpu_s.get(name)?;
        // Children of Postgres come and go: what ended took its time along.
        (pids == pids_before).then(|| ((*name).to_owned(), (s - s_before).max(0.0)))
    });
    same.collect()
}

async fn counting(url: &str) -> Result<PgPool, sqlx::Error> {
    let admin = PgPoolOptions::new().max_connections(1).connect(url).await?;
    sqlx::query("CREATE EXTENSION IF NOT EXISTS pg_stat_statements").execute(&admin).await?;
    // Refused where the library was not loaded at the server's start.
    sqlx::query("SELECT 1 FROM pg_stat_statements LIMIT 1").execute(&admin).await?;
    Ok(admin)
}

/// Memory of processes in MB, shared pages by their share.
pub fn rss_mb(pids: &Pids) -> BTreeMap<String, f64> {
    let mut all: BTreeMap<String, f64> = BTreeMap::new();
    for (name, pid) in pids {
        *all.entry((*name).to_owned()).or_default() += tree(*pid).into_iter().map(own_pss_mb).sum::<f64>();
    }
    all
}

/// What Redis holds, in MB.
pub async fn redis_mb(url: &str) -> Result<f64, BenchError> {
    let ask = async {
        let client = redis::Client::open(url)?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        let info: String = redis::cmd("INFO").arg("memory").query_async(&mut connection).await?;
        let _: redis::RedisResult<()> = connection.ping().await;
        Ok::<_, redis::RedisError>(info)
    };
    let answered = tokio::time::timeout(REDIS_ANSWER_MAX, ask).await;
    let info = answered.map_err(|_| BenchError::Refused("Redis did not answer".to_owned()))??;
    let used =
        info.lines().find_map(|line| line.strip_prefix("used_memory:")).and_then(|n| n.trim().parse::<f64>().ok());
    used.map(|bytes| bytes / 1e6).ok_or_else(|| BenchError::Refused("Redis does not say what it uses".to_owned()))
}

/// CPU seconds of a process and of its children that have ended, from /proc.
fn own_cpu_s(pid: u32) -> f64 {
    let Some(fields) = stat_fields(pid) else { return 0.0 };
    let ticks: f64 = [11, 12, 13, 14].iter().filter_map(|i| fields.get(*i)?.parse::<f64>().ok()).sum();
    // Linux counts in hundredths of a second on every machine that Valet runs on (sysconf(_SC_CLK_TCK)).
    ticks / 100.0
}

/// The fields of /proc/PID/stat after the program's name, which may hold spaces.
fn stat_fields(pid: u32) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(text.rsplit_once(") ")?.1.split(' ').map(ToOwned::to_owned).collect())
}

/// A process and its children: Postgres works in them.
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

fn own_pss_mb(pid: u32) -> f64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with("Pss:"));
    let kb = line.and_then(|line| line.split_whitespace().nth(1)).and_then(|kb| kb.parse::<f64>().ok());
    kb.unwrap_or_default() / 1024.0
}
