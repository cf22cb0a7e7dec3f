//! Compares what a provider says that it has with the engine's rows, and ends what no run looks after.
//!
//! Every worker that reaches a provider does so. A provider's list is a witness, not the truth: what it leaves out is destroyed by its row
//! all the same, what it shows twice is ended once, and what does not carry our mark is left alone. Nothing is ended on the word of an
//! engine that did not answer.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use metrics::counter;
use parking_lot::Mutex;
use valet_core::RunId;
use valet_core::resources::{Resource, SANDBOX};
use valet_protocol::worker::{ResourceAnswer, ResourceQuestion, WhichResource};
use valet_workflows::sandboxes::{DESTROYED, IN_USE, LOST, PARKED, READY};

use super::rows::Whose;
use super::{FailureClass, Sandbox, SandboxError, SandboxId, SandboxProvider};
use crate::gate::state::unix_ms;
use crate::runtime::{DeskError, ResourceDesk};

/// Whoever reaps has this long to end what it took over, unless told otherwise; then another takes it.
const REAP_LEASE: Duration = Duration::from_mins(2);
/// Ended in one look; the next is soon.
const ENDED_PER_LOOK_MAX: u32 = 64;
/// A sandbox without a row is this young while its worker, one of the release before, is about to use it.
const UNKNOWN_FOR: Duration = Duration::from_mins(1);

/// What one look did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// Of the provider's list.
    pub kept: u32,
    /// Without our mark.
    pub foreign: u32,
    /// Whose row says that nobody looks after it.
    pub reaped: u32,
    /// At the provider, without a run that lives.
    pub orphans: u32,
    /// Rows of what the provider has no more.
    pub lost: u32,
    /// Could not be ended now; the next look tries again.
    pub failed: u32,
}

impl Reconciled {
    pub fn ended(&self) -> u32 {
        self.reaped + self.orphans + self.lost
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    #[error("the engine did not say what there is")]
    Desk(#[from] DeskError),
    #[error("the engine gave another answer than was asked for")]
    Answer,
}

pub struct Reconciler {
    provider: Arc<dyn SandboxProvider>,
    desk: ResourceDesk,
    whose: Whose,
    reap_lease: Duration,
    /// Rows that the list before left out.
    missed: Mutex<BTreeSet<String>>,
}

impl Reconciler {
    pub fn new(provider: Arc<dyn SandboxProvider>, desk: ResourceDesk, whose: Whose) -> Self {
        Self { provider, desk, whose, reap_lease: REAP_LEASE, missed: Mutex::default() }
    }

    /// How long it has to end what it took over, and what could not be ended is left alone.
    pub fn reap_lease(self, reap_lease: Duration) -> Self {
        Self { reap_lease, ..self }
    }

    /// Looks until it is dropped, the first time at once.
    pub async fn run(&self, every: Duration) {
        loop {
            match self.look().await {
                Ok(did) if did.ended() + did.failed > 0 => {
                    tracing::info!(provider = self.provider.name(), ?did, "sandboxes that no run looked after");
                }
                Ok(_) | Err(ReconcileError::Desk(DeskError::NoSession | DeskError::NotKept)) => {}
                Err(error) => tracing::warn!(provider = self.provider.name(), %error, "sandboxes are compared later"),
            }
            tokio::time::sleep(every).await;
        }
    }

    pub async fn look(&self) -> Result<Reconciled, ReconcileError> {
        let mut did = Reconciled::default();
        let labels = self.whose.labels();
        let (lease_ms, max) = (self.reap_lease.as_millis() as u64, ENDED_PER_LOOK_MAX);
        let reap = ResourceQuestion::Reap { labels: labels.clone(), lease_ms, max };
        for row in self.rows(reap).await? {
            self.end_row(&row, &mut did).await?;
        }
        let listed = match self.provider.list().await {
            Ok(listed) => listed,
            Err(error) => {
                tracing::debug!(%error, "the provider does not tell what it has");
                did.failed += 1;
                return Ok(did);
            }
        };
        let listed: BTreeMap<String, Sandbox> = listed.into_iter().map(|one| (one.id.to_string(), one)).collect();
        if !listed.is_empty() {
            self.compare(&listed, &mut did).await?;
        }
        self.look_for_lost(&listed, labels, &mut did).await?;
        for (what, many) in
            [("reaped", did.reaped), ("orphans", did.orphans), ("lost", did.lost), ("failed", did.failed)]
        {
            counter!("valet_sandboxes_reconciled_total", "provider" => self.provider.name(), "what" => what)
                .increment(u64::from(many));
        }
        Ok(did)
    }

    async fn end_row(&self, row: &Resource, did: &mut Reconciled) -> Result<(), ReconcileError> {
        let Ok(id) = row.key.parse::<SandboxId>() else {
            did.failed += 1;
            return Ok(());
        };
        if !self.ended(id, did).await {
            return Ok(());
        }
        did.reaped += 1;
        self.told(row, DESTROYED, "nobody looked after it").await
    }

    /// Whether it is gone now.
    async fn ended(&self, id: SandboxId, did: &mut Reconciled) -> bool {
        match self.provider.destroy(&id).await {
            Ok(()) => true,
            Err(error) if error.class() == FailureClass::Gone || matches!(error, SandboxError::Destroyed(_)) => true,
            Err(error) => {
                tracing::debug!(sandbox = %id, %error, "not ended yet");
                did.failed += 1;
                false
            }
        }
    }

    /// What the list shows.
    async fn compare(&self, listed: &BTreeMap<String, Sandbox>, did: &mut Reconciled) -> Result<(), ReconcileError> {
        let keys = Some(listed.keys().cloned().collect());
        let rows = self.rows(ResourceQuestion::List { labels: BTreeMap::new(), keys }).await?;
        let rows: BTreeMap<&str, &Resource> = rows.iter().map(|row| (row.key.as_str(), row)).collect();
        let runs: BTreeSet<RunId> = listed.values().filter_map(|one| one.run).collect();
        let live = self.live(runs.into_iter().collect()).await?;
        for (key, one) in listed {
            match verdict(one, rows.get(key.as_str()).copied(), &live, unix_ms()) {
                Verdict::Keep => did.kept += 1,
                Verdict::Foreign => did.foreign += 1,
                Verdict::End if did.orphans >= ENDED_PER_LOOK_MAX => {}
                Verdict::End => {
                    if self.ended(one.id, did).await {
                        did.orphans += 1;
                    }
                }
            }
        }
        Ok(())
    }

    /// Rows of what is used, that two lists in a row leave out, and of which the provider itself says that it is not there.
    async fn look_for_lost(
        &self,
        listed: &BTreeMap<String, Sandbox>,
        labels: BTreeMap<String, String>,
        did: &mut Reconciled,
    ) -> Result<(), ReconcileError> {
        let rows = self.rows(ResourceQuestion::List { labels, keys: None }).await?;
        let used = rows.iter().filter(|row| [READY, IN_USE, PARKED].contains(&row.state.as_str()) && !row.left);
        let missing: Vec<&Resource> = used.filter(|row| !listed.contains_key(&row.key)).collect();
        let now: BTreeSet<String> = missing.iter().map(|row| row.key.clone()).collect();
        let before = std::mem::replace(&mut *self.missed.lock(), now);
        for row in missing.into_iter().filter(|row| before.contains(&row.key)) {
            let Ok(id) = row.key.parse::<SandboxId>() else { continue };
            let asked = self.provider.ready(&id).await;
            if asked
                .is_err_and(|error| error.class() == FailureClass::Gone || matches!(error, SandboxError::Destroyed(_)))
            {
                did.lost += 1;
                self.told(row, LOST, "its provider has it no more").await?;
            }
        }
        Ok(())
    }

    /// One whose fence is newer is another's to tell of.
    async fn told(&self, row: &Resource, to: &str, reason: &str) -> Result<(), ReconcileError> {
        let what = ResourceQuestion::Transition {
            which: WhichResource { key: row.key.clone(), tenant: Some(row.tenant.clone()), fence: Some(row.fence) },
            to: to.to_owned(),
            lease_ms: None,
            labels: BTreeMap::new(),
            data: None,
            reason: Some(row.reason.clone().unwrap_or_else(|| reason.to_owned())),
            usd_micros_per_hour: None,
            release: false,
            rest_ms: None,
        };
        self.desk.ask(SANDBOX, what).await?;
        Ok(())
    }

    async fn rows(&self, what: ResourceQuestion) -> Result<Vec<Resource>, ReconcileError> {
        match self.desk.ask(SANDBOX, what).await? {
            ResourceAnswer::Resources(rows) => Ok(rows),
            _ => Err(ReconcileError::Answer),
        }
    }

    async fn live(&self, runs: Vec<RunId>) -> Result<BTreeSet<RunId>, ReconcileError> {
        if runs.is_empty() {
            return Ok(BTreeSet::new());
        }
        match self.desk.ask(SANDBOX, ResourceQuestion::LiveRuns { runs }).await? {
            ResourceAnswer::Runs(live) => Ok(live.into_iter().collect()),
            _ => Err(ReconcileError::Answer),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Keep,
    Foreign,
    End,
}

/// What becomes of a sandbox that a provider shows. What is reaped by its row is not ended here as well.
fn verdict(one: &Sandbox, row: Option<&Resource>, live: &BTreeSet<RunId>, now_ms: u64) -> Verdict {
    match (row, one.run) {
        // It came after its end, or never went.
        (Some(row), _) if row.ended => Verdict::End,
        (Some(_), _) => Verdict::Keep,
        (None, None) => Verdict::Foreign,
        (None, Some(run)) if live.contains(&run) => Verdict::Keep,
        (None, Some(_)) => {
            let old = now_ms.saturating_sub(one.created_ms) >= UNKNOWN_FOR.as_millis() as u64;
            if old { Verdict::End } else { Verdict::Keep }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    fn sandbox(run: Option<RunId>) -> Sandbox {
        let shown = json!({ "id": Uuid::nil(), "run": run, "kind": "local", "state": "ready", "created_ms": 1_000,
            "lease_until_ms": 0, "session_id": null, "debugger_address": null, "fence": 0 });
        serde_json::from_value(shown).expect("a sandbox")
    }

    fn row(ended: bool) -> Resource {
        let row = json!({ "tenant": "acme", "kind": "sandbox", "key": Uuid::nil(), "class": "local", "state": "x", "ended": ended,
            "fence": 1, "lease_until": "2026-11-22T06:00:00Z", "labels": {}, "created_at": "2026-11-22T06:00:00Z",
            "state_since": "2026-11-22T06:00:00Z" });
        serde_json::from_value(row).expect("a row")
    }

    #[test]
    fn only_what_carries_our_mark_and_has_nobody_is_ended() {
        let (ours, over) = (RunId(Uuid::from_u128(1)), RunId(Uuid::from_u128(2)));
        let live = BTreeSet::from([ours]);
        let later = 1_000 + UNKNOWN_FOR.as_millis() as u64;
        let check =
            |run, row: Option<&Resource>, now, expect| assert_eq!(verdict(&sandbox(run), row, &live, now), expect);
        check(None, None, later, Verdict::Foreign);
        check(Some(ours), None, later, Verdict::Keep);
        check(Some(over), None, later, Verdict::End);
        check(Some(over), None, later - 1, Verdict::Keep);
        // The row knows better than a mark.
        check(Some(over), Some(&row(false)), later, Verdict::Keep);
        check(None, Some(&row(false)), later, Verdict::Keep);
        check(Some(ours), Some(&row(true)), 0, Verdict::End);
        check(None, Some(&row(true)), 0, Verdict::End);
    }
}
