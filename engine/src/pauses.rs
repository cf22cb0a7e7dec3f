//! What is paused beside single runs: workflows, queues, workers, tenants, the whole engine.
//!
//! A pause is a row. The statements that grant look at it, so that no cache can grant what a pause holds. [`Holds`] is one engine's
//! copy: it says whose deliveries wait, and what is not worth offering.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::audit::Deed;
use crate::bounds::{PAUSE_WAIT_MAX, PAUSES_MAX};
use crate::engine::Engine;
use crate::store::postgres::PgStore;
use crate::store::postgres::pauses::PauseRecord;
use crate::store::{DueStore as _, StoreError};

/// Stands for every tenant.
pub const EVERYBODY: &str = "*";
/// Who pauses an engine that starts paused.
pub const AT_START: &str = "start";
/// Between two looks at transactions that a pause waits for.
const LOOK_PAUSE: Duration = Duration::from_millis(5);

/// What a pause is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PauseScope {
    Engine,
    Tenant,
    Workflow,
    Queue,
    Worker,
}

impl PauseScope {
    const ALL: [Self; 5] = [Self::Engine, Self::Tenant, Self::Workflow, Self::Queue, Self::Worker];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Engine => "engine",
            Self::Tenant => "tenant",
            Self::Workflow => "workflow",
            Self::Queue => "queue",
            Self::Worker => "worker",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == word)
    }
}

/// What is paused, or to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paused {
    pub scope: PauseScope,
    /// Whose; [`EVERYBODY`]: all tenants'.
    pub tenant: String,
    /// Empty for a tenant and the engine.
    pub name: String,
}

impl Paused {
    pub fn engine() -> Self {
        Self { scope: PauseScope::Engine, tenant: EVERYBODY.to_owned(), name: String::new() }
    }

    fn is_of(&self, tenant: &str) -> bool {
        self.tenant == EVERYBODY || self.tenant == tenant
    }

    fn has_queue(&self, queue: &str) -> bool {
        // Steps that are bound to a host, to labels or to a worker wait in a queue beside the one that they were asked for.
        let beside =
            |rest: &str| rest.is_empty() || [".on.", ".with.", ".of."].iter().any(|mark| rest.starts_with(mark));
        self.scope == PauseScope::Queue && queue.strip_prefix(&self.name).is_some_and(beside)
    }
}

/// The pauses as one engine knows them, as of its last tick or of its own last change.
#[derive(Default)]
pub struct Holds {
    /// Asked with every decision, so without the lock.
    any: AtomicBool,
    asked: AtomicU64,
    known: RwLock<Known>,
}

#[derive(Default)]
struct Known {
    asked: u64,
    pauses: Arc<Vec<Paused>>,
}

/// Taken before the pauses are read, so that what was read earlier never replaces what was read later.
#[derive(Clone, Copy, Debug)]
pub struct Asked(u64);

impl Holds {
    pub fn ask(&self) -> Asked {
        Asked(self.asked.fetch_add(1, Ordering::AcqRel) + 1)
    }

    pub fn learn(&self, asked: Asked, pauses: Vec<Paused>) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if asked.0 < known.asked {
            return;
        }
        metrics::gauge!("valet_pauses").set(pauses.len() as f64);
        self.any.store(!pauses.is_empty(), Ordering::Release);
        *known = Known { asked: asked.0, pauses: Arc::new(pauses) };
    }

    fn pauses(&self) -> Arc<Vec<Paused>> {
        if !self.any.load(Ordering::Acquire) {
            return Arc::default();
        }
        Arc::clone(&self.known.read().unwrap_or_else(PoisonError::into_inner).pauses)
    }

    pub fn is_engine_paused(&self) -> bool {
        self.pauses().iter().any(|pause| pause.scope == PauseScope::Engine)
    }

    /// The widest pause that holds up what is delivered to runs of this workflow.
    pub fn over_run(&self, tenant: &str, workflow: &str) -> Option<PauseScope> {
        let pauses = self.pauses();
        let find = |scope: PauseScope| {
            let mut of_tenant = pauses.iter().filter(|pause| pause.scope == scope && pause.is_of(tenant));
            of_tenant.any(|pause| scope != PauseScope::Workflow || pause.name == workflow).then_some(scope)
        };
        find(PauseScope::Engine).or_else(|| find(PauseScope::Tenant)).or_else(|| find(PauseScope::Workflow))
    }

    pub fn is_queue_paused(&self, tenant: &str, queue: &str) -> bool {
        self.pauses().iter().any(|pause| pause.is_of(tenant) && pause.has_queue(queue))
    }

    /// A step of this queue may be handed over, as far as is known here. The commit decides.
    pub fn may_hand_over(&self, queue: &str) -> bool {
        !self.pauses().iter().any(|pause| pause.scope == PauseScope::Worker || pause.has_queue(queue))
    }
}

/// Why a pause is not in force.
#[derive(Debug, thiserror::Error)]
pub enum PauseError {
    #[error("there are {PAUSES_MAX} pauses already; resume what needs none any more (GET /api/v1/pauses)")]
    TooMany,
    #[error(
        "the pause is set, but a statement that began before it is still under way and may grant one more step; send \
         the request again to wait for it"
    )]
    Unsettled,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Pauses. Once it answers, nothing that is meant is granted any more, by whichever engine.
pub async fn pause(
    engine: &Engine<PgStore>,
    what: &Paused,
    reason: &str,
    deed: &Deed,
) -> Result<PauseRecord, PauseError> {
    let pause = engine.store.add_pause(what, &deed.who, reason, Some(deed)).await?.ok_or(PauseError::TooMany)?;
    refresh(engine).await?;
    settle(&engine.store).await?;
    Ok(pause)
}

/// Pauses everything, before an engine that is to start paused grants anything.
pub async fn pause_at_start(store: &PgStore) -> Result<(), PauseError> {
    store.add_pause(&Paused::engine(), AT_START, "", None).await?.ok_or(PauseError::TooMany)?;
    settle(store).await
}

/// Lets it go on. What was held is delivered by the ticks, a bounded number of runs by each.
pub async fn resume(engine: &Engine<PgStore>, what: &Paused, deed: &Deed) -> Result<(), StoreError> {
    if !engine.store.remove_pause(what, deed).await? {
        return Ok(());
    }
    refresh(engine).await?;
    if what.scope != PauseScope::Worker {
        engine.store.ticket_again(what).await?;
    }
    engine.routes.look_for_backlog();
    engine.routes.wake_at(engine.clock.now());
    Ok(())
}

async fn refresh(engine: &Engine<PgStore>) -> Result<(), StoreError> {
    let asked = engine.holds.ask();
    engine.holds.learn(asked, engine.store.paused().await?);
    Ok(())
}

/// A statement that began before the pause was committed does not see it. Each of them ends before the pause is answered.
async fn settle(store: &PgStore) -> Result<(), PauseError> {
    let began = Instant::now();
    let mut under_way = store.open_transactions(None).await?;
    while !under_way.is_empty() {
        if began.elapsed() >= PAUSE_WAIT_MAX {
            return Err(PauseError::Unsettled);
        }
        sleep(LOOK_PAUSE).await;
        under_way = store.open_transactions(Some(&under_way)).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paused(scope: PauseScope, tenant: &str, name: &str) -> Paused {
        Paused { scope, tenant: tenant.to_owned(), name: name.to_owned() }
    }

    fn holds(pauses: Vec<Paused>) -> Holds {
        let holds = Holds::default();
        holds.learn(holds.ask(), pauses);
        holds
    }

    #[test]
    fn the_widest_pause_of_a_run_is_told() {
        let check = |pauses: Vec<Paused>, expected: Option<PauseScope>| {
            assert_eq!(holds(pauses.clone()).over_run("acme", "apply"), expected, "{pauses:?}");
        };
        check(vec![], None);
        check(vec![paused(PauseScope::Workflow, "acme", "other")], None);
        check(vec![paused(PauseScope::Workflow, "umbrella", "apply")], None);
        check(vec![paused(PauseScope::Tenant, "umbrella", "")], None);
        check(vec![paused(PauseScope::Queue, "acme", "apply"), paused(PauseScope::Worker, "acme", "apply")], None);
        let workflow = paused(PauseScope::Workflow, EVERYBODY, "apply");
        check(vec![workflow.clone()], Some(PauseScope::Workflow));
        let tenant = paused(PauseScope::Tenant, "acme", "");
        check(vec![workflow.clone(), tenant.clone()], Some(PauseScope::Tenant));
        check(vec![workflow, tenant, Paused::engine()], Some(PauseScope::Engine));
    }

    #[test]
    fn a_queues_pause_covers_the_queues_of_its_hosts_and_no_other() {
        let holds = holds(vec![paused(PauseScope::Queue, "acme", "browser")]);
        for (queue, expected) in [("browser", true), ("browser.on.h1", true), ("browser2", false), ("default", false)] {
            assert_eq!(holds.is_queue_paused("acme", queue), expected, "{queue}");
            assert_eq!(holds.may_hand_over(queue), !expected, "{queue}");
        }
        assert!(!holds.is_queue_paused("umbrella", "browser"));
    }

    #[test]
    fn what_was_read_earlier_does_not_replace_what_was_read_later() {
        let holds = Holds::default();
        let (tick, change) = (holds.ask(), holds.ask());
        holds.learn(change, vec![Paused::engine()]);
        holds.learn(tick, Vec::new());
        assert!(holds.is_engine_paused());
    }
}
