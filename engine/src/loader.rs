//! Loads runs, and the declared workflows of children that begin, in groups: what queued up while the last load ran is the
//! next statement.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use tokio::sync::mpsc;
use valet_core::id::RunId;
use valet_core::payload::Payload;

use crate::bounds::{DEFINITIONS_PER_LOAD_MAX, RUNS_PER_LOAD_MAX};
use crate::executor::{CommandError, Message};
use crate::routes::Routes;
use crate::store::{DeclaredName, Loaded, Store};

/// Serves executors' loads until the channel closes.
pub async fn run<S: Store + ?Sized>(store: Arc<S>, routes: Arc<Routes>, mut wanted: mpsc::UnboundedReceiver<RunId>) {
    let mut runs = Vec::with_capacity(RUNS_PER_LOAD_MAX);
    while wanted.recv_many(&mut runs, RUNS_PER_LOAD_MAX).await > 0 {
        let mut found: Result<HashMap<RunId, Loaded>, CommandError> = match store.load(&runs).await {
            Ok(loaded) => Ok(loaded.into_iter().collect()),
            Err(error) => {
                tracing::warn!(%error, runs = runs.len(), "runs could not be loaded");
                Err(CommandError::Unknown)
            }
        };
        for run in runs.drain(..) {
            let loaded = match &mut found {
                Ok(found) => Ok(found.remove(&run).map(Box::new)),
                Err(error) => Err(error.clone()),
            };
            routes.tell(routes.partition(run), Message::Loaded { run, loaded });
        }
    }
}

/// Serves executors' questions for declared workflows until the channel closes. Nothing is kept: the next child may begin with
/// a newer version.
pub async fn run_definitions<S: Store + ?Sized>(
    store: Arc<S>,
    routes: Arc<Routes>,
    mut wanted: mpsc::UnboundedReceiver<(RunId, DeclaredName)>,
) {
    let mut asked = Vec::with_capacity(DEFINITIONS_PER_LOAD_MAX);
    while wanted.recv_many(&mut asked, DEFINITIONS_PER_LOAD_MAX).await > 0 {
        let names: BTreeSet<DeclaredName> = asked.iter().map(|(_, name)| name.clone()).collect();
        let names: Vec<DeclaredName> = names.into_iter().collect();
        let found: Result<HashMap<DeclaredName, Payload>, CommandError> = match store.definitions(&names).await {
            Ok(found) => Ok(found.into_iter().collect()),
            Err(error) => {
                tracing::warn!(%error, names = names.len(), "declared workflows could not be read");
                Err(CommandError::Unknown)
            }
        };
        for (run, name) in asked.drain(..) {
            let definition = found.as_ref().map(|found| found.get(&name).cloned()).map_err(Clone::clone);
            routes.tell(routes.partition(run), Message::Defined { run, definition });
        }
    }
}

/// Removes messages to runs that have ended.
pub async fn run_discards<S: Store + ?Sized>(
    store: Arc<S>,
    mut discards: mpsc::UnboundedReceiver<(RunId, RunId, i64)>,
) {
    while let Some((to, from, number)) = discards.recv().await {
        if let Err(error) = store.discard_inbox(to, from, number).await {
            // The sweep finds it again.
            tracing::warn!(%error, "a message to an ended run stays for now");
        }
    }
}
