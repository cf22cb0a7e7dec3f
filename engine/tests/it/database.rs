//! One private Postgres for the whole test binary, and a database of its own for each test.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection as _, PgConnection, PgPool};
use tokio::sync::OnceCell;
use valet_engine::store::postgres::migrate;
use valet_stack::Stack;

/// The servers, and the watch that ends them once this process is gone. A static is never dropped.
struct Servers {
    stack: Stack,
    _watch: Child,
}

static SERVERS: OnceCell<Servers> = OnceCell::const_new();
static DATABASES: AtomicU32 = AtomicU32::new(0);

async fn servers() -> &'static Servers {
    SERVERS
        .get_or_init(|| async {
            let stack = Stack::temporary(false).await.expect("the private servers start");
            let watch = watch(&stack).expect("a shell");
            Servers { stack, _watch: watch }
        })
        .await
}

/// Waits for the end of its input, which is the end of this process however it ends; then ends what was started here.
fn watch(stack: &Stack) -> io::Result<Child> {
    const SCRIPT: &str = "cat >/dev/null; kill -INT $1 $2 2>/dev/null; \
        for i in $(seq 100); do kill -0 $1 2>/dev/null || kill -0 $2 2>/dev/null || break; sleep 0.1; done; rm -rf \"$3\"";
    let pids = stack.pids();
    let (postgres, redis) = (pids.postgres.expect("it runs"), pids.redis.expect("it runs"));
    // Redis works in DIR/data/redis.
    let cwd = std::fs::read_link(format!("/proc/{redis}/cwd"))?;
    let dir = cwd.ancestors().nth(2).ok_or(io::ErrorKind::NotFound)?;
    Command::new("sh")
        .args(["-c", SCRIPT, "watch", &postgres.to_string(), &redis.to_string()])
        .arg(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // Not ended together with the tests by a Ctrl-C.
        .process_group(0)
        .spawn()
}

/// The URL of a new, empty database: the first is there already.
pub async fn empty() -> String {
    let stack = &servers().await.stack;
    match DATABASES.fetch_add(1, Ordering::Relaxed) {
        0 => stack.database_url().to_owned(),
        count => stack.create_database(&format!("t{count}")).await.expect("a database"),
    }
}

/// The URL of a new database with this build's schema.
pub async fn migrated() -> String {
    let url = empty().await;
    migrate(&url).await.expect("migrations");
    url
}

pub async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.expect("a connection")
}

pub async fn pool(url: &str) -> PgPool {
    PgPoolOptions::new().max_connections(4).connect(url).await.expect("a pool")
}

/// Asks again and again until `found` says so; a property that never comes about fails the test.
pub async fn until<T>(what: &str, found: impl AsyncFnMut() -> Option<T>) -> T {
    until_within(Duration::from_secs(20), what, found).await
}

pub async fn until_within<T>(limit: Duration, what: &str, mut found: impl AsyncFnMut() -> Option<T>) -> T {
    let began = tokio::time::Instant::now();
    loop {
        if let Some(value) = found().await {
            return value;
        }
        assert!(began.elapsed() < limit, "waited in vain for: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
