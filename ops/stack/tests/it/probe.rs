//! Asking the servers and the system, the same way in every test.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tempfile::TempDir;
use valet_stack::{Stack, StackConfig};

/// No condition here takes more than a fraction of this.
const PATIENCE: Duration = Duration::from_mins(1);

/// A directory that the servers' user can enter, as a checkout's usually is.
pub fn open_dir() -> TempDir {
    dir_of_mode(0o755)
}

pub fn dir_of_mode(mode: u32) -> TempDir {
    use std::os::unix::fs::PermissionsExt;
    tempfile::Builder::new()
        .prefix("stack-test-")
        .permissions(std::fs::Permissions::from_mode(mode))
        .tempdir()
        .expect("a temporary directory")
}

/// Quick settings, with everything that might be written elsewhere kept below `dir`.
pub fn config(dir: &Path) -> StackConfig {
    StackConfig {
        durable: false,
        shared_buffers_mb: 32,
        closed_home_root: dir.join("elsewhere"),
        ..StackConfig::new(dir.join("valet"))
    }
}

pub async fn start(dir: &Path) -> Stack {
    Stack::start(config(dir)).await.expect("the stack starts")
}

pub async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.expect("Postgres answers")
}

pub async fn run(url: &str, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut connect(url).await).await.expect("the statement runs");
}

pub async fn text(url: &str, sql: &str) -> String {
    sqlx::query_scalar(AssertSqlSafe(sql.to_owned()))
        .fetch_one(&mut connect(url).await)
        .await
        .expect("the query answers")
}

pub async fn redis<T: redis::FromRedisValue>(url: &str, words: &[&str]) -> redis::RedisResult<T> {
    let mut connection = redis::Client::open(url)?.get_multiplexed_async_connection().await?;
    let mut command = redis::cmd(words[0]);
    for word in &words[1..] {
        command.arg(*word);
    }
    command.query_async(&mut connection).await
}

/// Zombies have ended: the test's own process may not have reaped them yet.
pub fn runs(pid: u32) -> bool {
    status(pid, "State").is_some_and(|state| !state.starts_with('Z'))
}

/// A line of `/proc/PID/status`.
pub fn status(pid: u32, name: &str) -> Option<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let prefix = format!("{name}:");
    let line = text.lines().find_map(|line| line.strip_prefix(&prefix))?;
    Some(line.trim().to_owned())
}

pub async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "gave up waiting until {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Where everything lies, links followed.
pub fn home(dir: &Path) -> PathBuf {
    std::fs::canonicalize(dir.join("valet/data")).expect("the home is there")
}
