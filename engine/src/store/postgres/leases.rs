//! Sessions, claims, heartbeats, effects.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;
use valet_core::command::GrantedStep;
use valet_core::id::{LeaseId, Seq, SessionId};
use valet_core::journal::{Entry, Op, StepOp};
use valet_core::payload::Payload;
use valet_core::step::StepPolicy;

use super::{PgStore, StoreError, bounded, millis};
use crate::store::{Beat, BeatAnswer, ClaimVerdict, LeaseStore, NewSession, SessionClaim, SessionKind};

#[derive(Clone, sqlx::FromRow)]
struct ClaimRecord {
    run_id: Uuid,
    seq: i32,
    lease_id: Uuid,
    granted: Option<bool>,
    session_ended: bool,
    gated: bool,
    tenant: Option<String>,
    subject: Option<String>,
    workflow: Option<String>,
    name: Option<String>,
    queue: Option<String>,
    timeout_ms: Option<i64>,
    effect_once: Option<bool>,
    silence_ms: Option<i64>,
    progress: Option<Vec<u8>>,
    body: Option<Vec<u8>>,
}

#[async_trait]
impl LeaseStore for PgStore {
    async fn open_session(&self, session: &NewSession) -> Result<(), StoreError> {
        let kind = match session.kind {
            SessionKind::Worker => "worker",
            SessionKind::Engine => "engine",
        };
        let open = sqlx::query(include_str!("../sql/open_session.sql"))
            .bind(session.id.0)
            .bind(kind)
            .bind(&session.name)
            .bind(&session.queues)
            .bind(session.slots as i32)
            .bind(session.labels.to_string())
            .bind(millis(session.lease) as f64)
            .bind(&session.tenant);
        bounded(open.execute(&self.pool)).await?;
        Ok(())
    }

    async fn close_session(&self, session: SessionId) -> Result<(), StoreError> {
        bounded(sqlx::query(include_str!("../sql/close_session.sql")).bind(session.0).execute(&self.pool)).await?;
        Ok(())
    }

    async fn claim(&self, claims: &[SessionClaim]) -> Result<Vec<ClaimVerdict>, StoreError> {
        let query = sqlx::query_as::<_, ClaimRecord>(include_str!("../sql/claim.sql"))
            .bind(claims.iter().map(|c| c.run.0).collect::<Vec<_>>())
            .bind(claims.iter().map(|c| c.seq.0 as i32).collect::<Vec<_>>())
            .bind(claims.iter().map(|c| c.attempt.0 as i32).collect::<Vec<_>>())
            .bind(claims.iter().map(|c| c.lease.0).collect::<Vec<_>>())
            .bind(claims.iter().map(|c| c.session.0).collect::<Vec<_>>());
        let mut connection = self.dedicated(&self.claimer).await?;
        let done = bounded(query.fetch_all(&mut *connection)).await;
        drop(connection);
        let records = match done {
            Ok(records) => records,
            Err(error) => {
                *self.claimer.lock().await = None;
                return Err(error);
            }
        };
        let by_lease: HashMap<(Uuid, i32, Uuid), ClaimRecord> =
            records.into_iter().map(|r| ((r.run_id, r.seq, r.lease_id), r)).collect();
        let mut verdicts = Vec::with_capacity(claims.len());
        for claim in claims {
            // Copied: a claim may be repeated within one batch.
            let record = by_lease.get(&(claim.run.0, claim.seq.0 as i32, claim.lease.0)).cloned();
            verdicts.push(match record {
                Some(record) => self.verdict(claim, record).await?,
                None => ClaimVerdict::Stale,
            });
        }
        Ok(verdicts)
    }

    async fn heartbeat(&self, beat: &Beat) -> Result<BeatAnswer, StoreError> {
        let mut details = Vec::with_capacity(beat.progress.len());
        for progress in &beat.progress {
            if let Some(identity) = crate::store::RunStore::identity(self, progress.run).await? {
                let plain = progress.details.as_str().as_bytes();
                let sealed = self.keys.seal_for(&identity.tenant, &identity.subject, plain).await?;
                details.push((progress.lease.0, sealed));
            }
        }
        let (leases, bodies): (Vec<Uuid>, Vec<Vec<u8>>) = details.into_iter().unzip();
        let query = sqlx::query_as::<_, (bool, bool, Vec<Uuid>)>(include_str!("../sql/heartbeat.sql"))
            .bind(beat.session.0)
            .bind(millis(beat.lease) as f64)
            .bind(beat.free_slots as i32)
            .bind(beat.draining)
            .bind(beat.held.iter().map(|lease| lease.0).collect::<Vec<_>>())
            .bind(leases)
            .bind(bodies)
            .bind(beat.refreshed.iter().map(|lease| lease.0).collect::<Vec<_>>())
            .bind(beat.spoken.iter().map(|lease| lease.0).collect::<Vec<_>>());
        let (alive, paused, keep) = bounded(query.fetch_one(&self.pool)).await?;
        Ok(BeatAnswer { alive, keep: keep.into_iter().map(LeaseId).collect(), paused })
    }

    async fn begin_effect(&self, claim: &SessionClaim) -> Result<bool, StoreError> {
        let query = sqlx::query(include_str!("../sql/begin_effect.sql"))
            .bind(claim.run.0)
            .bind(claim.seq.0 as i32)
            .bind(claim.attempt.0 as i32)
            .bind(claim.lease.0)
            .bind(claim.session.0);
        Ok(bounded(query.fetch_optional(&self.pool)).await?.is_some())
    }

    async fn extend_sessions(&self, lease: Duration) -> Result<u64, StoreError> {
        let query = sqlx::query(include_str!("../sql/extend_sessions.sql")).bind(millis(lease) as f64);
        Ok(bounded(query.execute(&self.pool)).await?.rows_affected())
    }
}

impl PgStore {
    /// Whether it is a worker's session that serves this tenant and no other.
    pub async fn session_serves(&self, session: SessionId, tenant: &str) -> Result<bool, StoreError> {
        let query = sqlx::query_scalar::<_, bool>(include_str!("../sql/session_serves.sql"));
        bounded(query.bind(session.0).bind(tenant).fetch_one(&self.pool)).await
    }

    /// The queues that a live worker's session pulls, with all that its labels make of them, and its labels; `None`: it has ended.
    pub async fn session_queues(
        &self,
        session: SessionId,
    ) -> Result<Option<(Vec<String>, BTreeMap<String, String>)>, StoreError> {
        let query =
            sqlx::query_as::<_, (Vec<String>, String)>(include_str!("../sql/session_queues.sql")).bind(session.0);
        let found = bounded(query.fetch_optional(&self.pool)).await?;
        found.map(|(queues, labels)| Ok((queues, serde_json::from_str(&labels)?))).transpose()
    }

    async fn verdict(&self, claim: &SessionClaim, record: ClaimRecord) -> Result<ClaimVerdict, StoreError> {
        if record.granted != Some(true) {
            return Ok(match (record.session_ended, record.gated) {
                (true, _) => ClaimVerdict::SessionEnded,
                (false, true) => ClaimVerdict::Gated,
                (false, false) => ClaimVerdict::Stale,
            });
        }
        let (Some(body), Some(tenant), Some(subject)) = (record.body, record.tenant, record.subject) else {
            return Ok(ClaimVerdict::Stale);
        };
        let entries: Vec<Entry> = serde_json::from_slice(&self.keys.open(&body).await?)?;
        let mut op = match find_step(&entries, claim.seq) {
            Some(op) => op,
            None => {
                self.find_finalizer(claim).await?.ok_or(StoreError::Injected("a step's input is not in its journal"))?
            }
        };
        op.policy.queue = record.queue.unwrap_or(op.policy.queue);
        op.policy.execution_timeout_ms = record.timeout_ms.map_or(op.policy.execution_timeout_ms, |ms| ms as u64);
        op.policy.effect_once = record.effect_once.unwrap_or(false);
        op.policy.heartbeat_timeout_ms = record.silence_ms.map(|ms| ms as u64);
        let progress = match record.progress {
            Some(sealed) => text(self.keys.open(&sealed).await?),
            None => None,
        };
        let step = GrantedStep {
            run: claim.run,
            seq: claim.seq,
            attempt: claim.attempt,
            lease: claim.lease,
            tenant,
            subject,
            workflow: record.workflow.unwrap_or_default(),
            name: record.name.unwrap_or_default(),
            input: op.input,
            policy: op.policy,
            remembers: op.remembers,
        };
        Ok(ClaimVerdict::Granted { step: Box::new(step), progress })
    }

    /// A clean-up's input was recorded when it was registered, in another chunk than the one that started it, or was carried over
    /// from the journal before.
    async fn find_finalizer(&self, claim: &SessionClaim) -> Result<Option<StepOp>, StoreError> {
        let chunks = self.chunks(&[claim.run.0]).await?.remove(&claim.run.0).unwrap_or_default();
        let entries: Vec<Entry> = chunks.into_iter().flat_map(|chunk| chunk.entries).collect();
        let early = entries.iter().find_map(|entry| match entry {
            Entry::Op { seq, op: Op::FinallyNow { of, .. } } if *seq == claim.seq => Some(*of),
            _ => None,
        });
        let of = early.unwrap_or(claim.seq);
        Ok(entries.into_iter().find_map(|entry| match entry {
            Entry::Op { seq, op: Op::Finally(op) | Op::Compensate(op) } if seq == of => Some(op),
            Entry::Continued { carried, .. } => {
                carried.finalizers.into_iter().find(|finalizer| finalizer.seq == of).map(|finalizer| finalizer.op)
            }
            _ => None,
        }))
    }
}

fn find_step(entries: &[Entry], wanted: Seq) -> Option<StepOp> {
    // The last word counts.
    entries.iter().rev().find_map(|entry| match entry {
        // Whatever else is asked of it stands in its row.
        Entry::InputChanged { seq, input, .. } if *seq == wanted => Some(StepOp {
            name: String::new(),
            input: input.clone(),
            policy: StepPolicy::default(),
            host: None,
            start_by: None,
            // It may; that costs its worker a queue to listen at.
            remembers: true,
            sticky: None,
        }),
        Entry::Op { seq, op: Op::Step(op) } if *seq == wanted => Some(op.clone()),
        _ => None,
    })
}

fn text(bytes: Vec<u8>) -> Option<Payload> {
    String::from_utf8(bytes).ok().and_then(|text| Payload::parse(text).ok())
}
