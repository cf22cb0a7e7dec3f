//! `valet runs show`

use std::fmt::Write as _;

use serde_json::Value;
use valet_core::{Step as _, Timestamp};
use valet_engine::ports::{Clock, Machine};
use valet_protocol::api::{RunDetail, StepView};
use valet_workflows::job_application::steps::{SelectTier, TierChoice};

use crate::cli::client::Client;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::fields::Fields;
use crate::cli::output::Output;
use crate::cli::progress::pretty;
use crate::cli::style::Style;
use crate::cli::table::{Cell, Table};
use crate::cli::{money, reason, text, when};

pub async fn run(id: &str, client: &Client, output: &Output) -> Result<Exit, CliError> {
    let run = client.run(id).await?;
    output.either(&run, |style| render(&run, Machine.now(), style))?;
    Ok(Exit::Done)
}

fn render(detail: &RunDetail, now: Timestamp, style: Style) -> String {
    let run = &detail.run;
    let mut fields = Fields::new(style);
    fields.text("run", &run.id);
    fields.text("workflow", &run.workflow);
    fields.marked("status", &style.status(&run.status));
    if run.paused {
        fields.marked("paused", &format!("yes; valet runs resume {}", text::line(&run.id)));
    }
    if let Some(scope) = &run.paused_by_scope {
        fields.marked("paused", &format!("its {} is; valet pauses", text::line(scope)));
    }
    if let Some(line) = &run.status_line {
        fields.text(if run.ended_at.is_some() { "said last" } else { "says" }, line);
    }
    if let Some(reason) = run.reason.as_ref().filter(|_| run.ended_at.is_none()) {
        fields.text("waits for", &reason::short(reason, now));
    }
    if let Some(error) = &detail.error {
        fields.marked("error", &style.bad(&text::line(&format!("{}: {}", error.code, error.message))));
    }
    fields.text("subject", &run.subject);
    fields.text("plan", &run.plan);
    for (name, value) in &run.attributes {
        fields.text(
            "attribute",
            &format!("{name}={}", value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned)),
        );
    }
    if let Some(progress) = run.progress {
        fields.text("progress", &format!("{:.0} %", progress * 100.0));
    }
    if run.spent_usd_micros.is_some() || run.budget_usd_micros.is_some() {
        let spent = money::show(run.spent_usd_micros.unwrap_or_default());
        let of = run.budget_usd_micros.map(|budget| format!(" of {}", money::show(budget)));
        fields.text("spent", &format!("{spent}{}", of.unwrap_or_default()));
    }
    if let Some(from) = &detail.forked_from {
        fields.text("fork of", &format!("{} at entry {}, by {}", from.run, from.entry, from.by));
    }
    if let Some(parent) = &detail.parent {
        fields.text("parent", parent);
    }
    fields.text("started", &when::full(run.created_at, now));
    if let Some(end) = run.ended_at {
        fields.text(
            "ended",
            &format!("{}, took {}", when::full(end, now), when::took(when::between(run.created_at, end))),
        );
    }
    fields.text("revision", &run.revision.to_string());
    let mut text = fields.render();
    section(&mut text, style, "steps", &steps(&detail.steps, now, style));
    section(&mut text, style, "tiers", &tiers(&detail.steps));
    section(&mut text, style, "tasks for people", &tasks(detail, now, style));
    section(&mut text, style, "input", &payload(Some(&detail.input)));
    section(&mut text, style, "memo", &payload(detail.memo.as_ref()));
    section(&mut text, style, "output", &payload(detail.output.as_ref()));
    section(&mut text, style, "error details", &payload(detail.error.as_ref().and_then(|e| e.details.as_ref())));
    text
}

fn section(text: &mut String, style: Style, title: &str, body: &str) {
    if !body.is_empty() {
        let _ = write!(text, "\n{}\n{body}", style.bold(title));
    }
}

fn payload(value: Option<&Value>) -> String {
    value.filter(|value| !value.is_null()).map(pretty).unwrap_or_default()
}

fn steps(steps: &[StepView], now: Timestamp, style: Style) -> String {
    if steps.is_empty() {
        return String::new();
    }
    let mut table = Table::new(["#", "STEP", "QUEUE", "STATE", "ATTEMPT", "TOOK", "ERROR"]);
    for step in steps {
        let took = when::took(when::between(step.asked_at, step.ended_at.unwrap_or(now)));
        let error = step.error.as_ref().map(|e| format!("{}: {}", e.code, e.message)).unwrap_or_default();
        table.row([
            Cell::number(&step.seq),
            Cell::new(&step.name),
            Cell::new(&step.queue),
            Cell::marked(&step.state, Style::status),
            Cell::number(&step.attempt),
            Cell::number(&took),
            Cell::new(error),
        ]);
    }
    table.render(style)
}

/// Why each browser is of its tier, and what the run waits for at its site.
pub(super) fn tiers(steps: &[StepView]) -> String {
    let mut text = String::new();
    for step in steps.iter().filter(|step| step.name == SelectTier::NAME) {
        let Some(choice) = step.output.clone().and_then(|output| serde_json::from_value::<TierChoice>(output).ok())
        else {
            continue;
        };
        let _ =
            writeln!(text, "{}  {}: {}", step.seq, text::line(&choice.tier), text::line(&choice.reasons.join("; ")));
        if let Some(wait) = choice.wait {
            let until = wait.until.format("%Y-%m-%d %H:%M:%S UTC");
            let _ = writeln!(text, "{}  not before {until}: {}", step.seq, text::line(&wait.why));
        }
    }
    text
}

fn tasks(detail: &RunDetail, now: Timestamp, style: Style) -> String {
    if detail.tasks.is_empty() {
        return String::new();
    }
    crate::cli::human::table(&detail.tasks, now, style)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_run_shows_its_steps_its_tasks_and_its_payloads() {
        let detail: RunDetail = serde_json::from_value(json!({
            "id": "run_1", "workflow": "job-application", "subject": "ada", "plan": "free", "attributes": { "site": 3 },
            "status": "waiting", "paused": false, "revision": 9, "status_line": "waiting for a person",
            "reason": { "kind": "person", "reason": "review", "until": "2026-11-21T08:00:00Z" },
            "created_at": "2026-11-21T06:00:00Z", "updated_at": "2026-11-21T06:00:03Z",
            "input": { "job_url": "http://a/\u{1b}[2J" },
            "steps": [
                { "seq": 2, "name": "select-tier", "queue": "default", "state": "succeeded", "attempt": 1, "input": {},
                  "asked_at": "2026-11-21T06:00:00Z", "ended_at": "2026-11-21T06:00:00.012Z",
                  "output": { "tier": "local_headed", "host": "m1", "reasons": ["not local: its switch is off", "local_headed: the cheapest that fits"],
                              "wait": { "until": "2026-11-21T07:00:00Z", "why": "its policy has hours for the site" } } },
                { "seq": 5, "name": "fill-page", "queue": "browser", "state": "backing_off", "attempt": 2, "input": {},
                  "asked_at": "2026-11-21T06:00:01Z", "error": { "code": "page_timeout", "message": "no form" } },
            ],
            "tasks": [
                { "id": "task_1", "run": "run_1", "workflow": "job-application", "state": "open", "reason": "review",
                  "title": "Review the application", "form": {}, "context": {}, "deadline": "2026-11-21T08:00:00Z",
                  "opened_at": "2026-11-21T06:00:03Z" },
            ],
        }))
        .unwrap();
        let text = render(&detail, "2026-11-21T06:01:00Z".parse().unwrap(), Style::default());
        let expected = r#"run        run_1
workflow   job-application
status     waiting
says       waiting for a person
waits for  a person: review (ends in 1 h)
subject    ada
plan       free
attribute  site=3
started    2026-11-21 06:00:00 UTC (1 min ago)
revision   9

steps
#  STEP         QUEUE    STATE        ATTEMPT    TOOK  ERROR
2  select-tier  default  succeeded          1   12 ms
5  fill-page    browser  backing_off        2  59.0 s  page_timeout: no form

tiers
2  local_headed: not local: its switch is off; local_headed: the cheapest that fits
2  not before 2026-11-21 07:00:00 UTC: its policy has hours for the site

tasks for people
TASK    STATE  REASON  TITLE                   ENDS    RUN
task_1  open   review  Review the application  in 1 h  run_1

input
{
  "job_url": "http://a/\u001b[2J"
}
"#;
        assert_eq!(text, expected);
    }
}
