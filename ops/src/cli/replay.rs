//! `valet runs replay`: one run's journal against this program's code, and entry by entry for a person who looks for what
//! went wrong.
//!
//! It reads the database of the settings, as `valet workflows replay-check` does, and changes nothing. Without
//! `--payloads` nothing that people or sites said is shown. Exit codes: 0 the code asks for what was recorded (or a later
//! build's code would have to be asked), 1 it does not, or there is no such run, 2 the settings or the command line cannot be
//! used, 4 the database or the journal cannot be read.

use std::io;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;
use valet_core::id::RunId;
use valet_core::journal::{Entry, StuckReason};
use valet_engine::replay_check::{Mismatch, ReplayedRun, Verdict, replay_run};

use super::error::CliError;
use super::exit::Exit;
use super::output::Output;
use super::text;
use crate::registry::Registry;
use crate::replay_check::{Unopened, open_store};
use crate::settings::Settings;

mod shown;
mod state;
mod terminal;
mod walk;
mod words;

use walk::Walk;

/// Which run, and how.
#[derive(Args, Clone, Debug)]
pub struct ReplayCommand {
    /// Id of the run
    id: String,
    /// Walk its journal entry by entry, with what each changes; a pipe or --json gets all of it
    #[arg(long)]
    step: bool,
    /// Show inputs, outputs, answers and other texts, which may be personal
    #[arg(long)]
    payloads: bool,
}

/// What came of it, for programs.
#[derive(Serialize)]
struct Summary {
    run: String,
    workflow: String,
    status: &'static str,
    /// Of this program.
    build: i64,
    /// The highest that advanced the run.
    run_build: i64,
    entries: usize,
    /// `fits`, `mends`, `newer_build` or `misfit`.
    verdict: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    misfit: Option<Place>,
}

#[derive(Serialize)]
struct Place {
    /// Number of the entry in the journal, from 1.
    entry: usize,
    revision: u32,
    index: usize,
    why: String,
}

/// Carries the command out, and tells what went wrong.
pub async fn run(command: &ReplayCommand, settings: &Settings, registry: Registry, json: bool) -> u8 {
    let output = Output::detect(json);
    let done = match open(command, settings, registry).await {
        Ok((walk, summary)) => tell(command, walk, &summary, &output).map(|()| summary.exit().code()),
        Err(Unopened { code, problem }) => {
            output.note(&format!("error: {}", text::line(&problem)));
            return code;
        }
    };
    match done {
        Ok(code) => code,
        Err(error) if error.is_closed_pipe() => Exit::Done.code(),
        Err(error) => {
            output.note(&format!("error: {}", text::line(&error.to_string())));
            error.exit().code()
        }
    }
}

async fn open(command: &ReplayCommand, settings: &Settings, registry: Registry) -> Result<(Walk, Summary), Unopened> {
    let id: RunId = command.id.parse().map_err(|error| Unopened::new(Exit::Usage, &error))?;
    let store = open_store(settings).await?;
    let registry = Arc::new(registry.workflows);
    let replayed = replay_run(&store, &registry, id).await;
    let replayed = replayed.map_err(|error| Unopened::new(Exit::Unreachable, &error))?;
    let Some(replayed) = replayed else {
        return Err(Unopened::new(Exit::Failed, &format!("there is no run {id} in this database")));
    };
    Ok(opened(replayed, registry.build(), command.payloads))
}

fn opened(replayed: ReplayedRun, build: i64, payloads: bool) -> (Walk, Summary) {
    let ReplayedRun { stored, verdict } = replayed;
    let mismatch = match &verdict {
        Verdict::Misfit(mismatch) => Some(mismatch.clone()),
        _ => None,
    };
    let (identity, run_build) = (stored.identity.clone(), stored.build);
    let walk =
        Walk::new(stored, mismatch.as_ref().map(|mismatch| (mismatch, explain(identity.id, mismatch))), payloads);
    let misfit = mismatch.map(|mismatch| Place {
        entry: walk.number_of(mismatch.revision, mismatch.index),
        revision: mismatch.revision,
        index: mismatch.index,
        why: explain(identity.id, &mismatch),
    });
    let summary = Summary {
        run: identity.id.to_string(),
        workflow: identity.workflow,
        status: walk.status_at_the_end(),
        build,
        run_build,
        entries: walk.len(),
        verdict: match verdict {
            Verdict::Fits => "fits",
            Verdict::Mends => "mends",
            Verdict::Newer => "newer_build",
            Verdict::Misfit(_) => "misfit",
        },
        misfit,
    };
    (walk, summary)
}

/// What the code does there; for what is rare, with the advice that a stuck run gets.
fn explain(run: RunId, mismatch: &Mismatch) -> String {
    match &mismatch.why {
        StuckReason::Mismatch { recorded, asked, .. } => format!("recorded was {recorded}, this code asks for {asked}"),
        StuckReason::Panicked { message } => format!("this code panics: {}", text::line(message)),
        StuckReason::Blocking => "this code does not give its thread back".to_owned(),
        StuckReason::UnknownWorkflow { name } => format!("this program has no workflow `{}`", text::line(name)),
        other => text::line(&other.explain(run)),
    }
}

fn tell(command: &ReplayCommand, walk: Walk, summary: &Summary, output: &Output) -> Result<(), CliError> {
    if !command.step {
        return output.either(summary, |_| summary.words());
    }
    if output.asks() {
        let summary = summary.words();
        return terminal::walk(walk, &summary, output.style(), &mut io::stdin().lock(), &mut io::stdout().lock())
            .map_err(CliError::Output);
    }
    for look in walk {
        if output.is_json() { output.document_line(&look)? } else { output.print(&look.render(output.style()))? }
    }
    if output.is_json() { output.document_line(summary) } else { output.print(&summary.words()) }
}

impl Summary {
    fn exit(&self) -> Exit {
        if self.misfit.is_some() { Exit::Failed } else { Exit::Done }
    }

    fn words(&self) -> String {
        let Self { run, workflow, status, build, run_build, entries, .. } = self;
        let workflow = text::line(workflow);
        let found = match (&self.misfit, self.verdict) {
            (Some(Place { entry, revision, index, why }), _) => {
                format!("build {build} leaves its journal at entry {entry} ({revision}.{index}): {why}")
            }
            (None, "mends") => format!("it is stuck; build {build} would go on with it: valet runs retry {run}"),
            (None, "newer_build") => {
                format!("build {run_build} advanced it; the code of build {build}, which is older, was not asked")
            }
            (None, _) => format!("build {build} asks for what its {entries} entries recorded"),
        };
        format!("{run}  {workflow}  {status}: {found}")
    }
}

/// The word that names an entry, or a part of it, in the journal.
fn kind(entry: &serde_json::Value) -> String {
    match entry {
        serde_json::Value::String(kind) => text::line(kind),
        serde_json::Value::Object(entry) => entry.keys().next().map(|kind| text::line(kind)).unwrap_or_default(),
        _ => "?".to_owned(),
    }
}

fn as_json(entry: &Entry) -> serde_json::Value {
    serde_json::to_value(entry).unwrap_or_default()
}

#[cfg(test)]
mod tests;
