//! `valet subjects`: what an end user keeps, taking all of it out, and forgetting it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use valet_engine::ports::{Clock, Machine};
use valet_protocol::api::{ItemView, PutItemRequest, SubjectView};

use super::bounds::{PAGE_ROWS_MAX, VALUE_BYTES_MAX};
use super::client::{Client, RunFilter};
use super::error::{CliError, at_file};
use super::exit::Exit;
use super::fields::Fields;
use super::output::Output;
use super::paging::{Paging, Rows, note_more};
use super::save;
use super::style::Style;
use super::table::{Cell, Table};
use super::when;

/// Between two looks at an erasure.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// An erasure takes two minutes once its runs have ended; clean-ups are given as long again and more.
const ERASURE_LOOKS_MAX: u32 = 120;

#[derive(Args, Clone, Debug)]
pub struct Subjects {
    #[command(subcommand)]
    verb: SubjectsVerb,
}

#[derive(Subcommand, Clone, Debug)]
enum SubjectsVerb {
    /// Show what there is of a subject
    Show { subject: String },
    /// List what a subject keeps, without what is in it
    Items {
        subject: String,
        /// answer, secret, document or browser_state
        #[arg(long)]
        kind: Option<String>,
        #[command(flatten)]
        paging: Paging,
    },
    /// Keep a new version of an answer, a secret or a document
    Set {
        subject: String,
        /// answer, secret or document
        kind: String,
        /// Of an answer: the question. Of a secret: site and field, as in jobs.example.com/password
        name: String,
        /// The value: JSON, or else text; of a document the file's id. Without it, it is asked for or read from standard input:
        /// a secret on the command line stays in the shell's history
        #[arg(long)]
        value: Option<String>,
    },
    /// Show an answer or a document; a secret is shown to nobody
    Get {
        subject: String,
        kind: String,
        name: String,
        /// [default: the newest]
        #[arg(long)]
        version: Option<u32>,
    },
    /// Go back to an earlier version: what was in it becomes the newest
    Restore {
        subject: String,
        kind: String,
        name: String,
        #[arg(long)]
        version: u32,
    },
    /// Remove every version of an item
    Remove { subject: String, kind: String, name: String },
    /// Show which runs were given which versions
    Uses { subject: String },
    /// Take out everything: runs, items, files; secrets by name only
    Export {
        subject: String,
        /// A folder that is not there yet
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
    },
    /// Forget a subject for good: its runs are cancelled, its key is destroyed
    Erase {
        subject: String,
        /// The subject again: what is erased does not come back
        #[arg(long, value_name = "SUBJECT")]
        confirm: String,
        /// Do not wait until it is done, about two minutes
        #[arg(long)]
        no_wait: bool,
    },
}

pub async fn run(args: Subjects, client: &Client, output: &Output) -> Result<Exit, CliError> {
    match args.verb {
        SubjectsVerb::Show { subject } => show(&client.subject(&subject).await?, output)?,
        SubjectsVerb::Items { subject, kind, paging } => {
            items(&subject, kind.as_deref(), &paging, client, output).await?;
        }
        SubjectsVerb::Set { subject, kind, name, value } => {
            let value = given(value, &kind)?;
            let stored = client.put_item(&subject, &PutItemRequest { kind, name, value }).await?;
            output.either(&stored, |_| format!("{}  version {}", stored.name, stored.version))?;
        }
        SubjectsVerb::Get { subject, kind, name, version } => {
            let item = client.item(&subject, &kind, &name, version).await?;
            output.either(&item, |_| item.value.as_str().map_or_else(|| item.value.to_string(), ToOwned::to_owned))?;
        }
        SubjectsVerb::Restore { subject, kind, name, version } => {
            let stored = client.restore_item(&subject, &kind, &name, version).await?;
            output.either(&stored, |_| {
                format!("{}  version {}, as version {version} was", stored.name, stored.version)
            })?;
        }
        SubjectsVerb::Remove { subject, kind, name } => {
            client.remove_item(&subject, &kind, &name).await?;
            output.either(&json!({ "kind": kind, "name": name, "removed": true }), |_| format!("{name}  removed"))?;
        }
        SubjectsVerb::Uses { subject } => {
            let list = client.uses(&subject).await?;
            output.either(&list, |style| {
                let mut table = Table::new(["RUN", "KIND", "NAME", "VERSION", "WHEN"]);
                for used in &list.uses {
                    let at = when::relative(used.used_at, Machine.now());
                    let version = used.version.to_string();
                    table.row([&used.run, &used.kind, &used.name, &version, &at].map(Cell::new));
                }
                table.render(style)
            })?;
        }
        SubjectsVerb::Export { subject, to } => export(&subject, &to, client, output).await?,
        SubjectsVerb::Erase { subject, confirm, no_wait } => {
            if confirm != subject {
                return Err(CliError::usage("--confirm is not the subject: nothing was erased"));
            }
            return erase(&subject, no_wait, client, output).await;
        }
    }
    Ok(Exit::Done)
}

fn show(found: &SubjectView, output: &Output) -> Result<(), CliError> {
    output.either(found, |style| {
        let now = Machine.now();
        let mut fields = Fields::new(style);
        fields.text("subject", &found.subject);
        if let Some(at) = found.known_since {
            fields.text("known since", &when::full(at, now));
        }
        fields.text("live runs", &found.live_runs.to_string());
        fields.text("items", &found.items.to_string());
        fields.text("files", &found.files.to_string());
        if let Some(at) = found.erasing_since {
            fields.text("erasing since", &when::full(at, now));
        }
        if let Some(at) = found.erased_at {
            fields.text("erased", &when::full(at, now));
        }
        fields.render()
    })
}

async fn items(
    subject: &str,
    kind: Option<&str>,
    paging: &Paging,
    client: &Client,
    output: &Output,
) -> Result<(), CliError> {
    let rows = paging.collect(async |cursor, rows| {
        let page = client.items(subject, kind, cursor, rows).await?;
        Ok(Rows { rows: page.items, next_cursor: page.next_cursor })
    });
    let rows = rows.await?;
    output
        .either(&json!({ "items": rows.rows, "next_cursor": rows.next_cursor }), |style| render(&rows.rows, style))?;
    note_more(output, rows.next_cursor.as_deref());
    Ok(())
}

fn render(items: &[ItemView], style: Style) -> String {
    if items.is_empty() {
        return "nothing is kept; see `valet subjects set --help`".to_owned();
    }
    let mut table = Table::new(["KIND", "NAME", "VERSION", "SINCE", "BY"]);
    for item in items {
        let (version, since) = (item.version.to_string(), when::relative(item.created_at, Machine.now()));
        table.row([&item.kind, &item.name, &version, &since, &item.created_by].map(Cell::new));
    }
    table.render(style)
}

/// From the command line, a prompt that shows nothing, or standard input.
fn given(value: Option<String>, kind: &str) -> Result<Value, CliError> {
    let terminal = io::IsTerminal::is_terminal(&io::stdin());
    let text = match value {
        Some(value) => value,
        None if terminal => {
            eprint!("value: ");
            rpassword::read_password().map_err(CliError::Output)?
        }
        None => {
            let mut text = String::new();
            let mut input = io::Read::take(io::stdin().lock(), VALUE_BYTES_MAX);
            io::Read::read_to_string(&mut input, &mut text).map_err(CliError::Output)?;
            text.trim_end_matches(['\r', '\n']).to_owned()
        }
    };
    if kind == "document" && text.starts_with("file_") {
        return Ok(json!({ "file": text }));
    }
    Ok(serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

async fn export(subject: &str, to: &Path, client: &Client, output: &Output) -> Result<(), CliError> {
    if to.exists() {
        return Err(CliError::usage(format!("{} is there already; name a folder that is not", to.display())));
    }
    let found = client.subject(subject).await?;
    let files = to.join("files");
    save::make_folder(&files)?;
    let counts = (
        export_runs(subject, to, client).await?,
        export_items(subject, to, client).await?,
        export_files(subject, &files, client).await?,
    );
    write_json(&to.join("subject.json"), &found)?;
    write_json(&to.join("uses.json"), &client.uses(subject).await?)?;
    let document = json!({ "to": to, "runs": counts.0, "items": counts.1, "files": counts.2 });
    output.either(&document, |_| format!("{}: {} runs, {} items, {} files", to.display(), counts.0, counts.1, counts.2))
}

async fn export_runs(subject: &str, to: &Path, client: &Client) -> Result<usize, CliError> {
    let filter = RunFilter { subject: Some(subject.to_owned()), ..RunFilter::default() };
    let (mut lines, mut cursor) = (Lines::new(&to.join("runs.jsonl"))?, None);
    loop {
        let page = client.runs(&filter, cursor.as_deref(), PAGE_ROWS_MAX as u32).await?;
        for run in &page.runs {
            lines.add(&client.run(&run.id).await?)?;
        }
        cursor = page.next_cursor;
        if cursor.is_none() {
            return Ok(lines.count);
        }
    }
}

async fn export_items(subject: &str, to: &Path, client: &Client) -> Result<usize, CliError> {
    let (mut lines, mut cursor) = (Lines::new(&to.join("items.jsonl"))?, None);
    loop {
        let page = client.items(subject, None, cursor.as_deref(), PAGE_ROWS_MAX as u32).await?;
        for item in &page.items {
            if ["answer", "document"].contains(&item.kind.as_str()) {
                lines.add(&client.item(subject, &item.kind, &item.name, Some(item.version)).await?)?;
            } else {
                lines.add(item)?;
            }
        }
        cursor = page.next_cursor;
        if cursor.is_none() {
            return Ok(lines.count);
        }
    }
}

async fn export_files(subject: &str, to: &Path, client: &Client) -> Result<usize, CliError> {
    let (mut lines, mut after) = (Lines::new(&to.join("files.jsonl"))?, None);
    loop {
        let page = client.files_of(subject, after.as_deref()).await?;
        for file in &page.artifacts {
            lines.add(file)?;
            let bytes = client.download(&file.id).await?.bytes;
            save::in_folder(to, &format!("{}-{}", file.id, file.filename), &bytes)?;
        }
        let Some(last) = page.artifacts.last() else { return Ok(lines.count) };
        after = Some(last.id.clone());
    }
}

/// A file of JSON Lines, for its owner only.
struct Lines {
    path: PathBuf,
    text: Vec<u8>,
    count: usize,
}

impl Lines {
    fn new(path: &Path) -> Result<Self, CliError> {
        save::at_path(path, b"")?;
        Ok(Self { path: path.to_owned(), text: Vec::new(), count: 0 })
    }

    fn add(&mut self, document: &impl serde::Serialize) -> Result<(), CliError> {
        use std::io::Write as _;
        self.text.clear();
        // Documents of the protocol are plain data.
        serde_json::to_writer(&mut self.text, document).unwrap_or_default();
        self.text.push(b'\n');
        self.count += 1;
        let file = std::fs::OpenOptions::new().append(true).open(&self.path);
        file.and_then(|mut file| file.write_all(&self.text)).map_err(at_file("write", &self.path))
    }
}

fn write_json(path: &Path, document: &impl serde::Serialize) -> Result<(), CliError> {
    save::at_path(path, &serde_json::to_vec_pretty(document).unwrap_or_default())
}

async fn erase(subject: &str, no_wait: bool, client: &Client, output: &Output) -> Result<Exit, CliError> {
    let mut found = client.erase(subject).await?;
    if !no_wait && found.erasing_since.is_some() {
        output.note("the subject's runs are cancelled; then its key is destroyed: about two minutes");
        for _ in 0..ERASURE_LOOKS_MAX {
            tokio::time::sleep(LOOK_EVERY).await;
            found = client.subject(subject).await?;
            if found.erasing_since.is_none() {
                break;
            }
        }
    }
    show(&found, output)?;
    if !no_wait && found.erasing_since.is_some() {
        output.note("not done yet: it is carried out once the subject's runs have ended");
        return Ok(Exit::Failed);
    }
    Ok(Exit::Done)
}
