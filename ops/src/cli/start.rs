//! `valet run`: starts a run and follows it to its end.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Map, Value, json};
use uuid::Uuid;
use valet_protocol::api::StartRunRequest;

use super::client::Client;
use super::error::CliError;
use super::exit::{EXIT_CODES, Exit};
use super::output::Output;
use super::progress::{self, FollowEnd};
use super::{document, files, money};

#[derive(Args, Clone, Debug)]
#[command(after_help = EXIT_CODES)]
pub struct Run {
    /// Name of the workflow; `valet workflows` lists them
    pub workflow: String,

    #[command(flatten)]
    asked: Asked,

    /// File to upload and to name in the input's `documents`; may be repeated
    #[arg(long = "file", value_name = "KIND=PATH", value_parser = document::pair)]
    pub files: Vec<(String, String)>,

    /// The same key starts one run, however often the command is repeated
    #[arg(long, value_name = "IDEMPOTENCY_KEY")]
    pub key: Option<String>,

    /// Show progress until the run ends: the default
    #[arg(long, overrides_with = "no_follow")]
    pub follow: bool,

    /// Start the run, print its id, and be done
    #[arg(long, overrides_with = "follow")]
    pub no_follow: bool,
}

/// What is asked of a run, whenever it starts.
#[derive(Args, Clone, Debug)]
pub struct Asked {
    /// File with the input as JSON; `-` reads standard input
    #[arg(long, short, value_name = "FILE", conflicts_with = "json_input")]
    input: Option<PathBuf>,

    /// The input itself
    #[arg(long, value_name = "JSON")]
    json_input: Option<String>,

    /// End user on whose behalf the run works [default: the input's own `subject`]
    #[arg(long)]
    subject: Option<String>,

    /// Plan of the subject
    #[arg(long)]
    plan: Option<String>,

    /// Search attribute, never personal data; numbers, true and false keep their kind; may be repeated
    #[arg(long = "attribute", short, value_name = "NAME=VALUE", value_parser = document::pair)]
    attributes: Vec<(String, String)>,

    /// End the run as timed out if it has not ended by itself after so many seconds
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u32>,

    /// What the run may spend, in US dollars, before it is paused
    #[arg(long, value_name = "USD", value_parser = money::read)]
    budget: Option<u64>,
}

impl Asked {
    pub fn request(self) -> Result<StartRunRequest, CliError> {
        let input = match (&self.json_input, &self.input) {
            (Some(text), _) => document::parse("--json-input", text)?,
            (None, Some(path)) => document::read("--input", path)?,
            (None, None) => Value::Object(Map::new()),
        };
        Ok(StartRunRequest {
            input,
            subject: self.subject,
            plan: self.plan,
            attributes: document::attributes(&self.attributes),
            timeout_seconds: self.timeout,
            budget_usd_micros: self.budget,
        })
    }
}

pub async fn run(args: Run, client: &Client, output: &Output) -> Result<Exit, CliError> {
    let mut request = args.asked.request()?;
    let of_input = request.input.get("subject").and_then(Value::as_str).map(ToOwned::to_owned);
    let subject = request.subject.clone().or(of_input);
    if !args.files.is_empty() {
        // Before the first upload, so that a file is not stored for an input that cannot name it.
        documents(&mut request.input)?;
    }
    for (kind, path) in &args.files {
        let stored = files::upload(client, Path::new(path), subject.as_deref()).await?;
        documents(&mut request.input)?.push(json!({ "kind": kind.replace('-', "_"), "file": stored.id }));
    }
    // A key of our own lets the request be repeated when an engine goes away in the middle of it.
    let key = args.key.unwrap_or_else(|| Uuid::new_v4().to_string());
    let started = client.start(&args.workflow, &request, &key).await?;
    if args.no_follow {
        output.either(&started, |_| {
            let before = if started.created { "" } else { " (started before with this key)" };
            format!("{}{before}", started.id)
        })?;
        return Ok(Exit::Done);
    }
    follow(client, output, &started.id).await
}

/// Shows a run until it ends or Ctrl-C is pressed, then what came of it.
pub async fn follow(client: &Client, output: &Output, run: &str) -> Result<Exit, CliError> {
    match progress::follow(client, run, output, progress::ctrl_c()).await {
        Ok(FollowEnd::Ended(detail)) => progress::show_result(output, &detail),
        Ok(FollowEnd::Stopped) => {
            output.note(&format!("stopped following; the run goes on: valet runs follow {run}"));
            Ok(Exit::Stopped)
        }
        Err(error) => {
            if !error.is_closed_pipe() {
                output.note(&format!("following ended early; the run itself is not touched: valet runs follow {run}"));
            }
            Err(error)
        }
    }
}

fn documents(input: &mut Value) -> Result<&mut Vec<Value>, CliError> {
    let wrong = || CliError::usage("--file needs an input that is an object, whose `documents` is a list or absent");
    let object = input.as_object_mut().ok_or_else(wrong)?;
    object.entry("documents").or_insert_with(|| json!([])).as_array_mut().ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_join_the_documents_that_are_there() {
        let mut input = json!({ "documents": [{ "kind": "other", "file": "file_0" }] });
        documents(&mut input).unwrap().push(json!(1));
        assert_eq!(input["documents"].as_array().unwrap().len(), 2);
        let mut input = json!({});
        documents(&mut input).unwrap();
        assert_eq!(input, json!({ "documents": [] }));
        for mut wrong in [json!([]), json!({ "documents": "none" })] {
            assert!(documents(&mut wrong).is_err());
        }
    }
}
