//! `valet runs`: lists runs, shows one, and does what operators do with them.

use clap::{Args, Subcommand};
use uuid::Uuid;
use valet_protocol::api::KillRequest;

use super::client::Client;
use super::error::CliError;
use super::exit::{EXIT_CODES, Exit};
use super::output::Output;
use super::replay::ReplayCommand;
use super::{document, money, start};

mod artifacts;
mod control;
mod counts;
mod events;
mod fork;
mod list;
mod report;
mod show;
mod start_many;

pub use artifacts::size;
pub use list::{List, Which};

#[derive(Args, Clone, Debug)]
pub struct Runs {
    #[command(subcommand)]
    verb: Option<RunsVerb>,

    #[command(flatten)]
    list: List,
}

#[derive(Subcommand, Clone, Debug)]
enum RunsVerb {
    /// List runs, newest first (the default)
    List(List),
    /// Count runs: live ones, and those that ended of the last day or another time
    Counts(list::Which),
    /// Start a run for each line of a file; one that is refused holds up no other
    StartMany(start_many::StartMany),
    /// Show a run with its steps, tasks, input and output
    Show {
        /// Id of the run
        id: String,
    },
    /// Show a run's progress until it ends
    #[command(visible_alias = "watch", after_help = EXIT_CODES)]
    Follow {
        /// Id of the run
        id: String,
    },
    /// Stop dispatching steps of runs; results, signals and answers are still taken
    Pause {
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
    },
    /// Let paused runs go on
    Resume {
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
    },
    /// End runs: waits end at once, running steps are told to stop, then clean-up runs
    Cancel {
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
        /// Why, for the journal
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// Let steps that ran out of attempts try again, and stuck runs be tried with the build at hand
    Retry {
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
    },
    /// End runs without waiting for what is at work; what they began outside ends by its own lease
    Kill {
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
        /// Let clean-ups run all the same
        #[arg(long)]
        with_cleanup: bool,
        /// Why, for the journal
        #[arg(long, default_value = "")]
        reason: String,
    },
    /// End a step that no worker holds with a given output, as if a worker had
    Skip {
        /// Id of the run
        id: String,
        /// Number of the step, as `valet runs show` tells it
        step: u32,
        /// What the step comes to, in the shape of its output; null for a clean-up
        #[arg(long, value_name = "JSON", default_value = "null")]
        output: String,
    },
    /// Give the next attempt of a step that no worker holds another input
    Edit {
        /// Id of the run
        id: String,
        /// Number of the step, as `valet runs show` tells it
        step: u32,
        /// The whole input, in the shape that the step's worker reads
        #[arg(long, value_name = "JSON")]
        input: String,
    },
    /// Start a run that keeps the first entries of another's journal, and does the rest anew
    Fork(fork::Fork),
    /// Change what a run may spend; one that waits for just that goes on
    Budget {
        /// Id of the run
        id: String,
        /// US dollars, or `none` for no bound
        #[arg(value_name = "USD", value_parser = budget)]
        amount: Budget,
    },
    /// Send a message to a channel of a run
    Signal {
        /// Id of the run
        id: String,
        /// Name of the channel
        name: String,
        /// The message
        #[arg(long, value_name = "JSON", default_value = "null")]
        payload: String,
        /// The same key sends it once, however often the command is repeated
        #[arg(long, value_name = "IDEMPOTENCY_KEY")]
        key: Option<String>,
    },
    /// Print a run's journal
    Events(events::Events),
    /// Replay a run's journal with this program's code, or walk it entry by entry; reads the database
    Replay(ReplayCommand),
    /// List the files that a run left, or save them
    Artifacts(artifacts::Artifacts),
    /// Write a run as one HTML file with its pictures, to keep or to hand on; it holds what the run holds
    Report(report::Report),
}

impl Runs {
    /// Done by the program, which has the code.
    pub fn replay(&self) -> Option<&ReplayCommand> {
        match &self.verb {
            Some(RunsVerb::Replay(command)) => Some(command),
            _ => None,
        }
    }
}

pub async fn run(args: Runs, client: &Client, output: &Output) -> Result<Exit, CliError> {
    let Some(verb) = args.verb else { return list::run(args.list, client, output).await };
    if args.list != List::default() {
        return Err(CliError::usage("filters belong behind `list`: valet runs list --status failed"));
    }
    match verb {
        RunsVerb::List(list) => list::run(list, client, output).await,
        RunsVerb::Counts(which) => counts::run(which, client, output).await,
        RunsVerb::StartMany(many) => start_many::run(many, client, output).await,
        RunsVerb::Show { id } => show::run(&id, client, output).await,
        RunsVerb::Follow { id } => events::follow(&id, client, output).await,
        RunsVerb::Pause { ids } => control::each(&ids, output, async |id| client.pause(id).await).await,
        RunsVerb::Resume { ids } => control::each(&ids, output, async |id| client.resume(id).await).await,
        RunsVerb::Cancel { ids, reason } => {
            control::each(&ids, output, async |id| client.cancel(id, &reason).await).await
        }
        RunsVerb::Retry { ids } => control::each(&ids, output, async |id| client.retry(id).await).await,
        RunsVerb::Kill { ids, with_cleanup, reason } => {
            let request = KillRequest { reason, cleanup: with_cleanup };
            control::each(&ids, output, async |id| client.kill(id, &request).await).await
        }
        RunsVerb::Skip { id, step, output: given } => {
            let given = document::parse("--output", &given)?;
            control::each(&[id], output, async |id| client.skip(id, step, given.clone()).await).await
        }
        RunsVerb::Edit { id, step, input } => {
            let input = document::parse("--input", &input)?;
            control::each(&[id], output, async |id| client.edit(id, step, input.clone()).await).await
        }
        RunsVerb::Fork(fork) => fork::run(fork, client, output).await,
        RunsVerb::Budget { id, amount } => {
            control::each(&[id], output, async |id| client.set_budget(id, amount.0).await).await
        }
        RunsVerb::Signal { id, name, payload, key } => {
            let payload = document::parse("--payload", &payload)?;
            let key = key.unwrap_or_else(|| Uuid::new_v4().to_string());
            client.signal(&id, &name, payload, &key).await?;
            output.either(&serde_json::json!({ "run": id, "signal": name, "key": key }), |_| "sent".to_owned())?;
            Ok(Exit::Done)
        }
        RunsVerb::Events(events) => events::run(events, client, output).await,
        RunsVerb::Replay(_) => Err(CliError::usage("`replay` is done by a program with workflows of its own")),
        RunsVerb::Artifacts(artifacts) => artifacts::run(artifacts, client, output).await,
        RunsVerb::Report(report) => report::run(report, client, output).await,
    }
}

/// Millionths of a US dollar; `None`: no bound.
#[derive(Clone, Copy, Debug)]
struct Budget(Option<u64>);

fn budget(text: &str) -> Result<Budget, String> {
    if text == "none" { Ok(Budget(None)) } else { money::read(text).map(|micros| Budget(Some(micros))) }
}

/// People follow with the progress view; with `--json` the events themselves are the output.
async fn follow_view(id: &str, client: &Client, output: &Output) -> Result<Exit, CliError> {
    start::follow(client, output, id).await
}
