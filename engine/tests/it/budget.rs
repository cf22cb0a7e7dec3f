//! What a step costs, counted and not timed: statements and round trips to Postgres, log, commands to Redis. A loaded machine gives
//! the same numbers. Instructions of the core: `engine/core/examples/step_cost.rs`.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redis::AsyncCommands as _;
use serde_json::{Value, json};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use uuid::Uuid;
use valet_core::workflow::Door;
use valet_engine::access::Role;
use valet_engine::blobs::Blobs;
use valet_engine::bounds::{CACHE_BYTES_MAX, WRITERS};
use valet_engine::codec::MasterKey;
use valet_engine::engine::{Engine, Parts, Threading};
use valet_engine::http::{App, AppConfig, FixedToken, Limits, Rate, router};
use valet_engine::ports::Machine;
use valet_engine::store::postgres::{PgStore, migrate};
use valet_outward::OutwardConfig;
use valet_queue::{ApalisRedis, ApalisRedisConfig, QueueName, TicketPull, TicketSource as _};
use valet_stack::Stack;

use super::app::SECRET;
use super::calls::{Call, PEOPLE, WORKER};
use super::worker::bare;

const STEPS: u32 = 5;
/// Runs of one measurement: what time drives is small beside them.
const RUNS: u32 = 60;
/// Runs that go through their steps together.
const TOGETHER: u32 = 60;

/// What one step may cost. Of the five steps of a run the first comes by a ticket, four with the finish before them.
struct Budget {
    /// Commits and claims a step. One at a time a run is 7 statements: its start's commit, one claim, five finishes' commits, the last of
    /// which ends the run. Together, what queues up while a commit runs is the next: the fewer the slower the disk.
    statements: f64,
    /// Bytes of log a step: the journal's row with its sealed entries, the step's row deleted and the next one inserted with its indexes,
    /// the run's row updated; a fifth of a run's start and end (both rows of the run, the audit's row) and of a claim's update; a share
    /// of each commit: its batch's row and commit record. No images of pages, which depend on checkpoints. Seen: 1,760 alone, 1,550
    /// together, where commits are shared.
    wal_bytes: f64,
    /// Commands to Redis a ticket, scripts' own included: MULTI, HSET twice, RPUSH, PUBLISH, EXEC to push it; SREM, HDEL, DEL to
    /// forget it: 9, fewer where several go together. The rest is room for what pullers write of themselves by time. Fetches are left
    /// out: how often a queue is polled depends on time. A fifth of them a step.
    redis_per_ticket: f64,
}

const ALONE: Budget = Budget { statements: 1.4, wal_bytes: 2_000.0, redis_per_ticket: 12.0 };
const CROWDED: Budget = Budget { statements: 0.7, wal_bytes: 1_900.0, redis_per_ticket: 12.0 };

/// Counted so far.
#[derive(Clone, Debug, Default)]
struct Counts {
    /// By the statement's beginning.
    statements: BTreeMap<&'static str, f64>,
    wal_bytes: f64,
    round_trips: u64,
    redis: f64,
}

/// An engine on servers that count, seen through a socket that counts.
struct Bench {
    router: axum::Router,
    tickets: Box<dyn TicketPull>,
    session: String,
    admin: PgConnection,
    redis: redis::aio::MultiplexedConnection,
    socket: Counting,
    engine: Arc<Engine<PgStore>>,
    _files: TempDir,
    stack: Stack,
}

/// The statements that carry steps, by how they begin.
const COMMIT: &str = "-- One commit:";
const CLAIM: &str = "-- The database grants";

#[tokio::test(flavor = "multi_thread")]
async fn a_step_stays_within_its_budget() {
    let mut bench = Bench::start().await;
    // Plans, partitions, data keys, connections: all of them exist after this.
    bench.one_by_one(20).await;
    bench.together(TOGETHER).await;

    let before = bench.counts().await;
    bench.one_by_one(RUNS).await;
    let after = bench.counts().await;
    judge("one at a time", &before, &after, &ALONE);

    let before = bench.counts().await;
    bench.together(TOGETHER).await;
    let after = bench.counts().await;
    judge("together", &before, &after, &CROWDED);
    bench.stop().await;
}

fn judge(name: &str, before: &Counts, after: &Counts, budget: &Budget) {
    let steps = f64::from(RUNS * STEPS);
    let of = |which: &str| after.statements.get(which).unwrap_or(&0.0) - before.statements.get(which).unwrap_or(&0.0);
    let (commits, claims) = (of(COMMIT), of(CLAIM));
    let statements = (commits + claims) / steps;
    let wal_bytes = (after.wal_bytes - before.wal_bytes) / steps;
    let redis_per_ticket = (after.redis - before.redis) / f64::from(RUNS);
    let round_trips = after.round_trips - before.round_trips;
    println!(
        "{name}: {statements:.2} statements a step ({commits} commits, {claims} claims), {round_trips} round trips of theirs, \
         {wal_bytes:.0} bytes of log a step, {redis_per_ticket:.1} commands to Redis a ticket"
    );
    assert!(commits > 0.0 && claims > 0.0, "{name}: nothing was counted");
    assert!(statements <= budget.statements, "{name}: {statements:.2} statements a step");
    // No BEGIN, no COMMIT, no preparation: each statement is one.
    assert_eq!(round_trips, (commits + claims) as u64, "{name}: a statement takes more than one round trip");
    assert!(wal_bytes <= budget.wal_bytes, "{name}: {wal_bytes:.0} bytes of log a step");
    assert!(redis_per_ticket <= budget.redis_per_ticket, "{name}: {redis_per_ticket:.2} commands to Redis a ticket");
}

impl Bench {
    async fn start() -> Self {
        let settings = [
            ("shared_preload_libraries", "pg_stat_statements"),
            // What time drives.
            ("autovacuum", "off"),
            ("checkpoint_timeout", "1h"),
            ("max_wal_size", "4GB"),
            ("full_page_writes", "off"),
        ];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let stack = Stack::temporary_with(false, settings.into()).await;
        let stack = stack.expect("servers with pg_stat_statements, which is among Postgres' contributed modules");
        migrate(stack.database_url()).await.expect("migrations");
        let mut admin = PgConnection::connect(stack.admin_url().expect("a private server")).await.expect("an admin");
        sqlx::query("CREATE EXTENSION pg_stat_statements").execute(&mut admin).await.expect("the extension");
        let socket = Counting::in_front_of(stack.database_url());
        let store = PgStore::connect(&socket.url, MasterKey::new(&SECRET), WRITERS).await.expect("a store");
        let queue = ApalisRedis::new(ApalisRedisConfig::new(stack.redis_url())).expect("a queue");
        let queue_name = QueueName::new(valet_workflows::bench::QUEUE).expect("a name");
        let tickets = queue.open(&queue_name);
        let parts = Parts {
            name: "engine".to_owned(),
            store,
            queue: Arc::new(queue),
            registry: valet_workflows::registry(),
            clock: Arc::new(Machine),
            entropy: Arc::new(Machine),
            cache_bytes: CACHE_BYTES_MAX,
        };
        let engine = Engine::start(parts, Threading::Threads).await.expect("an engine");
        let files = tempfile::tempdir().expect("a directory");
        let unlimited = Rate { per_s: 0, burst: 1 };
        let config = AppConfig {
            tokens: vec![
                FixedToken::new(PEOPLE, Role::Admin, "acme", "ada"),
                FixedToken::new(WORKER, Role::Worker, "acme", "worker"),
            ],
            door: Door { allow_hosts: Vec::new() },
            blobs: Blobs::folder(files.path()).expect("a folder"),
            metrics: None,
            limits: Limits { token: unlimited, tenant: unlimited, tenant_streams: 1 },
            secure_cookies: false,
            outward: OutwardConfig::default(),
        };
        let router = router(App::new(Arc::clone(&engine), config).expect("schemas"));
        let client = redis::Client::open(stack.redis_url()).expect("a URL");
        let redis = client.get_multiplexed_async_connection().await.expect("Redis");
        let session = String::new();
        let mut bench = Self { router, tickets, session, admin, redis, socket, engine, _files: files, stack };
        let slots = TOGETHER * 2;
        let open = json!({ "protocol": 1, "name": "w", "queues": [queue_name.as_str()], "slots": slots });
        let opened = bench.post("/worker/v1/sessions", WORKER, &open).await;
        bench.session = bare(opened["session"].as_str().expect("a session"));
        bench
    }

    async fn stop(self) {
        let Self { mut tickets, engine, admin, stack, .. } = self;
        tickets.stop().await;
        engine.stop().await;
        admin.close().await.expect("closed");
        stack.stop().await.expect("the servers stop");
    }

    async fn post(&self, path: &str, token: &str, body: &Value) -> Value {
        let request = Call::post(path).token(token).json(body).into_request();
        let mut router = self.router.clone();
        let answer = tower::Service::call(&mut router, request).await.expect("a router never fails");
        let status = answer.status();
        let bytes = axum::body::to_bytes(answer.into_body(), 64 << 20).await.expect("a whole body");
        assert!(status.is_success(), "{path}: {status}: {}", String::from_utf8_lossy(&bytes));
        serde_json::from_slice(&bytes).expect("JSON")
    }

    async fn beat(&self) {
        let beat = json!({ "session": self.session, "free_slots": TOGETHER, "held": [] });
        self.post("/worker/v1/heartbeats", WORKER, &beat).await;
    }

    async fn one_by_one(&mut self, runs: u32) {
        for _ in 0..runs {
            self.together(1).await;
        }
    }

    /// Starts runs and takes all of them through their steps, a batch for each step.
    async fn together(&mut self, runs: u32) {
        self.beat().await;
        let body = json!({ "input": { "steps": STEPS }, "subject": "ada" });
        let starts = (0..runs).map(|_| self.post("/api/v1/workflows/bench/runs", PEOPLE, &body));
        futures::future::join_all(starts).await;
        let mut held = self.claim(runs).await;
        for step in 1..=STEPS {
            let finishes: Vec<Value> = held
                .iter()
                .map(|(run, seq, lease)| {
                    json!({
                        "run": run, "seq": seq, "attempt": 1, "lease": lease, "outcome": { "done": { "output": seq - 1 } },
                        "hand_over": { "lease": Uuid::now_v7(), "queue": valet_workflows::bench::QUEUE },
                    })
                })
                .collect();
            let body = json!({ "session": self.session, "finishes": finishes });
            let answers = self.post("/worker/v1/finishes", WORKER, &body).await;
            let answers = answers["answers"].as_array().expect("answers").clone();
            assert_eq!(answers.len(), held.len());
            let next: Vec<(String, u64, String)> =
                answers.iter().filter_map(|a| granted(&a["accepted"]["next"])).collect();
            let wanted = if step < STEPS { held.len() } else { 0 };
            assert_eq!(next.len(), wanted, "each finish but a run's last brings its next step: {answers:?}");
            held = next;
        }
    }

    async fn claim(&mut self, runs: u32) -> Vec<(String, u64, String)> {
        let mut delivered = Vec::new();
        while delivered.len() < runs as usize {
            let left = NonZeroUsize::new(runs as usize - delivered.len()).expect("some are left");
            let batch = timeout(Duration::from_secs(20), self.tickets.next_batch(left)).await;
            delivered.extend(batch.expect("tickets come").expect("the queue is open"));
        }
        let claims: Vec<Value> = delivered
            .iter()
            .map(|d| {
                let t = d.ticket;
                json!({ "run": t.run, "seq": t.seq, "attempt": t.attempt, "lease": Uuid::now_v7() })
            })
            .collect();
        let answers =
            self.post("/worker/v1/claims", WORKER, &json!({ "session": self.session, "claims": claims })).await;
        for ticket in delivered {
            ticket.ack.ack();
        }
        let answers = answers["answers"].as_array().expect("answers").clone();
        let held: Vec<_> = answers.iter().filter_map(|answer| granted(&answer["granted"])).collect();
        assert_eq!(held.len(), runs as usize, "all are granted: {answers:?}");
        held
    }

    /// Once acknowledgements, which go in batches of their own, are with Redis.
    async fn counts(&mut self) -> Counts {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let rows: Vec<(String, f64, f64)> = sqlx::query_as(
            "SELECT s.query, s.calls::float8, s.wal_bytes::float8
             FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid WHERE d.datname = 'valet'",
        )
        .fetch_all(&mut self.admin)
        .await
        .expect("statements");
        let mut counts = Counts::default();
        for (query, calls, wal_bytes) in rows {
            let Some(which) = [COMMIT, CLAIM].into_iter().find(|which| query.starts_with(which)) else { continue };
            *counts.statements.entry(which).or_default() += calls;
            counts.wal_bytes += wal_bytes;
        }
        counts.round_trips = self.socket.round_trips.load(Ordering::SeqCst);
        let _: () = self.redis.ping().await.expect("Redis");
        let stats: String =
            redis::cmd("INFO").arg("commandstats").query_async(&mut self.redis).await.expect("statistics");
        counts.redis = stats.lines().filter_map(calls_of_tickets).sum();
        counts
    }
}

/// The grant in an answer: run, seq, lease.
fn granted(grant: &Value) -> Option<(String, u64, String)> {
    Some((grant["run"].as_str()?.to_owned(), grant["seq"].as_u64()?, grant["lease"].as_str()?.to_owned()))
}

/// `cmdstat_hset:calls=2,usec=…`
fn calls_of_tickets(line: &str) -> Option<f64> {
    const OF_TICKETS: [&str; 8] = ["multi", "exec", "hset", "rpush", "publish", "srem", "hdel", "del"];
    let (name, figures) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
    OF_TICKETS.contains(&name).then(|| figures.split(',').next()?.parse().ok())?
}

/// A socket in front of Postgres that counts how often connections which commit or claim wait for an answer.
struct Counting {
    url: String,
    round_trips: Arc<AtomicU64>,
    serving: JoinHandle<()>,
    _dir: TempDir,
}

impl Counting {
    fn in_front_of(url: &str) -> Self {
        let options: PgConnectOptions = url.parse().expect("a URL");
        let folder = options.get_socket().expect("a Unix socket").clone();
        let name = format!(".s.PGSQL.{}", options.get_port());
        let dir = tempfile::tempdir().expect("a directory");
        let listener = UnixListener::bind(dir.path().join(&name)).expect("a socket");
        let round_trips = Arc::new(AtomicU64::new(0));
        let serving = tokio::spawn(serve(listener, folder.join(name), Arc::clone(&round_trips)));
        let encoded = |path: &str| path.replace('/', "%2F");
        let (behind, before) = (folder.to_str().expect("UTF-8"), dir.path().to_str().expect("UTF-8"));
        let url = url.replace(behind, before).replace(&encoded(behind), &encoded(before));
        assert!(url.contains(before) || url.contains(&encoded(before)), "{url} names the socket's folder");
        Self { url, round_trips, serving, _dir: dir }
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(listener: UnixListener, server: PathBuf, count: Arc<AtomicU64>) {
    while let Ok((client, _)) = listener.accept().await {
        let (server, count) = (server.clone(), Arc::clone(&count));
        tokio::spawn(async move {
            let Ok(server) = UnixStream::connect(server).await else { return };
            let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
            tokio::join!(counted(from_client, to_server, &count), copied(from_server, to_client));
        });
    }
}

async fn copied(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
    // An end is an end, whoever's it is.
    let _ = tokio::io::copy(&mut from, &mut to).await;
    let _ = to.shutdown().await;
}

/// Passes messages on; counts each Sync after the first statement that commits or claims was prepared.
async fn counted(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, count: &AtomicU64) {
    let (mut read, mut rest, mut is_greeted, mut carries_steps) = (vec![0; 64 * 1024], Vec::new(), false, false);
    while let Some(bytes) = from.read(&mut read).await.ok().filter(|n| *n > 0).map(|n| &read[..n]) {
        rest.extend_from_slice(bytes);
        // The first message has no type: its length comes at once.
        while let Some((kind, message)) = message(&rest, is_greeted) {
            let body = &rest[..message];
            carries_steps |= kind == b'P' && [COMMIT, CLAIM].iter().any(|which| contains(body, which.as_bytes()));
            if kind == b'S' && carries_steps {
                count.fetch_add(1, Ordering::SeqCst);
            }
            is_greeted = true;
            rest.drain(..message);
        }
        if to.write_all(bytes).await.is_err() {
            break;
        }
    }
    let _ = to.shutdown().await;
}

/// The kind and the whole length of the first message, once it is there.
fn message(bytes: &[u8], is_greeted: bool) -> Option<(u8, usize)> {
    let kind = usize::from(is_greeted);
    let length: [u8; 4] = bytes.get(kind..kind + 4)?.try_into().ok()?;
    let whole = kind + u32::from_be_bytes(length) as usize;
    (bytes.len() >= whole).then(|| (if is_greeted { bytes[0] } else { 0 }, whole))
}

fn contains(bytes: &[u8], what: &[u8]) -> bool {
    bytes.windows(what.len()).any(|window| window == what)
}
