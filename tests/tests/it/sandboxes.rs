//! Sandboxes at a provider that loses answers, makes things late and lies in its list: whatever happens to their runs, nothing is left there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;
use uuid::Uuid;
use valet_core::RunId;
use valet_protocol::worker::{ResourceAnswer, ResourceQuestion};
use valet_queue::{ApalisRedis, ApalisRedisConfig, QueueName};
use valet_tests::bounds::SOON;
use valet_tests::{Cluster, Shape};
use valet_workers::runtime::{Handlers, StepContext, StepError, Worker, WorkerConfig, WorkerToken, connect};
use valet_workers::sandbox::guarded::Guarded;
use valet_workers::sandbox::reconcile::{Reconciled, Reconciler};
use valet_workers::sandbox::rows::{self, Reserved, Whose};
use valet_workers::sandbox::{
    Attachment, FenceNumber, ProvisionRequest, Sandbox, SandboxError, SandboxId, SandboxKind, SandboxProvider,
    SandboxState,
};
use valet_workflows::bench::Noop;
use valet_workflows::job_application::steps::Price;

use super::PROGRAM;

const NAME: &str = "cloud";
/// `VALET_SANDBOX_CYCLES` asks for more.
const CYCLES: &str = "VALET_SANDBOX_CYCLES";
const CYCLES_USUAL: u32 = 500;
const SEED: u64 = 20_261_122;
/// From the last run's end until nothing is left.
const CLEAN_WITHIN: Duration = Duration::from_mins(1);
/// What a reconciler could not end, or took and then was stopped, is another's after this.
const REAP_LEASE: Duration = Duration::from_secs(5);

/// A provider in memory, with everything that goes wrong with one.
struct Cloud {
    state: Mutex<State>,
}

struct State {
    dice: StdRng,
    there: BTreeMap<SandboxId, Sandbox>,
    /// Asked for, and there only when nobody waits for it any more.
    late: Vec<(Instant, Sandbox)>,
    /// Destroyed ones, of which its list still tells now and then.
    gone: Vec<Sandbox>,
    made: u32,
    is_calm: bool,
}

impl Cloud {
    fn new(foreign: &[Uuid]) -> Arc<Self> {
        let there = foreign.iter().map(|id| (SandboxId(*id), sandbox(*id, None))).collect();
        let dice = StdRng::seed_from_u64(SEED);
        let state = State { dice, there, late: Vec::new(), gone: Vec::new(), made: 0, is_calm: false };
        Arc::new(Self { state: Mutex::new(state) })
    }

    fn ids(&self) -> BTreeSet<Uuid> {
        let state = self.state.lock();
        state.there.keys().map(|id| id.0).chain(state.late.iter().map(|(_, one)| one.id.0)).collect()
    }
}

impl State {
    /// True once in `sides`, in bad weather.
    fn strikes(&mut self, sides: u32) -> bool {
        !self.is_calm && self.dice.random_range(0..sides) == 0
    }

    fn arrive(&mut self) {
        let now = Instant::now();
        let (come, late): (Vec<_>, Vec<_>) = std::mem::take(&mut self.late).into_iter().partition(|(at, _)| *at <= now);
        self.late = late;
        self.there.extend(come.into_iter().map(|(_, one)| (one.id, one)));
    }
}

fn sandbox(id: Uuid, run: Option<RunId>) -> Sandbox {
    Sandbox {
        id: SandboxId(id),
        run,
        kind: SandboxKind::Local,
        state: SandboxState::Ready,
        created_ms: 0,
        lease_until_ms: u64::MAX,
        session_id: None,
        debugger_address: None,
        fence: 0,
    }
}

fn lost(id: SandboxId) -> SandboxError {
    SandboxError::Ambiguous { provider: NAME, id, reason: "the connection broke".into() }
}

fn away(id: SandboxId) -> SandboxError {
    SandboxError::Silent { id, reason: "503".into() }
}

#[async_trait]
impl SandboxProvider for Cloud {
    fn name(&self) -> &'static str {
        NAME
    }

    fn kind(&self) -> SandboxKind {
        SandboxKind::Local
    }

    async fn request(&self, request: &ProvisionRequest) -> Result<Sandbox, SandboxError> {
        let mut state = self.state.lock();
        state.arrive();
        let id = SandboxId(request.sandbox_id);
        if let Some(known) = state.there.get(&id) {
            return Ok(known.clone());
        }
        if state.strikes(8) {
            return Err(away(id));
        }
        let one = sandbox(request.sandbox_id, request.run);
        state.made += 1;
        if state.strikes(8) {
            let at = Instant::now() + Duration::from_millis(state.dice.random_range(0..4_000));
            state.late.push((at, one));
            return Err(lost(id));
        }
        state.there.insert(id, one.clone());
        if state.strikes(5) { Err(lost(id)) } else { Ok(one) }
    }

    async fn ready(&self, id: &SandboxId) -> Result<Sandbox, SandboxError> {
        let mut state = self.state.lock();
        state.arrive();
        state.there.get(id).cloned().ok_or(SandboxError::NotFound(*id))
    }

    async fn attach(&self, id: &SandboxId, _: FenceNumber) -> Result<Attachment, SandboxError> {
        Err(SandboxError::NotFound(*id))
    }

    async fn renew(&self, _: &SandboxId, _: Duration) -> Result<(), SandboxError> {
        Ok(())
    }

    async fn stage_file(&self, id: &SandboxId, _: Uuid, _: &str, _: &[u8]) -> Result<PathBuf, SandboxError> {
        Err(SandboxError::NotFound(*id))
    }

    async fn destroy(&self, id: &SandboxId) -> Result<(), SandboxError> {
        let mut state = self.state.lock();
        state.arrive();
        if state.strikes(5) {
            return Err(away(*id));
        }
        if let Some(one) = state.there.remove(id) {
            assert!(one.run.is_some(), "what is not ours was destroyed: {id}");
            state.gone.push(one);
        }
        if state.strikes(5) { Err(lost(*id)) } else { Ok(()) }
    }

    /// Leaves some out, shows some that are gone, and fails.
    async fn list(&self) -> Result<Vec<Sandbox>, SandboxError> {
        let mut state = self.state.lock();
        state.arrive();
        if state.strikes(10) {
            return Err(SandboxError::Rate { provider: NAME, again_in: Duration::from_millis(1) });
        }
        let all: Vec<Sandbox> = state.there.values().chain(state.gone.last()).cloned().collect();
        let shown = all.into_iter().filter(|_| !state.strikes(4));
        Ok(shown.collect())
    }
}

/// What the steps of a run do, and what becomes of them on the way.
struct House {
    cloud: Arc<Cloud>,
    whose: Whose,
    dice: Mutex<StdRng>,
    /// Of runs whose sandbox was ready.
    in_hand: Mutex<BTreeSet<Uuid>>,
}

impl House {
    fn strikes(&self, sides: u32) -> bool {
        self.dice.lock().random_range(0..sides) == 0
    }

    async fn provision(&self, ctx: &StepContext) -> Result<(), StepError> {
        let lease = Duration::from_mins(10);
        let request = ProvisionRequest {
            sandbox_id: ctx.run().0,
            run: Some(ctx.run()),
            allowed_hosts: Vec::new(),
            allow_private: Vec::new(),
            headless: true,
            lease,
            callback: None,
        };
        match rows::reserve(ctx, &self.whose, "cloud", &request, &Price::default()).await? {
            Reserved::Yes(_) => {}
            told => return Err(StepError::fail("refused", format!("{told:?}"))),
        }
        if self.strikes(20) {
            return Err(StepError::retry("killed", "before the call"));
        }
        // A worker's own each: one that rests would only make fewer of them.
        let provisioned = Guarded::new(Arc::clone(&self.cloud)).provision(&request).await;
        provisioned.map_err(|error| StepError::retry("sandbox", error))?;
        if self.strikes(20) {
            return Err(StepError::fail("killed", "after the call"));
        }
        if let Some(why) = rows::ready(ctx, SandboxId(ctx.run().0), lease).await? {
            return Err(StepError::fail("lost", why));
        }
        self.in_hand.lock().insert(ctx.run().0);
        Ok(())
    }

    async fn clean_up(&self, ctx: &StepContext) -> Result<(), StepError> {
        let id = SandboxId(ctx.run().0);
        if self.in_hand.lock().remove(&id.0) {
            assert!(self.cloud.ids().contains(&id.0), "{id} was ended while its run held it");
        }
        if self.strikes(5) {
            // Its run ends, and nobody cleaned up.
            return Ok(());
        }
        rows::stopping(ctx, id).await?;
        Guarded::new(Arc::clone(&self.cloud)).destroy(&id).await.map_err(|error| StepError::retry("sandbox", error))?;
        rows::destroyed(ctx, id).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_lives_at_a_faulty_provider_leave_nothing_there() {
    let cycles = std::env::var(CYCLES).map_or(CYCLES_USUAL, |text| text.parse().expect("a number"));
    let cluster = Cluster::start(PROGRAM, Shape { workers: 0, ..Shape::default() }).await;
    let foreign: Vec<Uuid> = (0..5).map(|_| Uuid::now_v7()).collect();
    let cloud = Cloud::new(&foreign);
    let whose = Whose { provider: NAME.to_owned(), host: None };
    let house = Arc::new(House {
        cloud: Arc::clone(&cloud),
        whose: whose.clone(),
        dice: Mutex::new(StdRng::seed_from_u64(SEED + 1)),
        in_hand: Mutex::default(),
    });
    let at_work = Arc::clone(&house);
    let handlers = Handlers::new().on(move |ctx: StepContext, step: Noop| {
        let house = Arc::clone(&at_work);
        async move {
            if step.n == 0 {
                house.provision(&ctx).await?;
            } else {
                house.clean_up(&ctx).await?;
            }
            Ok(step.n)
        }
    });
    let token = std::fs::read_to_string(cluster.folder().join("worker-token")).expect("a token");
    let engines = connect(&cluster.urls().join(","), &WorkerToken::new(token.trim())).expect("engines");
    let queue = QueueName::new("bench").expect("a queue");
    let tickets = ApalisRedis::new(ApalisRedisConfig::new(cluster.stack.redis_url())).expect("a queue");
    let worker = Worker::new(WorkerConfig::new("cloud", vec![queue], 16), handlers, engines, Arc::new(tickets))
        .expect("a worker");
    let (desk, handle) = (worker.desk(), worker.handle());
    let working = tokio::spawn(worker.run(std::future::pending()));
    // Two workers reach the provider.
    let reconciler = || {
        Reconciler::new(Arc::clone(&cloud) as Arc<dyn SandboxProvider>, desk.clone(), whose.clone())
            .reap_lease(REAP_LEASE)
    };
    let beside: Vec<_> = (0..2)
        .map(|_| {
            let reconciler = reconciler();
            tokio::spawn(async move { reconciler.run(Duration::from_millis(100)).await })
        })
        .collect();

    let api = cluster.api();
    for n in 0..cycles {
        api.start("bench", &json!({ "steps": 2 }), &format!("cycle-{n}")).await.expect("a run starts");
    }
    let oracle = cluster.oracle().await;
    oracle.ended("bench", cycles, SOON * 6).await;
    for task in beside {
        task.abort();
    }

    cloud.state.lock().is_calm = true;
    let last = reconciler();
    let begun = Instant::now();
    let kept: BTreeSet<Uuid> = foreign.into_iter().collect();
    let mut did = Vec::new();
    loop {
        let look = last.look().await.expect("an answer");
        did.push(look);
        let rows = desk.ask("sandbox", ResourceQuestion::List { labels: whose.labels(), keys: None }).await;
        let left = match rows.expect("an answer") {
            ResourceAnswer::Resources(rows) => rows.len(),
            other => panic!("not a list: {other:?}"),
        };
        if cloud.ids() == kept && left == 0 {
            break;
        }
        let there = cloud.ids().difference(&kept).count();
        assert!(begun.elapsed() < CLEAN_WITHIN, "{there} are left at the provider, {left} rows: {did:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let made = cloud.state.lock().made;
    println!("{cycles} runs, {made} sandboxes made, none left after {:?}", begun.elapsed());
    assert!(made >= cycles / 2, "{made} of {cycles}: were the faults the only thing that happened?");
    assert_eq!(last.look().await.expect("an answer").foreign, 5, "what is not ours is seen, and left alone");
    assert_ne!(did.first(), Some(&Reconciled::default()));
    handle.drain();
    working.await.expect("the worker ends").expect("it drained");
}
