//! `valet workflows`: which there are, and what they want.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::Value;
use valet_protocol::api::{WorkflowRegistered, WorkflowView};

use super::client::Client;
use super::document;
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
    /// Show the JSON Schema of a workflow's input; of a declared workflow its definition
    Show {
        /// Name of the workflow
        name: String,
        /// Of a declared workflow [default: the newest]
        #[arg(long)]
        version: Option<u32>,
    },
    /// Register a declared workflow, or a new version of it
    Apply {
        /// The definition as JSON; `-` reads standard input
        file: PathBuf,
        /// Name of the workflow [default: the definition's own `name`]
        #[arg(long)]
        name: Option<String>,
        /// Only check the definition
        #[arg(long)]
        dry_run: bool,
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
        Some(WorkflowsVerb::Show { name, version }) => {
            let workflow = match version {
                Some(version) => client.workflow_version(&name, version).await?,
                None => client.workflow(&name).await?,
            };
            output.either(&workflow, |_| pretty(workflow.definition.as_ref().unwrap_or(&workflow.input_schema)))?;
        }
        Some(WorkflowsVerb::Apply { file, name, dry_run }) => {
            let definition = document::read("FILE", &file)?;
            let own = definition.get("name").and_then(Value::as_str).map(ToOwned::to_owned);
            let missing = || CliError::usage("the definition has no `name`; add one, or give --name");
            let name = name.or(own).ok_or_else(missing)?;
            let registered = client.register(&name, &definition, dry_run).await?;
            output.either(&registered, |_| told(&registered))?;
        }
        Some(WorkflowsVerb::ReplayCheck(_)) => {
            return Err(CliError::usage("`replay-check` is done by a program with workflows of its own"));
        }
    }
    Ok(Exit::Done)
}

fn told(registered: &WorkflowRegistered) -> String {
    match (registered.version, registered.created) {
        (Some(version), true) => format!("{}  version {version}", registered.name),
        (Some(version), false) => format!("{}  version {version}, as it was", registered.name),
        (None, _) => format!("{}  in order", registered.name),
    }
}

fn render(workflows: &[WorkflowView], style: Style) -> String {
    if workflows.is_empty() {
        return "no workflows".to_owned();
    }
    let mut table = Table::new(["WORKFLOW", "VERSION", "INPUT", "WHAT"]);
    for workflow in workflows {
        let schema = &workflow.input_schema;
        let text = |field: &str| schema.get(field).and_then(Value::as_str).unwrap_or_default();
        let version = workflow.version.map(|version| version.to_string()).unwrap_or_default();
        let (name, input) = (workflow.name.clone(), required(schema));
        table.row([name, version, input, text("description").to_owned()].map(Cell::new));
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
        let view =
            |name: &str, input_schema| WorkflowView { name: name.to_owned(), input_schema, ..WorkflowView::default() };
        let schema = json!({ "description": "One application", "required": ["job_url", "profile"] });
        let declared = WorkflowView { version: Some(3), ..view("orders", json!({ "required": ["id"] })) };
        let text = render(&[view("job-application", schema), view("bench", json!(true)), declared], Style::default());
        let expected = "\
WORKFLOW         VERSION  INPUT             WHAT
job-application           job_url, profile  One application
bench
orders           3        id
";
        assert_eq!(text, expected);
    }
}
