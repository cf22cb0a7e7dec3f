//! `valet human show`: a task as the person sees it who is to answer it.

use std::fmt::Write as _;

use serde_json::{Map, Value};
use valet_core::Timestamp;
use valet_engine::ports::{Clock, Machine};
use valet_protocol::api::TaskView;

use super::form::Form;
use crate::cli::client::Client;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::fields::Fields;
use crate::cli::output::Output;
use crate::cli::progress::pretty;
use crate::cli::style::Style;
use crate::cli::table::{Cell, Table};
use crate::cli::{text, when};

pub async fn run(id: &str, client: &Client, output: &Output) -> Result<Exit, CliError> {
    let task = client.task(id).await?;
    output.either(&task, |style| {
        let mut text = render(&task, Machine.now(), style);
        if matches!(task.state.as_str(), "open" | "claimed") {
            text.push_str(&questions(&task, style));
        }
        text
    })?;
    Ok(Exit::Done)
}

/// The task without its questions.
pub(super) fn render(task: &TaskView, now: Timestamp, style: Style) -> String {
    let mut fields = Fields::new(style);
    fields.text("task", &task.id);
    fields.marked("title", &style.bold(&text::line(&task.title)));
    fields.text("reason", &task.reason);
    fields.marked("state", &style.status(&task.state));
    for (name, by) in [("claimed by", &task.claimed_by), ("ended by", &task.ended_by)] {
        if let Some(by) = by {
            fields.text(name, by);
        }
    }
    fields.text("run", &format!("{} ({})", task.run, task.workflow));
    fields.text("asked", &when::full(task.opened_at, now));
    fields.text("ends", &when::full(task.deadline, now));
    let mut context = task.context.as_object().cloned().unwrap_or_default();
    // The questions are the form's own.
    context.remove("questions");
    let written = context.remove("fields");
    if let Some(url) = context.remove("url").as_ref().and_then(Value::as_str) {
        fields.text("page", url);
    }
    if let Some(file) = context.remove("screenshot").as_ref().and_then(Value::as_str) {
        fields.text("screenshot", &format!("valet files get {file}"));
    }
    let mut text = fields.render();
    if let Some(table) = written.as_ref().and_then(Value::as_array).map(|fields| filled(fields, style)) {
        let _ = write!(text, "\n{}\n{table}", style.bold("what was filled in"));
    }
    context.retain(|_, value| !value.is_null());
    if !context.is_empty() {
        let _ = write!(text, "\n{}\n{}", style.bold("context"), pretty(&Value::Object(context)));
    }
    text
}

fn filled(fields: &[Value], style: Style) -> String {
    let mut table = Table::new(["FIELD", "VALUE"]);
    let none = Map::new();
    for field in fields {
        let field = field.as_object().unwrap_or(&none);
        let text = |name: &str| field.get(name).and_then(Value::as_str).unwrap_or_default();
        table.row([Cell::new(text("label")), Cell::new(text("value"))]);
    }
    table.render(style)
}

fn questions(task: &TaskView, style: Style) -> String {
    let Some(form) = Form::read(&task.form) else {
        let command = format!("valet human answer {} --answer JSON", text::line(&task.id));
        return format!("\n{}\n{}\n{command}\n", style.bold("form"), pretty(&task.form));
    };
    let mut text = format!("\n{}\n", style.bold("questions"));
    for field in &form.fields {
        let _ = writeln!(text, "  {}  {}", text::line(&field.name), field.question(style));
    }
    let sets: Vec<String> = form.fields.iter().map(|field| format!("--set {}=…", text::line(&field.name))).collect();
    let _ = writeln!(text, "\nvalet human answer {} {}", text::line(&task.id), sets.join(" "));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_review_shows_what_was_filled_in_and_where_to_look() {
        let task: TaskView = serde_json::from_value(json!({
            "id": "task_1", "run": "run_1", "workflow": "job-application", "state": "open", "reason": "review",
            "title": "Review the application", "deadline": "2026-11-21T08:00:00Z", "opened_at": "2026-11-21T06:00:00Z",
            "form": { "type": "object", "required": ["approve"],
                      "properties": { "approve": { "type": "boolean", "title": "Send this application?" } } },
            "context": { "fields": [{ "label": "E-mail", "kind": "email", "value": "ada@example.org" }],
                         "screenshot": "file_1", "url": null, "questions": [], "note": "x" },
        }))
        .unwrap();
        let style = Style::default();
        let text = render(&task, "2026-11-21T06:01:00Z".parse().unwrap(), style) + &questions(&task, style);
        let expected = r#"task        task_1
title       Review the application
reason      review
state       open
run         run_1 (job-application)
asked       2026-11-21 06:00:00 UTC (1 min ago)
ends        2026-11-21 08:00:00 UTC (in 1 h)
screenshot  valet files get file_1

what was filled in
FIELD   VALUE
E-mail  ada@example.org

context
{
  "note": "x"
}

questions
  approve  Send this application? (yes or no)

valet human answer task_1 --set approve=…
"#;
        assert_eq!(text, expected);
    }
}
