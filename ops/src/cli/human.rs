//! `valet human`: tasks for people.

use clap::{Args, Subcommand};
use valet_core::Timestamp;
use valet_protocol::api::TaskView;

use super::client::Client;
use super::error::CliError;
use super::exit::Exit;
use super::output::Output;
use super::style::Style;
use super::table::{Cell, Table};
use super::when;

mod answer;
mod form;
mod list;
mod prompt;
mod show;

use list::List;

#[derive(Args, Clone, Debug)]
pub struct Human {
    #[command(subcommand)]
    verb: Option<HumanVerb>,

    #[command(flatten)]
    list: List,
}

#[derive(Subcommand, Clone, Debug)]
enum HumanVerb {
    /// List the open tasks by deadline (the default), or all tasks of one run
    List(List),
    /// Show a task with its questions
    Show {
        /// Id of the task
        id: String,
    },
    /// Take a task, so that others see who is at it
    Claim {
        /// Id of the task
        id: String,
    },
    /// Hand a claimed task back, for whoever comes next
    Release {
        /// Id of the task
        id: String,
    },
    /// Answer a task; at a terminal its questions are asked one by one
    Answer(answer::Answer),
    /// Decline a task; the workflow decides what that means
    Reject {
        /// Id of the task
        id: String,
        /// Why, for the workflow and its journal
        #[arg(long)]
        reason: String,
    },
}

pub async fn run(args: Human, client: &Client, output: &Output) -> Result<Exit, CliError> {
    let Some(verb) = args.verb else { return list::run(args.list, client, output).await };
    if args.list != List::default() {
        return Err(CliError::usage("filters belong behind `list`: valet human list --run ID"));
    }
    match verb {
        HumanVerb::List(list) => list::run(list, client, output).await,
        HumanVerb::Show { id } => show::run(&id, client, output).await,
        HumanVerb::Claim { id } => {
            let task = client.claim(&id).await?;
            tell(&task, output)
        }
        HumanVerb::Release { id } => {
            let task = client.release(&id).await?;
            tell(&task, output)
        }
        HumanVerb::Answer(answer) => answer::run(answer, client, output).await,
        HumanVerb::Reject { id, reason } => {
            let key = uuid::Uuid::new_v4().to_string();
            let task = client.reject(&id, &reason, &key).await?;
            tell(&task, output)
        }
    }
}

/// What became of a task.
fn tell(task: &TaskView, output: &Output) -> Result<Exit, CliError> {
    output.either(task, |style| format!("{}  {}", task.id, style.status(&task.state)))?;
    Ok(Exit::Done)
}

/// Tasks as a table, for lists and for the run that they belong to.
pub fn table(tasks: &[TaskView], now: Timestamp, style: Style) -> String {
    let mut table = Table::new(["TASK", "STATE", "REASON", "TITLE", "ENDS", "BY", "RUN"]);
    for task in tasks {
        let open = matches!(task.state.as_str(), "open" | "claimed");
        let by = task.ended_by.as_ref().or(task.claimed_by.as_ref());
        table.row([
            Cell::new(&task.id),
            Cell::marked(&task.state, Style::status),
            Cell::new(&task.reason),
            Cell::new(&task.title),
            Cell::new(if open { when::relative(task.deadline, now) } else { String::new() }),
            Cell::new(by.map_or("", String::as_str)),
            Cell::new(&task.run),
        ]);
    }
    table.render(style)
}
