//! `valet workflows replay-check`: what this program's workflow code would make of the runs that live, before it is deployed.
//!
//! It reads the database of the settings and changes nothing. Exit codes: 0 no run that goes on now would be stuck, 1 some would,
//! 2 the settings or the command line cannot be used, 4 the database cannot be read.

use std::sync::Arc;

use clap::Args;
use serde_json::json;
use valet_engine::replay_check::{Misfit, Replayed, replay_check};
use valet_engine::store::postgres::PgStore;

use crate::cli::Exit;
use crate::registry::Registry;
use crate::roles::master_keys;
use crate::settings::Settings;

/// Which runs.
#[derive(Args, Clone, Debug)]
pub struct ReplayCheckCommand {
    /// Only runs of this workflow [default: all]
    #[arg(long)]
    workflow: Option<String>,
}

/// Misfits that are listed one by one; all are counted.
const LISTED_MAX: usize = 1_000;

pub async fn run(command: &ReplayCheckCommand, settings: &Settings, registry: Registry, as_json: bool) -> u8 {
    let store = match open_store(settings).await {
        Ok(store) => store,
        Err(Unopened { code, problem }) => return failed(code, &problem),
    };
    let registry = Arc::new(registry.workflows);
    let mut misfits = Vec::new();
    let checked = replay_check(&store, &registry, command.workflow.as_deref(), |misfit| {
        if misfits.len() < LISTED_MAX {
            misfits.push(misfit);
        }
    });
    match checked.await {
        Ok(replayed) => {
            print(&replayed, &misfits, registry.build(), as_json);
            u8::from(misfits.iter().any(|misfit| !misfit.is_stuck))
        }
        Err(error) => failed(Exit::Unreachable.code(), &error.to_string()),
    }
}

/// Why a journal cannot be read, and the exit code that says so.
pub(crate) struct Unopened {
    pub code: u8,
    pub problem: String,
}

impl Unopened {
    pub fn new(exit: Exit, problem: &impl ToString) -> Self {
        Self { code: exit.code(), problem: problem.to_string() }
    }
}

/// The database of the settings with the keys of what is in it.
pub(crate) async fn open_store(settings: &Settings) -> Result<Arc<PgStore>, Unopened> {
    let masters = master_keys::read(settings).map_err(|error| Unopened::new(Exit::Usage, &error))?;
    let url = settings.text("database.url").map_err(|error| Unopened::new(Exit::Usage, &error))?;
    PgStore::connect(url, masters, 1).await.map_err(|error| Unopened::new(Exit::Unreachable, &error))
}

fn failed(code: u8, problem: &str) -> u8 {
    eprintln!("error: {problem}");
    code
}

fn print(replayed: &Replayed, misfits: &[Misfit], build: i64, as_json: bool) {
    if as_json {
        let listed = misfits.iter().map(|misfit| {
            let Misfit { run, workflow, is_stuck, why } = misfit;
            json!({ "run": run.to_string(), "workflow": workflow, "stuck_already": is_stuck, "why": why.explain(*run) })
        });
        println!("{}", json!({ "build": build, "runs": replayed, "misfits": listed.collect::<Vec<_>>() }));
        return;
    }
    for Misfit { run, workflow, is_stuck, why } in misfits {
        let when = if *is_stuck { "stays stuck" } else { "would be stuck" };
        println!("{run}  {workflow}  {when}: {}", why.explain(*run));
    }
    let Replayed { fit, mended, stuck, newer, unreadable } = replayed;
    println!(
        "build {build}: {fit} runs go on, {mended} stuck ones would go on, {stuck} would be or stay stuck, {newer} belong to a later build, {unreadable} cannot be read"
    );
}
