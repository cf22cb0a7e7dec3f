//! Commits: applied once even if their answer is lost, refused one by one, and free of deadlocks.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;
use uuid::Uuid;
use valet_core::command::{Command, StartRun};
use valet_core::decide::{CodeUse, Machine};
use valet_core::id::{Attempt, LeaseId, RunId, Seq, SessionId};
use valet_core::transition::Transition;
use valet_core::{Payload, Registry};
use valet_engine::bounds::SESSION_LEASE;
use valet_engine::codec::MasterKey;
use valet_engine::ports::{Clock as _, Entropy as _, Machine as Ports};
use valet_engine::store::postgres::PgStore;
use valet_engine::store::{
    Beat, CommitBatch, DueStore as _, LeaseStore as _, Loaded, NewSession, RunStore as _, SessionClaim, SessionKind,
    StoreError,
};

use super::app::{SECRET, TestApp};
use super::calls::Call;
use super::proxy::Proxy;
use super::{database, workflows};

async fn store(url: &str, writers: usize) -> Arc<PgStore> {
    PgStore::connect(url, MasterKey::new(&SECRET), writers).await.expect("a store")
}

fn new_run() -> RunId {
    RunId::root(Ports.now(), Ports.bytes())
}

fn start(workflow: &str, input: &serde_json::Value) -> StartRun {
    let [tenant, subject, workflow, plan] = ["acme", "ada", workflow, "free"].map(ToOwned::to_owned);
    StartRun::new(tenant, subject, workflow, plan, Payload::of(input).expect("JSON"))
}

/// The first transition of a run.
fn started(run: RunId, start: StartRun, registry: &Registry) -> Arc<Transition> {
    let mut machine = Machine::create(run, &start, Ports.now(), registry, CodeUse::Recorded);
    let decision = machine.decide(vec![Command::Start(Box::new(start))], Ports.now(), registry);
    Arc::new(decision.transition.expect("a transition"))
}

fn batch(transitions: Vec<Arc<Transition>>) -> CommitBatch {
    CommitBatch { id: Uuid::now_v7(), transitions, deeds: Vec::new(), backlogged: Arc::new(HashSet::new()) }
}

/// What a stored run does with a command; `None`: nothing.
async fn decided(store: &PgStore, run: RunId, command: Command, registry: &Registry) -> Option<Arc<Transition>> {
    let (_, loaded) = store.load(&[run]).await.expect("a load").pop()?;
    let (Loaded::Live(stored) | Loaded::Ended(stored)) = loaded;
    let mut machine = Machine::rebuild(stored, registry, CodeUse::Recorded);
    machine.decide(vec![command], Ports.now(), registry).transition.map(Arc::new)
}

async fn journal_rows(store: &PgStore, run: RunId) -> i64 {
    let count = sqlx::query_scalar("SELECT count(*) FROM journal WHERE run_id = $1").bind(run.0);
    count.fetch_one(store.pool()).await.expect("a count")
}

fn signal(key: &str) -> Command {
    Command::Signal { name: "go".to_owned(), key: key.to_owned(), payload: Payload::null() }
}

/// The writer's own connection is ended by the server while its commit waits for a lock.
#[tokio::test]
async fn a_commit_whose_connection_is_killed_before_it_is_sent_again_and_applies_once() {
    let (url, registry) = (database::migrated().await, workflows::registry());
    let store = store(&url, 1).await;
    let run = new_run();
    let batch = Arc::new(batch(vec![started(run, start("listen", &json!({ "count": 1 })), &registry)]));
    // Partitions and keys are made beforehand, so that the commit itself is what waits.
    store.tidy(Ports.now()).await.expect("partitions");
    store.seal_for("acme", "ada", b"x").await.expect("a key");

    let pool = database::pool(&url).await;
    let mut lock = pool.begin().await.expect("a transaction");
    sqlx::query("LOCK TABLE journal IN ACCESS EXCLUSIVE MODE").execute(&mut *lock).await.expect("the lock");
    let (sender, sent) = (Arc::clone(&store), Arc::clone(&batch));
    let committing = tokio::spawn(async move { sender.commit(0, &sent).await });
    let waiting = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let pid: i32 = database::until("the commit waits", async || {
        sqlx::query_scalar(waiting).fetch_optional(&pool).await.expect("an answer")
    })
    .await;
    let killed: bool =
        sqlx::query_scalar("SELECT pg_terminate_backend($1)").bind(pid).fetch_one(&pool).await.expect("an answer");
    assert!(killed);
    let told = committing.await.expect("no panic");
    assert!(matches!(&told, Err(error) if error.is_transient()), "{told:?}");
    lock.rollback().await.expect("the lock is let go");

    assert_eq!(journal_rows(&store, run).await, 0);
    assert_eq!(store.commit(0, &batch).await.expect("the second time"), HashSet::from([run]));
    assert_eq!(store.commit(0, &batch).await.expect("the third time"), HashSet::from([run]), "the first answer again");
    assert_eq!(journal_rows(&store, run).await, 1);
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_found_by_its_id() {
    let (url, registry) = (database::migrated().await, workflows::registry());
    let proxy = Proxy::in_front_of(&url);
    let store = store(&proxy.url, 1).await;
    let (first, run) = (new_run(), new_run());
    let of = |run| batch(vec![started(run, start("listen", &json!({ "count": 9 })), &registry)]);
    store.commit(0, &of(first)).await.expect("a commit");
    let batch = of(run);
    proxy.lose_answers(1);
    let told = store.commit(0, &batch).await;
    assert!(matches!(&told, Err(error) if error.is_transient()), "{told:?}");
    assert_eq!((proxy.lost(), journal_rows(&store, run).await), (1, 1), "it happened, and nobody was told");

    // Meanwhile another engine moves the run on: what the batch says is what it committed, not what is there now.
    let next = decided(&store, run, signal("a"), &registry).await.expect("a transition");
    store.commit(0, &self::batch(vec![next])).await.expect("a commit");
    assert_eq!(store.commit(0, &batch).await.expect("the second time"), HashSet::from([run]));
    assert_eq!(journal_rows(&store, run).await, 2, "nothing was applied twice");
}

/// The same through a whole engine: callers are answered once, and nothing is lost or doubled.
#[tokio::test]
async fn an_engine_that_loses_answers_and_requests_tells_its_callers_the_truth() {
    let url = database::migrated().await;
    let proxy = Proxy::in_front_of(&url);
    let app = TestApp::on(&proxy.url).await;
    // Both writers have prepared their statement once these are in.
    for _ in 0..8 {
        app.start_run("ask", &json!({})).await;
    }
    let before = app.runs_stored().await;
    proxy.lose_answers(3);
    proxy.lose_requests(3);
    let posts = (0..40).map(|n| {
        let call = Call::post("/api/v1/workflows/ask/runs").json(&json!({ "input": {} }));
        app.send(call.key(&n.to_string()))
    });
    for answer in futures::future::join_all(posts).await {
        answer.expect(201);
    }
    assert!(proxy.lost() >= 2, "some were lost: {}", proxy.lost());
    proxy.lose_answers(0);
    proxy.lose_requests(0);
    assert_eq!(app.runs_stored().await - before, 40);
    let gaps = "SELECT count(*) FROM runs r WHERE revision <> (SELECT count(*) FROM journal j WHERE j.run_id = r.id)";
    assert_eq!(sqlx::query_scalar::<_, i64>(gaps).fetch_one(app.pool()).await.expect("a count"), 0);
}

#[tokio::test]
async fn a_stale_transition_refuses_only_itself() {
    let (url, registry) = (database::migrated().await, workflows::registry());
    let store = store(&url, 1).await;
    let runs: Vec<RunId> = (0..5).map(|_| new_run()).collect();
    let all = runs.iter().map(|run| started(*run, start("listen", &json!({ "count": 9 })), &registry)).collect();
    assert_eq!(store.commit(0, &batch(all)).await.expect("a commit").len(), 5);
    let mut next = Vec::new();
    for run in &runs {
        next.push(decided(&store, *run, signal("a"), &registry).await.expect("a transition"));
    }
    let moved_on = decided(&store, runs[2], signal("b"), &registry).await.expect("a transition");
    store.commit(0, &batch(vec![moved_on])).await.expect("a commit");
    let committed = store.commit(0, &batch(next)).await.expect("a commit");
    let expected: HashSet<RunId> = runs.iter().copied().filter(|run| *run != runs[2]).collect();
    assert_eq!(committed, expected);
    assert_eq!(journal_rows(&store, runs[2]).await, 2);
}

#[tokio::test]
async fn the_same_run_is_not_started_twice() {
    let (url, registry) = (database::migrated().await, workflows::registry());
    let store = store(&url, 1).await;
    let run = new_run();
    let of = || batch(vec![started(run, start("listen", &json!({ "count": 9 })), &registry)]);
    assert_eq!(store.commit(0, &of()).await.expect("a commit").len(), 1);
    assert_eq!(store.commit(0, &of()).await.expect("a commit").len(), 0);
    assert_eq!(journal_rows(&store, run).await, 1);
}

// ---- stress ----------------------------------------------------------------------------------------------------------

const RUNS: usize = 16;
const STEPS: u32 = 6;
const ROUNDS: usize = 60;

/// A run of several steps at once that also hears signals.
mod crowd {
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};
    use valet_core::{Context, Step, StepPolicy, Stop, Workflow};

    #[derive(Serialize, Deserialize)]
    pub struct Busy {
        pub n: u32,
    }

    impl Step for Busy {
        const NAME: &'static str = "busy";
        type Output = ();

        fn policy() -> StepPolicy {
            StepPolicy::default().attempts(1_000_000)
        }
    }

    #[derive(Serialize, Deserialize, JsonSchema)]
    pub struct Nothing {}

    pub struct Crowd;

    impl Workflow for Crowd {
        const NAME: &'static str = "crowd";
        type Input = Nothing;
        type Output = ();

        async fn run(ctx: Context, _: Nothing) -> Result<(), Stop> {
            let steps = (1..=super::STEPS).map(|n| ctx.step(Busy { n })).collect();
            ctx.all(steps).await;
            Ok(())
        }
    }
}

/// What a deadlock or a serialization failure looks like from outside. All other errors are no less a surprise here.
#[track_caller]
fn fine<T>(told: Result<T, StoreError>) -> T {
    told.unwrap_or_else(|error| panic!("{error}"))
}

/// A claim of every step that is there, as the rows say; some of the attempts are guessed wrong.
fn claims(
    dice: &mut StdRng,
    runs: &[RunId],
    session: SessionId,
    attempts: &[(RunId, Seq, Attempt)],
) -> Vec<SessionClaim> {
    let mut claims: Vec<SessionClaim> = attempts
        .iter()
        .filter(|_| dice.random_bool(0.5))
        .map(|(run, seq, attempt)| SessionClaim {
            session,
            run: *run,
            seq: *seq,
            attempt: *attempt,
            lease: LeaseId(Uuid::now_v7()),
        })
        .collect();
    let run = runs[dice.random_range(0..runs.len())];
    claims.push(SessionClaim { session, run, seq: Seq(1), attempt: Attempt(99), lease: LeaseId(Uuid::now_v7()) });
    claims.shuffle(dice);
    claims
}

async fn live_steps(store: &PgStore) -> Vec<(RunId, Seq, Attempt, Option<Uuid>)> {
    let rows = sqlx::query_as::<_, (Uuid, i32, i32, Option<Uuid>)>("SELECT run_id, seq, attempt, lease_id FROM steps");
    let rows = rows.fetch_all(store.pool()).await.expect("rows");
    rows.into_iter().map(|(run, seq, n, lease)| (RunId(run), Seq(seq as u32), Attempt(n as u32), lease)).collect()
}

async fn open(store: &PgStore, kind: SessionKind) -> SessionId {
    let id = SessionId(Uuid::now_v7());
    let (name, queues) = ("stress".to_owned(), vec!["default".to_owned()]);
    let (tenant, lease) = (None, Duration::from_mins(1));
    let session = NewSession { id, kind, tenant, name, queues, slots: 9, labels: json!({}), lease };
    fine(store.open_session(&session).await);
    id
}

/// Commits over overlapping runs, each batch in an order of its own.
async fn write(store: Arc<PgStore>, writer: usize, seed: u64, runs: Vec<RunId>, registry: Registry) -> usize {
    let mut dice = StdRng::seed_from_u64(seed);
    let mut committed = 0;
    for round in 0..ROUNDS {
        let mut chosen = runs.clone();
        chosen.shuffle(&mut dice);
        let mut transitions = Vec::new();
        let steps = live_steps(&store).await;
        for run in &chosen[..8] {
            let granted = steps.iter().find(|(of, .., lease)| of == run && lease.is_some());
            let command = match (dice.random_range(0..6), granted) {
                (0, _) => Command::Pause { by: "a".to_owned() },
                (1 | 2, _) => Command::Unpause { by: "a".to_owned() },
                (3 | 4, Some((_, seq, attempt, Some(lease)))) => {
                    let (outcome, lease) = (valet_core::Outcome::HandedBack, LeaseId(*lease));
                    let finish = valet_core::command::FinishStep {
                        seq: *seq,
                        attempt: *attempt,
                        lease,
                        session: SessionId(Uuid::nil()),
                        outcome,
                        hand_over: None,
                        costs: Vec::new(),
                    };
                    Command::Finish(Box::new(finish))
                }
                _ => signal(&format!("{seed}-{round}")),
            };
            transitions.extend(decided(&store, *run, command, &registry).await);
        }
        let found = fine(store.commit(writer, &batch(transitions)).await);
        committed += found.len();
    }
    committed
}

/// Claims, heartbeats, ticks and tickets, which touch the same rows without a revision.
async fn lease(store: Arc<PgStore>, seed: u64, runs: Vec<RunId>) -> usize {
    let mut dice = StdRng::seed_from_u64(seed);
    let session = open(&store, SessionKind::Worker).await;
    let engine = open(&store, SessionKind::Engine).await;
    let mut granted = 0;
    for _ in 0..ROUNDS {
        let steps = live_steps(&store).await;
        let attempts: Vec<_> = steps.iter().map(|(run, seq, attempt, _)| (*run, *seq, *attempt)).collect();
        let verdicts = fine(store.claim(&claims(&mut dice, &runs, session, &attempts)).await);
        granted += verdicts.iter().filter(|v| matches!(v, valet_engine::store::ClaimVerdict::Granted { .. })).count();
        let mut held: Vec<LeaseId> = steps.iter().filter_map(|(.., lease)| lease.map(LeaseId)).collect();
        held.shuffle(&mut dice);
        held.truncate(held.len() / 2);
        let beat = Beat {
            session,
            lease: SESSION_LEASE,
            free_slots: 1,
            draining: false,
            held,
            progress: Vec::new(),
            refreshed: Vec::new(),
            spoken: Vec::new(),
        };
        fine(store.heartbeat(&beat).await);
        fine(store.tick(engine, SESSION_LEASE, 1).await);
        fine(store.lost_tickets(&["default".to_owned()], Duration::ZERO).await);
        fine(store.top_up("default", 50).await);
    }
    granted
}

/// Two engines' stores, eight writers, two leasers, sixteen runs that they all want: no deadlock, no serialization
/// failure, and every journal without a gap.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_and_claimers_over_the_same_runs_never_deadlock() {
    let (url, registry) = (database::migrated().await, workflows::registry().with::<crowd::Crowd>());
    let stores = [store(&url, 4).await, store(&url, 4).await];
    let runs: Vec<RunId> = (0..RUNS).map(|_| new_run()).collect();
    let all = runs.iter().map(|run| started(*run, start("crowd", &json!({})), &registry)).collect();
    assert_eq!(fine(stores[0].commit(0, &batch(all)).await).len(), RUNS);
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut writers = Vec::new();
    for n in 0..8 {
        let store = Arc::clone(&stores[n % 2]);
        writers.push(tokio::spawn(write(store, n / 2, seed.wrapping_add(n as u64), runs.clone(), registry.clone())));
    }
    let mut leasers = Vec::new();
    for (n, store) in stores.iter().enumerate() {
        leasers.push(tokio::spawn(lease(Arc::clone(store), seed.wrapping_add(100 + n as u64), runs.clone())));
    }
    let (mut committed, mut granted) = (0, 0);
    for writer in writers {
        committed += writer.await.expect("no panic");
    }
    for leaser in leasers {
        granted += leaser.await.expect("no panic");
    }
    assert!(committed > ROUNDS && granted > 0, "{committed} commits, {granted} grants: they did something");
    let rows: i64 =
        sqlx::query_scalar("SELECT count(*) FROM journal").fetch_one(stores[0].pool()).await.expect("count");
    assert_eq!(rows as usize, RUNS + committed, "each committed transition left one row, and no other did");
    let gaps = "SELECT count(*) FROM runs r WHERE revision <> (SELECT count(*) FROM journal j WHERE j.run_id = r.id)";
    assert_eq!(sqlx::query_scalar::<_, i64>(gaps).fetch_one(stores[0].pool()).await.expect("a count"), 0);
}
