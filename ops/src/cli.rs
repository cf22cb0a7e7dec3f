//! The operator's verbs: clap subcommands that talk to an engine over its HTTP API.
//!
//! They decide nothing about runs: whatever they can do, any client of the API can. Results go to standard output,
//! notes and errors (`error: …`, one lowercase sentence) to standard error. With `--json`, standard output has the
//! machine's document and nothing else; `runs events` and `runs follow` print one document a line.
//!
//! Exit codes ([`EXIT_CODES`], from [`exit::Exit`]): 0 done or succeeded, 1 failed or refused, 2 the command line or its
//! input cannot be used, 3 cancelled or timed out, 4 no engine can serve, 5 the token, 130 following was stopped.

use clap::Subcommand;

pub mod client;
pub mod error;
pub mod exit;
pub mod global;
pub mod output;
pub mod progress;
pub mod replay;

mod audit;
mod bounds;
mod bulk;
mod doctor;
mod document;
mod fields;
mod files;
mod human;
mod limits;
mod money;
mod occurrences;
mod paging;
mod pauses;
mod queues;
mod reason;
mod runs;
mod sandboxes;
mod save;
mod schedules;
mod start;
mod style;
mod subjects;
mod table;
mod text;
mod tiers;
mod tokens;
mod webhooks;
mod when;
mod workers;
mod workflows;

pub use client::{Client, ClientConfig, install_tls};
pub use error::CliError;
pub use exit::{EXIT_CODES, Exit};
pub use global::Global;
pub use output::Output;

/// What an operator can ask for.
#[derive(Subcommand, Clone, Debug)]
pub enum Verb {
    /// Start a run and follow it to its end
    Run(start::Run),
    /// List, show, follow and operate runs
    Runs(Box<runs::Runs>),
    /// Cancel, retry, fork, pause, resume or delete all runs that a filter chooses
    Bulk(Box<bulk::Bulk>),
    /// List and answer tasks for people
    Human(human::Human),
    /// Show queues with their backlog and workers
    Queues,
    /// Show live workers
    Workers,
    /// Pause a workflow, a queue, a worker, a tenant or the engine: nothing new is granted, nothing is lost
    Pause(pauses::Pause),
    /// Let it go on
    Resume(pauses::Resume),
    /// Show what is paused beside single runs
    Pauses,
    /// Tell what happened, see what it started, and say what shall start
    Events(occurrences::Occurrences),
    /// Let other people's services start runs and publish events by their webhooks, and tell others what happens
    Webhooks(webhooks::Webhooks),
    /// Start runs at instants that are said before: make, show, pause, trigger and fill in schedules
    Schedules(schedules::Schedules),
    /// Limit how much is at work at once, or begins in a while
    Limits(limits::Limits),
    /// Show how browser tiers do, and the rules by which they are chosen
    Tiers(tiers::Tiers),
    /// Show the browsers that runs hold, what they cost, and end one
    Sandboxes(sandboxes::Sandboxes),
    /// Show workflows and what their inputs want
    Workflows(workflows::Workflows),
    /// Store and fetch files
    Files(files::Files),
    /// Make, list and revoke tokens
    Tokens(tokens::Tokens),
    /// Show, keep, take out and forget what is of an end user
    Subjects(subjects::Subjects),
    /// Show or export who changed what
    Audit(audit::Audit),
    /// Look for what is wrong with the engine, the token or this machine
    Doctor(doctor::Doctor),
}

/// Does what was asked, and tells what went wrong.
pub async fn run(verb: Verb, global: Global) -> u8 {
    let output = Output::detect(global.json);
    perform(verb, &global, &output).await.code()
}

async fn perform(verb: Verb, global: &Global, output: &Output) -> Exit {
    match dispatch(verb, global, output).await {
        Ok(exit) => exit,
        Err(error) if error.is_closed_pipe() => Exit::Done,
        Err(error) => {
            output.note(&format!("error: {}", text::line(&error.to_string())));
            error.exit()
        }
    }
}

async fn dispatch(verb: Verb, global: &Global, output: &Output) -> Result<Exit, CliError> {
    if let Verb::Doctor(_) = verb {
        // The doctor looks at settings that would not even make a client.
        return doctor::run(global, output).await;
    }
    let client = global.client()?;
    match verb {
        Verb::Run(args) => start::run(args, &client, output).await,
        Verb::Runs(args) => runs::run(*args, &client, output).await,
        Verb::Bulk(args) => bulk::run(*args, &client, output).await,
        Verb::Human(args) => human::run(args, &client, output).await,
        Verb::Queues => queues::run(&client, output).await,
        Verb::Workers => workers::run(&client, output).await,
        Verb::Pause(args) => pauses::pause(args, &client, output).await,
        Verb::Resume(args) => pauses::resume(args, &client, output).await,
        Verb::Pauses => pauses::list(&client, output).await,
        Verb::Events(args) => occurrences::run(args, &client, output).await,
        Verb::Webhooks(args) => webhooks::run(args, &client, output).await,
        Verb::Schedules(args) => schedules::run(args, &client, output).await,
        Verb::Limits(args) => limits::run(args, &client, output).await,
        Verb::Tiers(args) => tiers::run(args, &client, output).await,
        Verb::Sandboxes(args) => sandboxes::run(args, &client, output).await,
        Verb::Workflows(args) => workflows::run(args, &client, output).await,
        Verb::Files(args) => files::run(args, &client, output).await,
        Verb::Tokens(args) => tokens::run(args, &client, output).await,
        Verb::Subjects(args) => subjects::run(args, &client, output).await,
        Verb::Audit(args) => audit::run(args, &client, output).await,
        Verb::Doctor(_) => Ok(Exit::Done),
    }
}

#[cfg(test)]
mod tests;
