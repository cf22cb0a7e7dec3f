//! The model of the store answers like the real one: histories of the simulation are recorded and asked of Postgres, statement by
//! statement, at the same instants. What the simulation shows of the engine over the model then holds over Postgres too.
//!
//! Not compared, because the model has none of it: tenants' data keys, notices, the audit, search attributes, roots of trees.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use sqlx::postgres::{PgPool, PgRow};
use valet_engine::audit::Deed;
use valet_engine::store::postgres::PgStore;
use valet_engine::store::{DueStore as _, LeaseStore as _, RunStore as _, StoreError};
use valet_simulation::record::{
    Call, InboxRow, KeyRow, LifeRow, LimitKeyRow, Lines, REFUSED, Recorded, Recording, RunRow, SessionRow, ShardRow,
    SlotRow, StepRow, TaskRow, TimerRow,
};
use valet_simulation::{BrokenVariant, SimulationConfig, record_seed, run};

use super::steered::{Database, Server};

/// Histories replayed; `VALET_CONFORMANCE_SEEDS` for more.
const SEEDS: u64 = 40;
/// Seeds within which every kind of call is met.
const SEEDS_TO_COVER: u64 = 1_000;
/// Seeds within which the simulation catches every broken variant (`seeds.rs`).
const SEEDS_TO_CATCH: u64 = 2_000;
/// Histories replayed at a time, each in a database of its own.
const AT_ONCE: usize = 3;
/// What these forget is lost on its way from the store, which answers as it should.
const BROKEN_ABOVE: [BrokenVariant; 2] = [BrokenVariant::LoseDefinition, BrokenVariant::ForkForgets];
/// Every kind of call that engines make by themselves, by the name of its variant. Not among them: who a run belongs to, which only
/// workers' requests over HTTP ask; and a batch that the database refuses, for the core lets no such text through.
const CALLS: [&str; 30] = [
    "AddPause",
    "Admit",
    "BackloggedQueues",
    "BeginEffect",
    "Claim",
    "CloseSession",
    "Commit",
    "Declare",
    "Definitions",
    "DiscardInbox",
    "ExpiredWaits",
    "ExtendSessions",
    "FindIdempotent",
    "Heartbeat",
    "KeysOfLife",
    "Limits",
    "Load",
    "LoadInbox",
    "Look",
    "LostTickets",
    "OpenSession",
    "Paused",
    "PutLimit",
    "RemoveLimit",
    "RemovePause",
    "TicketAgain",
    "Tick",
    "Tidy",
    "TopUp",
    "WaitingKeys",
];

#[tokio::test]
async fn the_model_and_the_real_store_answer_the_same() {
    let seeds = std::env::var("VALET_CONFORMANCE_SEEDS").ok().map_or(SEEDS, |text| text.parse().expect("a number"));
    let server = Server::start().await;
    let chosen = tokio::task::spawn_blocking(move || choose(seeds)).await.expect("no panic");
    let replays = stream::iter(&chosen).map(|seed| replay(&server, *seed, None)).buffer_unordered(AT_ONCE);
    let calls: BTreeMap<String, usize> = match replays.try_fold(BTreeMap::new(), add).await {
        Ok(calls) => calls,
        Err(difference) => panic!("{difference}"),
    };
    println!("{} statements of {} seeds: {calls:?}", calls.values().sum::<usize>(), chosen.len());
    let missing: Vec<&str> = CALLS.into_iter().filter(|call| !calls.contains_key(*call)).collect();
    assert!(missing.is_empty(), "never asked: {missing:?}");
}

/// The first `seeds`, and after them those that ask something that none before them asked.
fn choose(seeds: u64) -> Vec<u64> {
    let mut missing = BTreeSet::from(CALLS.map(ToOwned::to_owned));
    let mut chosen = Vec::new();
    for seed in 0..SEEDS_TO_COVER {
        if seed >= seeds && missing.is_empty() {
            break;
        }
        let recording = record_seed(seed, None).expect("a runtime");
        let asked: BTreeSet<String> = recording.statements.iter().map(name_of).collect();
        if seed < seeds || !missing.is_disjoint(&asked) {
            chosen.push(seed);
        }
        missing.retain(|call| !asked.contains(call));
    }
    chosen
}

async fn add(
    mut all: BTreeMap<String, usize>,
    calls: BTreeMap<String, usize>,
) -> Result<BTreeMap<String, usize>, String> {
    for (call, count) in calls {
        *all.entry(call).or_default() += count;
    }
    Ok(all)
}

/// What broke a promise of the engine is something that the real store does not do, and is seen in that very history.
#[tokio::test]
async fn every_broken_model_is_told_apart_from_the_real_store() {
    let server = Server::start().await;
    for variant in BrokenVariant::ALL.into_iter().filter(|variant| !BROKEN_ABOVE.contains(variant)) {
        let search = move || run(&SimulationConfig::seeds(0..SEEDS_TO_CATCH).broken(variant));
        let report = tokio::task::spawn_blocking(search).await.expect("no panic");
        let seed = report.failures.first().expect("the variant is caught").run.seed;
        let outcome = replay(&server, seed, Some(variant)).await;
        let difference = outcome.err().unwrap_or_else(|| panic!("{variant} went unnoticed in seed {seed}"));
        println!("{variant}: {}", difference.lines().next().unwrap_or_default());
    }
}

/// Asks the real store, in an empty database, what the model was asked. Answers how often each kind of call was among it, or how the
/// first answer that is not the model's differs.
async fn replay(server: &Server, seed: u64, variant: Option<BrokenVariant>) -> Result<BTreeMap<String, usize>, String> {
    // It has a runtime of its own.
    let recording = tokio::task::spawn_blocking(move || record_seed(seed, variant).expect("a runtime"));
    let Recording { statements, .. } = recording.await.expect("no panic");
    let name = match variant {
        None => format!("seed_{seed}"),
        Some(variant) => format!("seed_{seed}_{variant}"),
    };
    let mut database = server.database(&name).await;
    let mut calls: BTreeMap<String, usize> = BTreeMap::new();
    let mut outcome = Ok(());
    for (number, recorded) in statements.iter().enumerate() {
        if let Err(difference) = compare(&mut database, recorded).await {
            let Recorded { at, call, .. } = recorded;
            let call = told(call);
            outcome = Err(format!("seed {seed}, statement {number} at {at}: {call}\n{difference}"));
            break;
        }
        *calls.entry(name_of(recorded)).or_default() += 1;
    }
    drop(database);
    server.drop_database(&name).await;
    outcome.map(|()| calls)
}

fn name_of(recorded: &Recorded) -> String {
    format!("{:?}", recorded.call).chars().take_while(char::is_ascii_alphabetic).collect()
}

async fn compare(database: &mut Database, recorded: &Recorded) -> Result<(), String> {
    database.set_clock(recorded.at).await;
    let answer = match ask(&database.store, &recorded.call).await {
        Ok(lines) => lines,
        Err(StoreError::BadData(_)) => vec![REFUSED.to_owned()],
        Err(error) => vec![format!("failed: {error:?}")],
    };
    if recorded.answer.is_same(&answer) { Ok(()) } else { Err(recorded.answer.difference(&answer)) }
}

/// The call in a line, with all that its statement is given.
fn told(call: &Call) -> String {
    let Call::Commit(batch) = call else { return format!("{call:?}") };
    let mut text = format!("commit of {} transitions", batch.transitions.len());
    for transition in &batch.transitions {
        let _ = write!(text, "\n  {transition:?}");
    }
    text
}

async fn ask(store: &PgStore, call: &Call) -> Result<Vec<String>, StoreError> {
    Ok(match call {
        Call::Commit(batch) => store.commit(0, batch).await?.lines(),
        Call::Load(runs) => store.load(runs).await?.lines(),
        Call::Identity(run) => store.identity(*run).await?.lines(),
        Call::FindIdempotent { tenant, workflow, key } => store.find_idempotent(tenant, workflow, key).await?.lines(),
        Call::Definitions(names) => store.definitions(names).await?.lines(),
        Call::LoadInbox(to) => store.load_inbox(to).await?.lines(),
        Call::DiscardInbox { to, from, number } => store.discard_inbox(*to, *from, *number).await?.lines(),
        Call::OpenSession(session) => store.open_session(session).await?.lines(),
        Call::CloseSession(session) => store.close_session(*session).await?.lines(),
        Call::Claim(claims) => store.claim(claims).await?.lines(),
        Call::Heartbeat(beat) => store.heartbeat(beat).await?.lines(),
        Call::BeginEffect(claim) => store.begin_effect(claim).await?.lines(),
        Call::ExtendSessions(lease) => store.extend_sessions(*lease).await?.lines(),
        Call::Tick { engine, lease, build } => store.tick(*engine, *lease, *build).await?.lines(),
        Call::Paused => store.paused().await?.lines(),
        Call::BackloggedQueues => store.backlogged_queues().await?.lines(),
        Call::TopUp { queue, most } => store.top_up(queue, *most).await?.lines(),
        Call::LostTickets { queues, older_than } => store.lost_tickets(queues, *older_than).await?.lines(),
        Call::FreePlaces(queues) => store.free_places(queues).await?.lines(),
        Call::LeftTickets(placed) => store.left_tickets(placed).await?.lines(),
        Call::Tidy(at) => store.tidy(*at).await?.lines(),
        Call::AddPause(what) => store.add_pause(what, "operator", "", None).await?.map_or_else(full, |_| ().lines()),
        Call::RemovePause(what) => store.remove_pause(what, &Deed::queued(&what.tenant)).await?.lines(),
        Call::TicketAgain(what) => store.ticket_again(what).await?.lines(),
        Call::Declare(name, definition) => {
            let definition = definition.read()?;
            let put =
                store.put_declared(&name.tenant, &name.workflow, &definition, &Deed::queued(&name.tenant)).await?;
            put.map_or_else(full, |_| ().lines())
        }
        Call::PutLimit(text, figures) => {
            let put = store.put_limit(text, *figures, &Deed::queued(&text.tenant)).await?;
            put.map_or_else(full, |_| ().lines())
        }
        Call::RemoveLimit { tenant, name } => store.remove_limit(tenant, name, &Deed::queued(tenant)).await?.lines(),
        Call::Limits => store.limits().await?.lines(),
        Call::Admit { keys, backlogged } => store.admit(keys, backlogged).await?.lines(),
        Call::WaitingKeys => store.waiting_keys().await?.lines(),
        Call::KeysOfLife(ended) => store.keys_of_life(ended).await?.lines(),
        Call::ExpiredWaits => store.expired_waits().await?.lines(),
        Call::Look => look(store.pool()).await.map_err(StoreError::Database)?,
    })
}

/// A bound was met that no history comes near to.
fn full() -> Vec<String> {
    vec!["refused: too many".to_owned()]
}

/// All rows, with the columns that the model has too.
async fn look(pool: &PgPool) -> Result<Vec<String>, sqlx::Error> {
    const RUNS: &str = "
        SELECT id, false AS ended, tenant, workflow, status, paused, revision, build, waits_for_build, reason::jsonb AS reason,
               unserved_seq, status_line, error_code, figures, journal_from, updated_at AS at FROM runs
        UNION ALL
        SELECT id, true, tenant, workflow, status, false, revision, build, NULL, NULL, NULL, status_line, error_code, figures,
               journal_from, ended_at FROM finished_runs";
    const STEPS: &str = "SELECT s.*, effect_begun_at IS NOT NULL AS effect_begun FROM steps s";
    const SESSIONS: &str = "
        SELECT id, kind, name, queues, labels, slots, free_slots, draining, opened_at, seen_at,
               nullif(expires_at, '-infinity') AS expires_at FROM sessions";
    const KEYS: &str =
        "SELECT tenant, name, key, nullif(full_at, '-infinity') AS full_at, turn, quiet_from FROM limit_keys";
    const SHARDS: &str = "SELECT shard, owner, nullif(expires_at, '-infinity') AS expires_at FROM shards";
    let mut lines = rows::<RunRow>(pool, RUNS).await?;
    lines.extend(rows::<StepRow>(pool, STEPS).await?);
    lines.extend(rows::<TimerRow>(pool, "SELECT * FROM timers").await?);
    lines.extend(rows::<InboxRow>(pool, "SELECT * FROM inbox").await?);
    lines.extend(rows::<TaskRow>(pool, "SELECT * FROM human_tasks").await?);
    lines.extend(rows::<KeyRow>(pool, "SELECT * FROM idempotency").await?);
    lines.extend(rows::<SlotRow>(pool, "SELECT * FROM slots").await?);
    lines.extend(rows::<LifeRow>(pool, "SELECT * FROM slots_of_life").await?);
    lines.extend(rows::<LimitKeyRow>(pool, KEYS).await?);
    lines.extend(rows::<SessionRow>(pool, SESSIONS).await?);
    lines.extend(rows::<ShardRow>(pool, SHARDS).await?);
    Ok(lines)
}

async fn rows<T>(pool: &PgPool, select: &'static str) -> Result<Vec<String>, sqlx::Error>
where
    T: for<'r> sqlx::FromRow<'r, PgRow> + std::fmt::Debug + Send + Unpin,
{
    let rows = sqlx::query_as::<_, T>(select).fetch_all(pool).await?;
    Ok(rows.iter().map(|row| format!("{row:?}")).collect())
}
