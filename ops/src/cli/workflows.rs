//! `valet workflows`: which there are, and what they want.

use clap::{Args, Subcommand};
use serde_json::Value;
use valet_protocol::api::WorkflowView;

use super::client::Client;
use super::error::CliError;
use super::exit::Exit;
use super::output::Output;
use super::progress::pretty;
use super::style::Style;
use super::table::{Cell, Table};
use crate::replay_check::ReplayCheckCommand;

#[derive(Args, Clone, Debug)]
pub struct Workflows {
    #[command(subcommand)]
    verb: Option<WorkflowsVerb>,
}

#[derive(Subcommand, Clone, Debug)]
enum WorkflowsVerb {
    /// List the workflows of the engine (the default)
    List,
    /// Show the JSON Schema of a workflow's input
    Show {
        /// Name of the workflow
        name: String,
    },
    /// Replay the journals of live runs against this program's code, and list what would be stuck; reads the database
    ReplayCheck(ReplayCheckCommand),
}

impl Workflows {
    /// Done by the program, which has the code.
    pub fn replay_check(&self) -> Option<&ReplayCheckCommand> {
        match &self.verb {
            Some(WorkflowsVerb::ReplayCheck(command)) => Some(command),
            _ => None,
        }
    }
}

pub async fn run(args: Workflows, client: &Client, output: &Output) -> Result<Exit, CliError> {
    match args.verb {
        None | Some(WorkflowsVerb::List) => {
            let list = client.workflows().await?;
            output.either(&list, |style| render(&list.workflows, style))?;
        }
        Some(WorkflowsVerb::Show { name }) => {
            let workflow = client.workflow(&name).await?;
            output.either(&workflow, |_| pretty(&workflow.input_schema))?;
        }
        Some(WorkflowsVerb::ReplayCheck(_)) => {
            return Err(CliError::usage("`replay-check` is done by a program with workflows of its own"));
        }
    }
    Ok(Exit::Done)
}

fn render(workflows: &[WorkflowView], style: Style) -> String {
    if workflows.is_empty() {
        return "no workflows".to_owned();
    }
    let mut table = Table::new(["WORKFLOW", "INPUT", "WHAT"]);
    for workflow in workflows {
        let schema = &workflow.input_schema;
        let text = |field: &str| schema.get(field).and_then(Value::as_str).unwrap_or_default();
        table.row([Cell::new(&workflow.name), Cell::new(required(schema)), Cell::new(text("description"))]);
    }
    table.render(style)
}

/// The names that an input must have.
fn required(schema: &Value) -> String {
    let names = schema.get("required").and_then(Value::as_array);
    names.map(|names| names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn workflows_show_what_their_input_must_have() {
        let view = |name: &str, input_schema| WorkflowView { name: name.to_owned(), input_schema, ..WorkflowView::default() };
        let schema = json!({ "description": "One application", "required": ["job_url", "profile"] });
        let text = render(&[view("job-application", schema), view("bench", json!(true))], Style::default());
        let expected = "\
WORKFLOW         INPUT             WHAT
job-application  job_url, profile  One application
bench
";
        assert_eq!(text, expected);
    }
}
