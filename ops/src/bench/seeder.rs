//! Runs as the engine stores them, made by the same core and sealed the same way, but carried to the tables by COPY.
//!
//! Ids ascend within a week, so that indexes are filled in order; engines draw theirs at random.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{Connection as _, PgConnection};
use uuid::Uuid;
use valet_core::command::{Command, FinishStep, HandOverOffer, StartRun};
use valet_core::decide::{CodeUse, Fit, Machine, StoredRun};
use valet_core::id::{Attempt, LeaseId, RunId, Seq, SessionId};
use valet_core::journal::{Chunk, Entry};
use valet_core::run::Identity;
use valet_core::step::Outcome;
use valet_core::transition::{StepChange, StepState, Transition};
use valet_core::{Payload, Registry};
use valet_engine::codec::{DataKey, MasterKeys};
use valet_workflows::bench::BenchInput;

use super::copy::Rows;
use super::stack::BenchError;

const TENANT: &str = "default";
const SUBJECT: &str = "bench";
const WORKFLOW: &str = "bench";
/// Runs of one transaction: some megabytes.
pub const BATCH_RUNS: u32 = 5_000;
/// What a step of a seeded run took.
const STEP_TOOK: TimeDelta = TimeDelta::milliseconds(2);
pub const WEEK: TimeDelta = TimeDelta::weeks(1);

const JOURNAL: &str = "COPY journal (run_id, revision, at, accepted, body) FROM STDIN WITH (FORMAT binary)";
const FINISHED: &str =
    "COPY finished_runs (id, tenant, subject, workflow, plan, attributes, parent_run, parent_seq, status, revision,
    build, status_line, error_code, created_at, ended_at, figures, journal_from) FROM STDIN WITH (FORMAT binary)";
const RUNS: &str =
    "COPY runs (id, tenant, subject, workflow, plan, attributes, parent_run, parent_seq, status, paused, revision,
    build, reason, status_line, error_code, created_at, updated_at) FROM STDIN WITH (FORMAT binary)";
const STEPS: &str =
    "COPY steps (run_id, seq, shard, tenant, subject, workflow, name, queue, priority, state, attempt, revision, gated,
    effect_once, timeout_ms, available_at) FROM STDIN WITH (FORMAT binary)";

/// Makes runs.
#[derive(Clone)]
pub struct Seeder {
    registry: Registry,
    key: Arc<DataKey>,
    session: SessionId,
    input: Payload,
    plan: String,
}

/// Which runs of all that are to be made.
#[derive(Clone, Copy, Debug)]
pub struct Share {
    pub first: u32,
    pub runs: u32,
    pub of: u32,
}

impl Seeder {
    /// For runs of so many steps, sealed as this database's engine would.
    pub async fn new(url: &str, masters: &MasterKeys, steps: u32) -> Result<Self, BenchError> {
        let input = BenchInput { steps, ..BenchInput::default() };
        Ok(Self {
            registry: valet_workflows::registry(),
            key: Arc::new(key_of(url, masters).await?),
            session: SessionId(Uuid::now_v7()),
            input: Payload::of(&input).map_err(|e| BenchError::Refused(e.to_string()))?,
            plan: "free".to_owned(),
        })
    }

    /// Adds finished runs, in order from `begin`, one after another `apart`.
    pub async fn finished(
        &self,
        connection: &mut PgConnection,
        share: Share,
        begin: DateTime<Utc>,
        apart: TimeDelta,
    ) -> Result<(), BenchError> {
        let seeder = self.clone();
        let made = tokio::task::spawn_blocking(move || {
            let mut journal = Rows::new(JOURNAL, 5);
            let mut finished = Rows::new(FINISHED, 17);
            for n in share.first..share.first + share.runs {
                let at = begin + apart * i32::try_from(n).unwrap_or(i32::MAX);
                seeder.finished_run(n, share.of, at, &mut journal, &mut finished)?;
            }
            Ok::<_, BenchError>((journal, finished))
        });
        let (journal, finished) = made.await.map_err(|e| BenchError::Refused(e.to_string()))??;
        let mut transaction = connection.begin().await?;
        journal.send(&mut transaction).await?;
        finished.send(&mut transaction).await?;
        Ok(transaction.commit().await?)
    }

    /// Adds runs whose first step is ready and has no ticket.
    pub async fn ready(
        &self,
        connection: &mut PgConnection,
        share: Share,
        at: DateTime<Utc>,
    ) -> Result<(), BenchError> {
        let seeder = self.clone();
        let made = tokio::task::spawn_blocking(move || {
            let mut journal = Rows::new(JOURNAL, 5);
            let (mut runs, mut steps) = (Rows::new(RUNS, 17), Rows::new(STEPS, 16));
            for n in share.first..share.first + share.runs {
                let (_, transition) = seeder.start(n, share.of, at)?;
                seeder.journal(&transition, &mut journal)?;
                Self::run(&transition, at, &mut runs)?;
                step(&transition, &mut steps)?;
            }
            Ok::<_, BenchError>((journal, runs, steps))
        });
        let (journal, runs, steps) = made.await.map_err(|e| BenchError::Refused(e.to_string()))??;
        let mut transaction = connection.begin().await?;
        journal.send(&mut transaction).await?;
        runs.send(&mut transaction).await?;
        steps.send(&mut transaction).await?;
        Ok(transaction.commit().await?)
    }

    fn start(&self, n: u32, of: u32, at: DateTime<Utc>) -> Result<(Machine, Transition), BenchError> {
        let id = RunId::root(at, entropy(n, of));
        let start = StartRun::new(
            TENANT.to_owned(),
            SUBJECT.to_owned(),
            WORKFLOW.to_owned(),
            self.plan.clone(),
            self.input.clone(),
        );
        let mut machine = Machine::create(id, &start, at, &self.registry, CodeUse::Recorded);
        let transition = decide(&mut machine, Command::Start(Box::new(start)), at, &self.registry)?;
        Ok((machine, transition))
    }

    fn finished_run(
        &self,
        n: u32,
        of: u32,
        at: DateTime<Utc>,
        journal: &mut Rows,
        finished: &mut Rows,
    ) -> Result<(), BenchError> {
        let (mut machine, mut transition) = self.start(n, of, at)?;
        self.journal(&transition, journal)?;
        let mut now = at;
        while !transition.ended() {
            let asked = transition.steps.iter().find_map(|change| match change {
                StepChange::Insert(row) => Some(row),
                _ => None,
            });
            let row = asked.ok_or_else(|| BenchError::Refused("a seeded run asks for no step".to_owned()))?;
            let lease = row.grant.map_or_else(|| LeaseId(Uuid::now_v7()), |(lease, _)| lease);
            now += STEP_TOOK;
            let finish = FinishStep {
                seq: row.seq,
                attempt: row.attempt,
                lease,
                session: self.session,
                outcome: Outcome::Done { output: Payload::of(&row.seq.0.saturating_sub(1)).unwrap_or_default() },
                hand_over: Some(HandOverOffer {
                    lease: LeaseId(Uuid::now_v7()),
                    session: self.session,
                    queue: row.policy.queue.clone(),
                }),
                costs: Vec::new(),
            };
            transition = decide(&mut machine, Command::Finish(Box::new(finish)), now, &self.registry)?;
            self.journal(&transition, journal)?;
        }
        let (identity, row) = (&transition.identity, &transition.row);
        finished.row().uuid(identity.id.0).text(&identity.tenant).text(&identity.subject).text(&identity.workflow);
        finished.text(&identity.plan).jsonb("{}").null().null().text(row.status.as_str());
        finished.int(transition.chunk.revision as i32).bigint(row.build).optional_text(row.status_line.as_deref());
        finished.optional_text(row.error_code.as_deref()).instant(identity.created_at).instant(transition.chunk.at);
        finished.null().null();
        Ok(())
    }

    fn journal(&self, transition: &Transition, journal: &mut Rows) -> Result<(), BenchError> {
        let plain = serde_json::to_vec(&transition.chunk.entries).map_err(|e| BenchError::Refused(e.to_string()))?;
        let sealed = self.key.seal(&plain).map_err(|e| BenchError::Refused(e.to_string()))?;
        let chunk = &transition.chunk;
        journal.row().uuid(transition.run().0).int(chunk.revision as i32).instant(chunk.at);
        journal.smallint(transition.accepted_results() as i16).bytes(&sealed);
        Ok(())
    }

    fn run(transition: &Transition, at: DateTime<Utc>, runs: &mut Rows) -> Result<(), BenchError> {
        let (identity, row) = (&transition.identity, &transition.row);
        let reason = row.reason.as_ref().map(serde_json::to_string).transpose();
        let reason = reason.map_err(|e| BenchError::Refused(e.to_string()))?;
        runs.row().uuid(identity.id.0).text(&identity.tenant).text(&identity.subject).text(&identity.workflow);
        runs.text(&identity.plan).jsonb("{}").null().null().text(row.status.as_str()).bool(row.paused);
        runs.int(transition.chunk.revision as i32).bigint(row.build).optional_text(reason.as_deref());
        runs.optional_text(row.status_line.as_deref()).optional_text(row.error_code.as_deref()).instant(at).instant(at);
        Ok(())
    }

    /// Opens the journals of some finished runs and rebuilds them with their code: answers how many do not fit.
    pub async fn misfits(&self, connection: &mut PgConnection, sample: i64) -> Result<i64, BenchError> {
        let rows: Vec<(Uuid, DateTime<Utc>, i64, i32)> = sqlx::query_as(
            "/* valet bench */ SELECT id, created_at, build, revision FROM finished_runs
             WHERE tenant = 'default' AND subject = 'bench' ORDER BY id LIMIT $1",
        )
        .bind(sample)
        .fetch_all(&mut *connection)
        .await?;
        let mut misfits = 0;
        for (id, created_at, build, revision) in rows {
            let sealed: Vec<(i32, DateTime<Utc>, Vec<u8>)> = sqlx::query_as(
                "/* valet bench */ SELECT revision, at, body FROM journal WHERE run_id = $1 ORDER BY revision",
            )
            .bind(id)
            .fetch_all(&mut *connection)
            .await?;
            let chunks = sealed.into_iter().map(|(revision, at, body)| {
                let plain = self.key.open(&body).ok()?;
                let entries: Vec<Entry> = serde_json::from_slice(&plain).ok()?;
                Some(Chunk { revision: u32::try_from(revision).ok()?, at, entries })
            });
            let identity = Identity {
                id: RunId(id),
                tenant: TENANT.to_owned(),
                subject: SUBJECT.to_owned(),
                workflow: WORKFLOW.to_owned(),
                plan: self.plan.clone(),
                parent: None,
                created_at,
            };
            let fits = chunks.collect::<Option<Vec<Chunk>>>().is_some_and(|chunks| {
                let revision = revision as u32;
                let stored = StoredRun { identity, revision, build, chunks, rows: Vec::new() };
                Machine::rebuild(stored, &self.registry, CodeUse::Recorded).fit(&self.registry) == Fit::Fits
            });
            misfits += i64::from(!fits);
        }
        Ok(misfits)
    }
}

fn decide(
    machine: &mut Machine,
    command: Command,
    at: DateTime<Utc>,
    registry: &Registry,
) -> Result<Transition, BenchError> {
    let decision = machine.decide(vec![command], at, registry);
    decision.transition.ok_or_else(|| BenchError::Refused(format!("a seeded run refuses: {:?}", decision.replies)))
}

fn step(transition: &Transition, steps: &mut Rows) -> Result<(), BenchError> {
    let identity = &transition.identity;
    for change in &transition.steps {
        let StepChange::Insert(row) = change else {
            return Err(BenchError::Refused("a new run changes a step".to_owned()));
        };
        if row.state != StepState::Ready || row.seq == Seq(0) || row.attempt != Attempt::FIRST {
            return Err(BenchError::Refused("the first step of a new run is not ready".to_owned()));
        }
        let timeout_ms = i64::try_from(row.policy.execution_timeout_ms).unwrap_or(i64::MAX);
        steps.row().uuid(identity.id.0).int(row.seq.0 as i32).smallint(identity.id.shard()).text(&identity.tenant);
        steps.text(&identity.subject).text(&identity.workflow).text(&row.name).text(&row.policy.queue);
        steps.smallint(row.policy.priority).text(row.state.as_str()).int(row.attempt.0 as i32);
        steps.int(row.revision as i32).bool(row.gated).bool(row.policy.effect_once).bigint(timeout_ms);
        steps.instant(transition.chunk.at);
    }
    Ok(())
}

/// Random bytes, but that ids of one week ascend with `n`: the first four after the week say how far of all it is.
fn entropy(n: u32, of: u32) -> [u8; 16] {
    let mut bytes: [u8; 16] = rand::random();
    let stride = u64::from(u32::MAX) / u64::from(of.max(1));
    let place = u64::from(n) * stride + rand::random::<u64>() % stride.max(1);
    bytes[2..6].copy_from_slice(&(place as u32).to_be_bytes());
    bytes
}

/// The data key of the subject; made if it is not there, as an engine would.
async fn key_of(url: &str, masters: &MasterKeys) -> Result<DataKey, BenchError> {
    let mut connection = PgConnection::connect(url).await?;
    let sealing = |e: valet_engine::codec::CodecError| BenchError::Refused(e.to_string());
    let wrapped = masters.current.new_wrapped_key().map_err(sealing)?;
    sqlx::query(
        "INSERT INTO data_keys (tenant, subject, master_key, wrapped) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
    )
    .bind(TENANT)
    .bind(SUBJECT)
    .bind(&masters.current.name)
    .bind(wrapped)
    .execute(&mut connection)
    .await?;
    let (id, master, wrapped): (i64, String, Vec<u8>) =
        sqlx::query_as("SELECT id, master_key, wrapped FROM data_keys WHERE tenant = $1 AND subject = $2")
            .bind(TENANT)
            .bind(SUBJECT)
            .fetch_one(&mut connection)
            .await?;
    connection.close().await?;
    masters.named(&master).map_err(sealing)?.unwrap_key(id, &wrapped).map_err(sealing)
}
