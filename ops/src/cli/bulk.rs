//! `valet bulk`: one action on all runs that a filter chooses, as an object that can be watched, held up and taken back.

use std::future::Future;
use std::io::{self, BufRead, Write};
use std::time::{Duration, Instant};

use clap::{Args, Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use uuid::Uuid;
use valet_core::Timestamp;
use valet_engine::ports::{Clock, Machine};
use valet_protocol::api::{BulkAction, BulkFilter, BulkFork, BulkOperationRequest, BulkOperationView, BulkPreview};

use super::bounds::{BULK_LOOK_EVERY, BULK_TOLD_EVERY};
use super::client::Client;
use super::error::CliError;
use super::exit::{EXIT_CODES, Exit};
use super::fields::Fields;
use super::output::Output;
use super::paging::{Paging, Rows, note_more};
use super::progress::ctrl_c;
use super::runs::Which;
use super::style::Style;
use super::table::{Cell, Table};
use super::{text, when};

#[derive(Args, Clone, Debug)]
pub struct Bulk {
    #[command(subcommand)]
    verb: Option<BulkVerb>,
}

#[derive(Subcommand, Clone, Debug)]
enum BulkVerb {
    /// List bulk operations, newest first [default]
    List(Paging),
    /// Do something to all runs that fit; at least one filter
    #[command(after_help = EXIT_CODES)]
    Start(Box<Start>),
    /// Show how far one is, and the first runs on which it failed
    #[command(after_help = EXIT_CODES)]
    Show {
        id: String,
        /// Show its progress until it ends
        #[arg(long)]
        follow: bool,
    },
    /// Begin nothing more of it until it is resumed
    Pause { id: String },
    /// Go on with one that was paused
    Resume { id: String },
    /// Leave the rest as it is; what was done stays done
    Cancel { id: String },
    /// Make it faster or slower
    Rate {
        id: String,
        /// Runs a second, 1 to 10000
        rate: u32,
    },
    /// Take back one that paused or resumed runs
    #[command(after_help = EXIT_CODES)]
    Undo {
        id: String,
        /// Show the progress until it is done
        #[arg(long)]
        follow: bool,
    },
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    /// End them; of runs that live
    Cancel,
    /// Let parked steps and stuck runs try again
    Retry,
    /// Start each anew as another run
    Fork,
    /// Hold them up
    Pause,
    /// Let them go on
    Resume,
    /// Remove them with all that belongs to them; of runs that have ended
    Delete,
}

impl Action {
    fn of_api(self) -> BulkAction {
        match self {
            Self::Cancel => BulkAction::Cancel,
            Self::Retry => BulkAction::Retry,
            Self::Fork => BulkAction::Fork,
            Self::Pause => BulkAction::Pause,
            Self::Resume => BulkAction::Resume,
            Self::Delete => BulkAction::Delete,
        }
    }

    /// Nothing brings back what it ends.
    fn is_destructive(self) -> bool {
        matches!(self, Self::Cancel | Self::Delete)
    }
}

#[derive(Args, Clone, Debug)]
struct Start {
    #[arg(value_enum)]
    action: Action,

    #[command(flatten)]
    which: Which,

    /// Runs with one of these statuses, separated by commas
    #[arg(long, value_name = "STATUS")]
    status: Option<String>,

    /// Runs a second, 1 to 10000 [default: 100]
    #[arg(long, value_name = "N")]
    rate: Option<u32>,

    /// Only count the runs
    #[arg(long)]
    preview: bool,

    /// Do not ask before runs are cancelled or deleted
    #[arg(long)]
    yes: bool,

    /// Show its progress until it ends
    #[arg(long)]
    follow: bool,

    /// Of `cancel`: why, for the journals
    #[arg(long)]
    reason: Option<String>,

    /// Of `fork`: how many entries of each journal to keep [default: 0]
    #[arg(long, value_name = "NUMBER")]
    entry: Option<u32>,

    /// Of `fork`: have effects once more that a run may have had
    #[arg(long)]
    repeat_effects: bool,

    /// The same key makes one operation, however often the command is repeated
    #[arg(long, value_name = "IDEMPOTENCY_KEY")]
    key: Option<String>,
}

impl Start {
    fn request(self, now: Timestamp) -> Result<BulkOperationRequest, CliError> {
        let filter = self.which.bulk_filter(self.status, now);
        if filter == BulkFilter::default() {
            return Err(CliError::usage("say which runs: at least one filter, such as --workflow NAME"));
        }
        let is_fork = self.entry.is_some() || self.repeat_effects;
        let fork = BulkFork { entry: self.entry.unwrap_or_default(), repeat_effects: self.repeat_effects };
        Ok(BulkOperationRequest {
            action: self.action.of_api(),
            filter,
            rate: self.rate,
            preview: false,
            reason: self.reason,
            fork: is_fork.then_some(fork),
        })
    }
}

pub async fn run(args: Bulk, client: &Client, output: &Output) -> Result<Exit, CliError> {
    let told = match args.verb.unwrap_or_else(|| BulkVerb::List(Paging::default())) {
        BulkVerb::List(paging) => return list(&paging, client, output).await,
        BulkVerb::Start(start) => return self::start(*start, client, output).await,
        BulkVerb::Show { id, follow: true } => return follow(&id, client, output, ctrl_c()).await,
        BulkVerb::Show { id, follow: false } => client.bulk_operation(&id).await?,
        BulkVerb::Pause { id } => client.change_bulk(&id, "pause").await?,
        BulkVerb::Resume { id } => client.change_bulk(&id, "resume").await?,
        BulkVerb::Cancel { id } => client.change_bulk(&id, "cancel").await?,
        BulkVerb::Rate { id, rate } => client.set_bulk_rate(&id, rate).await?,
        BulkVerb::Undo { id, follow: is_followed } => {
            let undo = client.change_bulk(&id, "undo").await?;
            if is_followed {
                return follow(&undo.id, client, output, ctrl_c()).await;
            }
            undo
        }
    };
    show(&told, output)?;
    Ok(Exit::Done)
}

async fn list(paging: &Paging, client: &Client, output: &Output) -> Result<Exit, CliError> {
    let rows = paging.collect(async |cursor, rows| {
        let page = client.bulk_operations(cursor, rows).await?;
        Ok(Rows { rows: page.operations, next_cursor: page.next_cursor })
    });
    let Rows { rows, next_cursor } = rows.await?;
    let list = serde_json::json!({ "operations": rows, "next_cursor": next_cursor });
    output.either(&list, |style| table(&rows, Machine.now(), style))?;
    if !output.is_json() {
        note_more(output, next_cursor.as_deref());
    }
    Ok(Exit::Done)
}

async fn start(start: Start, client: &Client, output: &Output) -> Result<Exit, CliError> {
    let Start { action, preview, yes, follow: is_followed, .. } = start;
    let key = start.key.clone().unwrap_or_else(|| Uuid::new_v4().to_string());
    let request = start.request(Machine.now())?;
    if preview {
        let found = client.preview_bulk(&request).await?;
        output.either(&found, |_| would(&found))?;
        return Ok(Exit::Done);
    }
    if action.is_destructive() && !yes {
        let found = client.preview_bulk(&request).await?;
        if !output.asks() {
            return Err(CliError::usage(format!("{}: say --yes to do it", would(&found))));
        }
        if !agreed(&would(&found), &mut io::stdin().lock(), &mut io::stderr()).map_err(CliError::Output)? {
            output.note("nothing was done");
            return Ok(Exit::Done);
        }
    }
    let made = client.start_bulk(&request, &key).await?;
    if is_followed {
        return follow(&made.id, client, output, ctrl_c()).await;
    }
    output.either(&made, |_| made.id.clone())?;
    Ok(Exit::Done)
}

/// `this would cancel 12 runs`
fn would(found: &BulkPreview) -> String {
    let at_least = if found.at_least { "at least " } else { "" };
    let runs = if found.count == 1 { "run" } else { "runs" };
    format!("this would {} {at_least}{} {runs}", found.action.as_str(), found.count)
}

/// Only a plain yes is one.
fn agreed(question: &str, input: &mut impl BufRead, out: &mut impl Write) -> io::Result<bool> {
    write!(out, "{question}: do it? (y/n) ")?;
    out.flush()?;
    let mut line = String::new();
    input.read_line(&mut line)?;
    Ok(matches!(line.trim(), "y" | "yes"))
}

/// Shows its progress until it ends, or until `stop` does; it goes on then.
async fn follow(id: &str, client: &Client, output: &Output, stop: impl Future<Output = ()>) -> Result<Exit, CliError> {
    let ended = tokio::select! {
        ended = watch(id, client, output) => ended?,
        () = stop => {
            output.note(&format!("{id} goes on; valet bulk show {id} --follow, or valet bulk cancel {id}"));
            return Ok(Exit::Stopped);
        }
    };
    show(&ended, output)?;
    Ok(match ended.state.as_str() {
        "cancelled" => Exit::NotCompleted,
        _ if ended.failed > 0 => Exit::Failed,
        _ => Exit::Done,
    })
}

async fn watch(id: &str, client: &Client, output: &Output) -> Result<BulkOperationView, CliError> {
    let mut view = View::new(output);
    loop {
        let operation = client.bulk_operation(id).await?;
        if operation.ended_at.is_some() {
            return Ok(operation);
        }
        view.tell(&operation, Instant::now());
        tokio::time::sleep(BULK_LOOK_EVERY).await;
    }
}

/// A bar at a terminal; elsewhere a line to standard error now and then.
struct View<'a> {
    output: &'a Output,
    bar: Option<ProgressBar>,
    told: Option<(String, Instant)>,
}

impl<'a> View<'a> {
    fn new(output: &'a Output) -> Self {
        let template = "{wide_bar:.cyan/dim} {pos}/{len} {msg}";
        let bar = output.is_live().then(|| {
            let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(0).with_style(style)
        });
        Self { output, bar, told: None }
    }

    fn tell(&mut self, operation: &BulkOperationView, now: Instant) {
        if let Some(bar) = &self.bar {
            bar.set_length(operation.total);
            bar.set_position(settled(operation));
            bar.set_message(standing(operation));
            bar.tick();
            return;
        }
        let is_told = self.told.as_ref().is_some_and(|(state, at)| {
            *state == operation.state && now.saturating_duration_since(*at) < BULK_TOLD_EVERY
        });
        if !is_told {
            let line =
                format!("{}  {} of {}  {}", operation.id, settled(operation), operation.total, standing(operation));
            self.output.note(&text::line(&line));
            self.told = Some((operation.state.clone(), now));
        }
    }
}

impl Drop for View<'_> {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn settled(operation: &BulkOperationView) -> u64 {
    operation.done + operation.skipped + operation.failed
}

/// `running, 3 failed, 2 min left`
fn standing(operation: &BulkOperationView) -> String {
    let mut parts = vec![operation.state.clone()];
    for (count, what) in [(operation.skipped, "skipped"), (operation.failed, "failed")] {
        if count > 0 {
            parts.push(format!("{count} {what}"));
        }
    }
    if let Some(seconds) = operation.eta_seconds {
        parts.push(format!("{} left", when::took(Duration::from_secs(seconds))));
    }
    parts.join(", ")
}

fn show(operation: &BulkOperationView, output: &Output) -> Result<(), CliError> {
    output.either(operation, |style| fields(operation, Machine.now(), style))
}

fn fields(operation: &BulkOperationView, now: Timestamp, style: Style) -> String {
    let mut fields = Fields::new(style);
    fields.text("operation", &operation.id);
    fields.text("action", operation.action.as_str());
    fields.text("runs", &conditions(&operation.filter));
    fields.marked("state", &style.status(&operation.state));
    let more = if operation.collected { "" } else { " so far" };
    fields.text("total", &format!("{}{more}", operation.total));
    fields.text("done", &operation.done.to_string());
    fields.text("skipped", &operation.skipped.to_string());
    fields.text("failed", &operation.failed.to_string());
    fields.text("rate", &format!("{} runs a second", operation.rate));
    if let Some(seconds) = operation.eta_seconds {
        fields.text("left", &when::took(Duration::from_secs(seconds)));
    }
    if operation.limited {
        fields.text("", "there were more runs than one operation takes: make another");
    }
    fields.text("made", &format!("{} by {}", when::full(operation.created_at, now), operation.created_by));
    if let Some(ended) = operation.ended_at {
        fields.text("ended", &when::full(ended, now));
    }
    if let Some(undo_of) = &operation.undo_of {
        fields.text("undoes", undo_of);
    }
    if let Some(undone_by) = &operation.undone_by {
        fields.text("undone by", undone_by);
    }
    for (place, failure) in operation.failures.iter().enumerate() {
        fields.text(if place == 0 { "failures" } else { "" }, &format!("{}  {}", failure.run, failure.reason));
    }
    fields.render()
}

/// The filter as the list of runs is asked.
fn conditions(filter: &BulkFilter) -> String {
    let texts = [
        ("workflow", filter.workflow.clone()),
        ("status", filter.status.as_ref().map(|all| all.join(","))),
        ("subject", filter.subject.clone()),
        ("attributes", filter.attributes.as_ref().map(|all| serde_json::Value::Object(all.clone()).to_string())),
        ("error_code", filter.error_code.clone()),
        ("parent", filter.parent.clone()),
        ("since", filter.created_from.map(|at| at.to_rfc3339())),
        ("until", filter.created_before.map(|at| at.to_rfc3339())),
    ];
    let told = texts.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", value?)));
    told.collect::<Vec<_>>().join(" ")
}

fn table(operations: &[BulkOperationView], now: Timestamp, style: Style) -> String {
    if operations.is_empty() {
        return "no bulk operations; make one with `valet bulk start ACTION --workflow W`".to_owned();
    }
    let mut table = Table::new(["OPERATION", "ACTION", "STATE", "DONE", "OF", "SKIPPED", "FAILED", "MADE", "RUNS"]);
    for operation in operations {
        table.row([
            Cell::new(&operation.id),
            Cell::new(operation.action.as_str()),
            Cell::marked(&operation.state, Style::status),
            Cell::new(operation.done.to_string()),
            Cell::new(operation.total.to_string()),
            Cell::new(operation.skipped.to_string()),
            Cell::new(operation.failed.to_string()),
            Cell::new(when::relative(operation.created_at, now)),
            Cell::new(conditions(&operation.filter)),
        ]);
    }
    table.render(style)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_yes_is_one() {
        for (words, expected) in
            [("y\n", true), ("yes\n", true), ("\n", false), ("n\n", false), ("", false), ("yep\n", false)]
        {
            let mut out = Vec::new();
            assert_eq!(
                agreed("this would cancel 2 runs", &mut words.as_bytes(), &mut out).unwrap(),
                expected,
                "{words:?}"
            );
            assert_eq!(String::from_utf8(out).unwrap(), "this would cancel 2 runs: do it? (y/n) ");
        }
    }

    #[test]
    fn a_preview_says_when_there_are_more() {
        let found = |count, at_least| BulkPreview { action: BulkAction::Delete, count, at_least };
        assert_eq!(would(&found(1, false)), "this would delete 1 run");
        assert_eq!(would(&found(100_000, true)), "this would delete at least 100000 runs");
    }
}
