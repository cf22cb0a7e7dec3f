//! `valet runs start-many`

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Value, json};
use uuid::Uuid;
use valet_protocol::api::StartRunResult;

use crate::cli::bounds::{DOCUMENT_BYTES_MAX, REQUEST_RUNS_MAX, RUNS_BYTES_MAX};
use crate::cli::client::Client;
use crate::cli::error::{CliError, at_file};
use crate::cli::exit::Exit;
use crate::cli::output::Output;

#[derive(Args, Clone, Debug)]
pub struct StartMany {
    /// Name of the workflow; `valet workflows` lists them
    workflow: String,

    /// A JSON document a line: {"input": …, "subject": …, "idempotency_key": …}, of which only the input must be there; `-` reads
    /// standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// With the same key and the same file each line starts one run, however often the command is repeated
    #[arg(long, value_name = "IDEMPOTENCY_KEY")]
    key: Option<String>,
}

/// Lines that travel in one request.
struct Lines {
    /// Where they stand in the file, from 1.
    numbers: Vec<usize>,
    runs: Vec<Value>,
    bytes: usize,
}

pub async fn run(args: StartMany, client: &Client, output: &Output) -> Result<Exit, CliError> {
    let StartMany { workflow, file, key } = args;
    let key = key.unwrap_or_else(|| Uuid::new_v4().to_string());
    let (mut started, mut failed) = (Vec::new(), Vec::new());
    let mut reader = open(&file)?;
    let mut read = 0;
    loop {
        let lines = next(&mut reader, &mut read, &file)?;
        let Some(first) = lines.numbers.first() else { break };
        // Named for where its lines begin, which a repeated command finds again.
        let results = client.start_many(&workflow, lines.runs, &format!("{key}/{first}")).await?.results;
        for (line, result) in lines.numbers.into_iter().zip(results) {
            tell(output, line, &result)?;
            if result.error.is_some() {
                failed.push(line);
            }
            started.push(json!({ "line": line, "id": result.id, "created": result.created, "error": result.error }));
        }
    }
    if output.is_json() {
        output.document(&json!({ "runs": started }))?;
    }
    if failed.is_empty() {
        return Ok(Exit::Done);
    }
    output.note(&format!("the same command with --key {key} starts no run twice"));
    Err(CliError::Some { failed: failed.len(), of: started.len(), exit: Exit::Failed })
}

fn tell(output: &Output, line: usize, result: &StartRunResult) -> Result<(), CliError> {
    if let Some(problem) = &result.error {
        let place = problem.field.as_deref().map(|field| format!(" at {field}")).unwrap_or_default();
        output.note(&format!("error: line {line}: {} ({}{place})", problem.detail, problem.code));
    } else if !output.is_json() {
        let before = if result.created == Some(false) { " (started before with this key)" } else { "" };
        output.print(&format!("{}{before}", result.id.as_deref().unwrap_or("-")))?;
    }
    Ok(())
}

fn open(file: &Path) -> Result<Box<dyn BufRead>, CliError> {
    if file == Path::new("-") {
        return Ok(Box::new(BufReader::new(io::stdin())));
    }
    Ok(Box::new(BufReader::new(File::open(file).map_err(at_file("read", file))?)))
}

/// As many of the next lines as one request takes; `read` counts all that were read so far.
fn next(reader: &mut dyn BufRead, read: &mut usize, file: &Path) -> Result<Lines, CliError> {
    let mut lines = Lines { numbers: Vec::new(), runs: Vec::new(), bytes: 0 };
    while lines.runs.len() < REQUEST_RUNS_MAX && lines.bytes < RUNS_BYTES_MAX {
        let mut text = String::new();
        let bytes = io::Read::take(&mut *reader, DOCUMENT_BYTES_MAX + 1).read_line(&mut text);
        if bytes.map_err(at_file("read", file))? == 0 {
            break;
        }
        *read += 1;
        if text.len() as u64 > DOCUMENT_BYTES_MAX {
            let message = format!("{}: line {read} has more than {DOCUMENT_BYTES_MAX} bytes", file.display());
            return Err(CliError::usage(message));
        }
        if text.trim().is_empty() {
            continue;
        }
        let run = serde_json::from_str(&text)
            .map_err(|e| CliError::usage(format!("{}: line {read} is not JSON: {e}", file.display())))?;
        lines.bytes += text.len();
        lines.numbers.push(*read);
        lines.runs.push(run);
    }
    Ok(lines)
}
