//! `valet runs list`

use clap::Args;
use valet_core::Timestamp;
use valet_engine::ports::{Clock, Machine};
use valet_protocol::api::{BulkFilter, RunPage, RunSummary};

use crate::cli::client::{Client, RunFilter};
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::output::Output;
use crate::cli::paging::{Paging, Rows, note_more};
use crate::cli::reason;
use crate::cli::style::Style;
use crate::cli::table::{Cell, Table};
use crate::cli::when::{self, When};

/// Which runs.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct Which {
    /// Runs of this workflow
    #[arg(long, value_name = "NAME")]
    workflow: Option<String>,

    /// Runs on behalf of this end user
    #[arg(long, value_name = "SUBJECT")]
    subject: Option<String>,

    /// Runs with this attribute; numbers, true and false are taken for what they are; may be repeated
    #[arg(long = "attribute", value_name = "NAME=VALUE", value_parser = attribute)]
    attributes: Vec<(String, AttributeValue)>,

    /// Runs that ended with this error
    #[arg(long, value_name = "CODE")]
    error_code: Option<String>,

    /// Children of this run
    #[arg(long, value_name = "ID")]
    parent: Option<String>,

    /// Runs that began then or later: an instant, or how long ago, such as 2026-11-21T08:00:00Z or 12h
    #[arg(long, value_name = "WHEN", value_parser = when::instant_or_ago)]
    since: Option<When>,

    /// Runs that began earlier
    #[arg(long, value_name = "WHEN", value_parser = when::instant_or_ago)]
    until: Option<When>,
}

impl Which {
    pub(super) fn filter(self, now: Timestamp) -> RunFilter {
        let attributes: serde_json::Map<String, serde_json::Value> =
            self.attributes.into_iter().map(|(name, value)| (name, value.0)).collect();
        RunFilter {
            workflow: self.workflow,
            status: None,
            subject: self.subject,
            attributes: (!attributes.is_empty()).then(|| serde_json::Value::Object(attributes).to_string()),
            error_code: self.error_code,
            parent: self.parent,
            created_from: self.since.map(|when| when.at(now)),
            created_before: self.until.map(|when| when.at(now)),
        }
    }
}

impl Which {
    /// The same for a bulk operation.
    pub fn bulk_filter(self, status: Option<String>, now: Timestamp) -> BulkFilter {
        let attributes: serde_json::Map<String, serde_json::Value> =
            self.attributes.into_iter().map(|(name, value)| (name, value.0)).collect();
        BulkFilter {
            workflow: self.workflow,
            status: status.map(|words| words.split(',').map(|word| word.trim().to_owned()).collect()),
            subject: self.subject,
            attributes: (!attributes.is_empty()).then_some(attributes),
            error_code: self.error_code,
            parent: self.parent,
            created_from: self.since.map(|when| when.at(now)),
            created_before: self.until.map(|when| when.at(now)),
        }
    }
}

/// As `valet run --attribute` reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct AttributeValue(serde_json::Value);

fn attribute(text: &str) -> Result<(String, AttributeValue), String> {
    let (name, value) = text.split_once('=').ok_or_else(|| format!("`{text}`: write NAME=VALUE"))?;
    let plain =
        serde_json::from_str(value).ok().filter(|found: &serde_json::Value| found.is_number() || found.is_boolean());
    Ok((name.to_owned(), AttributeValue(plain.unwrap_or_else(|| value.into()))))
}

#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
pub struct List {
    #[command(flatten)]
    which: Which,

    /// Runs with one of these statuses, separated by commas: queued, running, waiting, closing, stuck, succeeded,
    /// failed, cancelled, timed_out
    #[arg(long, value_name = "STATUS")]
    status: Option<String>,

    #[command(flatten)]
    paging: Paging,
}

pub async fn run(args: List, client: &Client, output: &Output) -> Result<Exit, CliError> {
    let filter = RunFilter { status: args.status, ..args.which.filter(Machine.now()) };
    let found = args
        .paging
        .collect(async |cursor, rows| {
            let page = client.runs(&filter, cursor, rows).await?;
            Ok(Rows { rows: page.runs, next_cursor: page.next_cursor })
        })
        .await?;
    let page = RunPage { runs: found.rows, next_cursor: found.next_cursor };
    output.either(&page, |style| render(&page.runs, Machine.now(), style))?;
    if !output.is_json() {
        note_more(output, page.next_cursor.as_deref());
    }
    Ok(Exit::Done)
}

pub(super) fn render(runs: &[RunSummary], now: Timestamp, style: Style) -> String {
    if runs.is_empty() {
        return "no runs".to_owned();
    }
    let mut table = Table::new(["RUN", "WORKFLOW", "STATUS", "SUBJECT", "STARTED", "TOOK", "WHAT"]);
    for run in runs {
        let is_paused = run.paused || run.paused_by_scope.is_some();
        let status = if is_paused && run.ended_at.is_none() { "paused" } else { &run.status };
        let took = run.ended_at.map(|end| when::took(when::between(run.created_at, end)));
        table.row([
            Cell::new(&run.id),
            Cell::new(&run.workflow),
            Cell::marked(status, Style::status),
            Cell::new(&run.subject),
            Cell::new(when::relative(run.created_at, now)),
            Cell::new(took.unwrap_or_default()),
            Cell::new(what(run, now)),
        ]);
    }
    table.render(style)
}

/// What went wrong, else what holds it, else what it says of itself.
fn what(run: &RunSummary, now: Timestamp) -> String {
    if let Some(code) = &run.error_code {
        return code.clone();
    }
    if run.ended_at.is_some() && run.status != "succeeded" {
        // What it said last was of the moment before, not of its end.
        return String::new();
    }
    let reason = run.reason.as_ref().filter(|_| run.ended_at.is_none()).map(|reason| reason::short(reason, now));
    reason.or_else(|| run.status_line.clone()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn attributes_are_what_they_look_like() {
        let which = |texts: &[&str]| Which {
            attributes: texts.iter().map(|text| attribute(text).unwrap()).collect(),
            ..Which::default()
        };
        let now = "2026-11-21T06:05:00Z".parse().unwrap();
        let filter = which(&["site=acme=1", "tries=3", "direct=true", "id=007", "none="]).filter(now);
        let expected = json!({ "site": "acme=1", "tries": 3, "direct": true, "id": "007", "none": "" });
        assert_eq!(filter.attributes.unwrap(), expected.to_string());
        assert_eq!(which(&[]).filter(now), RunFilter::default());
        assert!(attribute("site").is_err());
    }

    #[test]
    fn a_list_tells_why_each_run_stands_where_it_does() {
        let page = json!([
            { "id": "run_1", "workflow": "job-application", "subject": "ada", "plan": "free", "attributes": {},
              "status": "waiting", "paused": false, "revision": 9, "status_line": "waiting for a person",
              "reason": { "kind": "person", "reason": "unknown_question", "until": "2026-11-21T08:00:00Z" },
              "created_at": "2026-11-21T06:00:00Z", "updated_at": "2026-11-21T06:00:03Z" },
            { "id": "run_2", "workflow": "job-application", "subject": "bob", "plan": "free", "attributes": {},
              "status": "failed", "paused": false, "revision": 9, "error_code": "rejected",
              "created_at": "2026-11-21T05:00:00Z", "updated_at": "2026-11-21T05:00:03Z", "ended_at": "2026-11-21T05:00:03.400Z" },
            { "id": "run_4", "workflow": "bench", "subject": "bob", "plan": "free", "attributes": {},
              "status": "cancelled", "paused": false, "revision": 9, "status_line": "waiting for a person",
              "created_at": "2026-11-21T05:00:00Z", "updated_at": "2026-11-21T05:00:03Z", "ended_at": "2026-11-21T05:00:03Z" },
            { "id": "run_3", "workflow": "bench", "subject": "default", "plan": "free", "attributes": {},
              "status": "running", "paused": true, "revision": 2,
              "created_at": "2026-11-20T06:00:00Z", "updated_at": "2026-11-20T06:00:03Z" },
            { "id": "run_5", "workflow": "bench", "subject": "default", "plan": "free", "attributes": {},
              "status": "waiting", "paused": false, "paused_by_scope": "workflow", "revision": 2, "reason": { "kind": "held" },
              "created_at": "2026-11-20T06:00:00Z", "updated_at": "2026-11-20T06:00:03Z" },
        ]);
        let runs: Vec<RunSummary> = serde_json::from_value(page).unwrap();
        let text = render(&runs, "2026-11-21T06:05:00Z".parse().unwrap(), Style::default());
        let expected = "\
RUN    WORKFLOW         STATUS     SUBJECT  STARTED    TOOK   WHAT
run_1  job-application  waiting    ada      5 min ago         a person: unknown_question (ends in 1 h)
run_2  job-application  failed     bob      1 h ago    3.4 s  rejected
run_4  bench            cancelled  bob      1 h ago    3.0 s
run_3  bench            paused     default  24 h ago
run_5  bench            paused     default  24 h ago          results wait for a resume; see valet pauses
";
        assert_eq!(text, expected);
        assert_eq!(render(&[], "2026-11-21T06:05:00Z".parse().unwrap(), Style::default()), "no runs");
    }
}
