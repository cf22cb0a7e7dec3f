//! `valet human answer`

use std::io;

use clap::Args;
use serde_json::Value;
use uuid::Uuid;
use valet_engine::ports::{Clock, Machine};
use valet_protocol::api::TaskView;

use super::form::Form;
use super::prompt::{self, Terminal};
use super::show;
use crate::cli::client::Client;
use crate::cli::document;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::output::Output;
use crate::cli::text;

#[derive(Args, Clone, Debug)]
pub struct Answer {
    /// Id of the task
    pub id: String,

    /// The whole answer
    #[arg(long = "answer", value_name = "JSON", conflicts_with = "set")]
    pub whole: Option<String>,

    /// One question's answer; may be repeated. `valet human show ID` names the questions
    #[arg(long, value_name = "NAME=VALUE", value_parser = document::pair)]
    pub set: Vec<(String, String)>,
}

pub async fn run(args: Answer, client: &Client, output: &Output) -> Result<Exit, CliError> {
    let answer = if let Some(text) = &args.whole {
        document::parse("--answer", text)?
    } else {
        let task = client.task(&args.id).await?;
        if !matches!(task.state.as_str(), "open" | "claimed") {
            return Err(CliError::TooLate(format!("the task is {} already", text::line(&task.state))));
        }
        if args.set.is_empty() { asked(task, output).await? } else { set(&task, &args.set)? }
    };
    let key = Uuid::new_v4().to_string();
    let task = client.answer(&args.id, answer, &key).await?;
    super::tell(&task, output)
}

fn set(task: &TaskView, pairs: &[(String, String)]) -> Result<Value, CliError> {
    let form = Form::read(&task.form)
        .ok_or_else(|| CliError::usage("this task's form has no questions to set; give the whole --answer as JSON"))?;
    form.answer(pairs).map(Value::Object).map_err(|why| CliError::usage(format!("--set {why}")))
}

async fn asked(task: TaskView, output: &Output) -> Result<Value, CliError> {
    if !output.asks() {
        let message = "give the answer with --set NAME=VALUE or --answer JSON, or run this at a terminal to be asked";
        return Err(CliError::usage(message));
    }
    let form = Form::read(&task.form)
        .ok_or_else(|| CliError::usage("this task's form cannot be asked here; give the whole --answer as JSON"))?;
    let style = output.style();
    output.print(&show::render(&task, Machine.now(), style))?;
    // Reading a terminal blocks; Ctrl-C ends the process here, and nothing was sent.
    let asking = move || {
        let mut terminal =
            Terminal { input: io::stdin().lock(), out: io::stdout().lock(), hidden: rpassword::read_password };
        prompt::ask(&form, style, &mut terminal)
    };
    let answer = tokio::task::spawn_blocking(asking).await.map_err(|_| CliError::usage("the questions broke off"))?;
    answer.map(Value::Object).map_err(|error| CliError::usage(error.to_string()))
}
