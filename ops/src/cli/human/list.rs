//! `valet human list`

use clap::Args;
use valet_engine::ports::{Clock, Machine};
use valet_protocol::api::TaskPage;

use crate::cli::client::Client;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::output::Output;
use crate::cli::paging::{Paging, Rows, note_more};

#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct List {
    /// All tasks of this run, ended ones too
    #[arg(long, value_name = "ID")]
    pub run: Option<String>,

    #[command(flatten)]
    pub paging: Paging,
}

pub async fn run(args: List, client: &Client, output: &Output) -> Result<Exit, CliError> {
    let found = args
        .paging
        .collect(async |cursor, rows| {
            let page = client.tasks(args.run.as_deref(), cursor, rows).await?;
            Ok(Rows { rows: page.tasks, next_cursor: page.next_cursor })
        })
        .await?;
    let page = TaskPage { tasks: found.rows, next_cursor: found.next_cursor };
    output.either(&page, |style| match (page.tasks.is_empty(), &args.run) {
        (true, None) => "nobody is asked for anything".to_owned(),
        (true, Some(_)) => "the run has asked nobody".to_owned(),
        (false, _) => super::table(&page.tasks, Machine.now(), style),
    })?;
    if !output.is_json() {
        note_more(output, page.next_cursor.as_deref());
    }
    Ok(Exit::Done)
}
