//! Producers: they start runs under idempotency keys, several at once, again until they are answered.

use std::sync::Arc;
use std::time::Duration;

use valet_core::command::{IdempotencyKey, StartRun};
use valet_core::{Payload, Workflow};
use valet_engine::audit::Deed;
use valet_engine::engine::{StartError, Started};

use super::fleet::Fleet;
use crate::program::{Interpreter, NEWEST_BUILD, Program};
use crate::world::Violation;

/// How long a producer keeps asking once the world is calm.
const PATIENCE: Duration = Duration::from_mins(1);

/// A start that several producers send at about the same time.
pub(crate) struct PlannedStart {
    pub at: Duration,
    pub program: Program,
    pub producers: u32,
    /// Somebody else uses the key for another request.
    pub conflict: bool,
}

/// Sends one planned start until every producer knows its run.
pub(crate) async fn start(fleet: Arc<Fleet>, plan: PlannedStart) {
    tokio::time::sleep_until(fleet.world.at(plan.at)).await;
    let mut producers = tokio::task::JoinSet::new();
    for number in 0..plan.producers {
        producers.spawn(produce(Arc::clone(&fleet), request(&plan.program, 1), plan.program.name.clone(), number));
    }
    if plan.conflict {
        producers.spawn(clash(Arc::clone(&fleet), plan.program.clone()));
    }
    while producers.join_next().await.is_some() {}
}

fn request(program: &Program, hash: u8) -> StartRun {
    StartRun {
        tenant: "acme".to_owned(),
        subject: "somebody".to_owned(),
        workflow: Interpreter::<NEWEST_BUILD>::NAME.to_owned(),
        plan: "free".to_owned(),
        attributes: serde_json::Map::new(),
        input: Payload::of(program).unwrap_or_default(),
        definition: None,
        parent: None,
        idempotency: Some(IdempotencyKey { key: program.name.clone(), request_hash: [hash; 32] }),
    }
}

async fn produce(fleet: Arc<Fleet>, start: StartRun, key: String, number: u32) {
    let world = &fleet.world;
    let mut round = 0;
    while world.elapsed() < world.knobs.calm_at + PATIENCE {
        let place = (number + round) as usize % fleet.len();
        round += 1;
        let request = start.clone();
        let answer = fleet
            .ask(place, |engine| async move { engine.start_run(Deed::queued(&request.tenant), request).await })
            .await;
        match answer {
            Some(Ok(started)) => {
                started_rightly(&fleet, started, &start);
                world.ledger.lock().starts.entry(key).or_default().push(started);
                return;
            }
            // The other body was first; that is for the other producer to know.
            Some(Err(StartError::KeyTaken(_))) => return,
            Some(Err(_)) | None => tokio::time::sleep(Duration::from_millis(150)).await,
        }
    }
    world.violated(Violation { run: None, text: format!("{key}: a start was never answered") });
}

/// The run is committed, and it is the one of this very request.
fn started_rightly(fleet: &Fleet, started: Started, start: &StartRun) {
    let (Started::Created(run) | Started::Existing(run)) = started;
    let Some(key) = &start.idempotency else { return };
    let tables = fleet.world.tables.lock();
    let committed = tables.runs.contains_key(&run);
    let known = tables.find_idempotent(&start.tenant, &start.workflow, &key.key);
    drop(tables);
    if !committed || known != Some((run, key.request_hash.to_vec())) {
        let text = format!("{}: a start was answered with a run that is not committed, or not its own", key.key);
        fleet.world.violated(Violation { run: Some(run), text });
    }
}

/// The same key for another request must not start a run of its own.
async fn clash(fleet: Arc<Fleet>, program: Program) {
    let other = Program { name: program.name.clone(), nodes: Vec::new() };
    let request = request(&other, 2);
    let asked = request.clone();
    // One request: whichever is first has the key.
    if let Some(Ok(started)) =
        fleet.ask(0, |engine| async move { engine.start_run(Deed::queued(&asked.tenant), asked).await }).await
    {
        started_rightly(&fleet, started, &request);
    }
}
