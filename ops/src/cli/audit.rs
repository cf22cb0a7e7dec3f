//! `valet audit`: who changed what, and from where.

use clap::{Args, Subcommand};
use valet_engine::ports::{Clock, Machine};
use valet_protocol::api::AuditEntry;

use super::bounds::PAGE_ROWS_MAX;
use super::client::Client;
use super::error::CliError;
use super::exit::Exit;
use super::output::Output;
use super::paging::{Paging, Rows, note_more};
use super::style::Style;
use super::table::{Cell, Table};
use super::when;

#[derive(Args, Clone, Debug)]
pub struct Audit {
    #[command(subcommand)]
    verb: Option<AuditVerb>,

    /// Only what was done to this id
    #[arg(long, value_name = "ID")]
    target: Option<String>,

    #[command(flatten)]
    paging: Paging,
}

#[derive(Subcommand, Clone, Debug)]
enum AuditVerb {
    /// Print all changes as JSON Lines, oldest first
    Export {
        /// Go on where another export ended: it says so at its end
        #[arg(long, value_name = "CURSOR")]
        after: Option<String>,
    },
}

pub async fn run(args: Audit, client: &Client, output: &Output) -> Result<Exit, CliError> {
    match args.verb {
        Some(AuditVerb::Export { after }) => export(after, client, output).await?,
        None => list(&args, client, output).await?,
    }
    Ok(Exit::Done)
}

async fn list(args: &Audit, client: &Client, output: &Output) -> Result<(), CliError> {
    let rows = args.paging.collect(async |cursor, rows| {
        let page = client.audit(args.target.as_deref(), "newest", cursor, rows).await?;
        // Each page names a place to go on from, the last one too.
        let next_cursor = page.next_cursor.filter(|_| page.entries.len() as u32 == rows);
        Ok(Rows { rows: page.entries, next_cursor })
    });
    let rows = rows.await?;
    output.either(&serde_json::json!({ "entries": rows.rows, "next_cursor": rows.next_cursor }), |style| {
        render(&rows.rows, style)
    })?;
    note_more(output, rows.next_cursor.as_deref());
    Ok(())
}

/// Page by page, so that its memory does not grow with the audit.
async fn export(mut after: Option<String>, client: &Client, output: &Output) -> Result<(), CliError> {
    loop {
        let page = client.audit(None, "oldest", after.as_deref(), PAGE_ROWS_MAX as u32).await?;
        let Some(next) = page.next_cursor.filter(|_| !page.entries.is_empty()) else { break };
        let lines: Vec<String> = page.entries.iter().filter_map(|entry| serde_json::to_string(entry).ok()).collect();
        output.print(&lines.join("\n"))?;
        after = Some(next);
    }
    if let Some(cursor) = after {
        output.note(&format!("what comes later: valet audit export --after {cursor}"));
    }
    Ok(())
}

fn render(entries: &[AuditEntry], style: Style) -> String {
    if entries.is_empty() {
        return "nobody changed anything".to_owned();
    }
    let now = Machine.now();
    let mut table = Table::new(["WHEN", "WHO", "FROM", "ACTION", "TARGET", "CHANGE"]);
    for entry in entries {
        let from = entry.address.as_deref().unwrap_or(&entry.via);
        table.row([
            Cell::new(when::relative(entry.at, now)),
            Cell::new(&entry.who),
            Cell::new(from),
            Cell::new(&entry.action),
            Cell::new(&entry.target),
            Cell::new(change(entry)),
        ]);
    }
    table.render(style)
}

/// What differs, in words: `waiting → cancelled`.
fn change(entry: &AuditEntry) -> String {
    let state = |value: &Option<serde_json::Value>| {
        let value = value.as_ref()?;
        let is_paused = value["paused"] == true;
        let Some(word) = ["status", "state"].into_iter().find_map(|key| value[key].as_str()) else {
            // Of what has no state besides: a workflow, a queue.
            return value["paused"].as_bool().map(|paused| if paused { "paused" } else { "not paused" }.to_owned());
        };
        Some(format!("{word}{}", if is_paused { ", paused" } else { "" }))
    };
    match (state(&entry.before), state(&entry.after)) {
        (Some(before), Some(after)) if before != after => format!("{before} → {after}"),
        (None, Some(after)) => after,
        _ => String::new(),
    }
}
