//! `valet runs events` and `valet runs follow`: a run's journal.

use clap::Args;
use valet_protocol::api::RunEvent;

use crate::cli::bounds::EVENTS_QUIET;
use crate::cli::client::{Client, EventId};
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::output::Output;
use crate::cli::progress::{ctrl_c, entry_line};

#[derive(Args, Clone, Debug)]
pub struct Events {
    /// Id of the run
    pub id: String,

    /// Only what comes after this event
    #[arg(long, value_name = "REVISION.INDEX")]
    pub after: Option<EventId>,

    /// Go on with what is added, until the run ends
    #[arg(long, short)]
    pub follow: bool,
}

pub async fn run(args: Events, client: &Client, output: &Output) -> Result<Exit, CliError> {
    if args.follow {
        return tail(&args, client, output).await;
    }
    let revision = client.run(&args.id).await?.run.revision;
    so_far(&args.id, args.after, revision, client, |event| print(&event, output).map(|()| true)).await?;
    Ok(Exit::Done)
}

/// The journal behind `after` up to a revision, as long as `each` wants more.
pub(super) async fn so_far(
    id: &str,
    after: Option<EventId>,
    revision: u32,
    client: &Client,
    mut each: impl FnMut(RunEvent) -> Result<bool, CliError>,
) -> Result<(), CliError> {
    // Events up to this revision are there; of its last entry nothing says that it is the last, except silence.
    let mut stream = client.events(id, after);
    let mut reached = after.is_some_and(|after| after.revision >= revision);
    loop {
        let event = if reached {
            match tokio::time::timeout(EVENTS_QUIET, stream.next()).await {
                Ok(event) => event?,
                Err(_) => break,
            }
        } else {
            stream.next().await?
        };
        let Some(event) = event else { break };
        reached = event.revision >= revision;
        if !each(event)? {
            break;
        }
    }
    Ok(())
}

/// With `--json`, events as they come; people get the progress view.
pub async fn follow(id: &str, client: &Client, output: &Output) -> Result<Exit, CliError> {
    if !output.is_json() {
        return super::follow_view(id, client, output).await;
    }
    let args = Events { id: id.to_owned(), after: None, follow: true };
    match tail(&args, client, output).await? {
        Exit::Done => Ok(Exit::of_status(&client.run(id).await?.run.status)),
        other => Ok(other),
    }
}

async fn tail(args: &Events, client: &Client, output: &Output) -> Result<Exit, CliError> {
    let mut stream = client.events(&args.id, args.after);
    let print_all = async {
        while let Some(event) = stream.next().await? {
            print(&event, output)?;
        }
        Ok(Exit::Done)
    };
    tokio::select! {
        ended = print_all => ended,
        () = ctrl_c() => Ok(Exit::Stopped),
    }
}

fn print(event: &RunEvent, output: &Output) -> Result<(), CliError> {
    if output.is_json() { output.document_line(event) } else { output.print(&entry_line(event, output.style())) }
}
