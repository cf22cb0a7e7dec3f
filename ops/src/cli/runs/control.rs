//! `valet runs pause | resume | cancel | retry | kill`: one thing done to each of several runs.

use valet_protocol::api::RunSummary;

use crate::cli::client::ClientError;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::output::Output;
use crate::cli::text;

/// Does it to every run, tells each result, and fails in the end if one failed. An engine that is away ends it at once.
pub async fn each(
    ids: &[String],
    output: &Output,
    act: impl AsyncFn(&str) -> Result<RunSummary, ClientError>,
) -> Result<Exit, CliError> {
    let mut done = Vec::new();
    let mut failures = Vec::new();
    for id in ids {
        match act(id).await {
            Ok(run) => {
                if !output.is_json() {
                    let status = if run.paused { "paused" } else { &run.status };
                    output.print(&format!("{}  {}", text::line(&run.id), output.style().status(status)))?;
                }
                done.push(run);
            }
            Err(error @ (ClientError::Refused(_) | ClientError::Forbidden(_))) if ids.len() > 1 => {
                output.note(&format!("error: {id}: {}", text::line(&error.to_string())));
                failures.push(error.exit());
            }
            Err(error) => return Err(error.into()),
        }
    }
    if output.is_json() {
        output.document(&serde_json::json!({ "runs": done }))?;
    }
    match failures.first() {
        Some(exit) => Err(CliError::Some { failed: failures.len(), of: ids.len(), exit: *exit }),
        None => Ok(Exit::Done),
    }
}
