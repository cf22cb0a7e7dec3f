//! `valet runs artifacts`: the files that a run left.

use std::path::PathBuf;

use clap::Args;
use valet_core::Timestamp;
use valet_engine::ports::{Clock, Machine};
use valet_protocol::api::ArtifactView;

use crate::cli::client::Client;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::output::Output;
use crate::cli::style::Style;
use crate::cli::table::{Cell, Table};
use crate::cli::{save, when};

#[derive(Args, Clone, Debug)]
pub struct Artifacts {
    /// Id of the run
    pub id: String,

    /// Save them in this folder, which is made if it is not there; nothing is overwritten
    #[arg(long, value_name = "DIR")]
    pub save: Option<PathBuf>,
}

pub async fn run(args: Artifacts, client: &Client, output: &Output) -> Result<Exit, CliError> {
    let list = client.artifacts(&args.id).await?;
    let Some(folder) = &args.save else {
        output.either(&list, |style| render(&list.artifacts, Machine.now(), style))?;
        return Ok(Exit::Done);
    };
    save::make_folder(folder)?;
    let mut saved = Vec::new();
    for artifact in &list.artifacts {
        let file = client.download(&artifact.id).await?;
        let path = save::in_folder(folder, &artifact.filename, &file.bytes)?;
        if !output.is_json() {
            output.print(&path.display().to_string())?;
        }
        saved.push(serde_json::json!({ "id": artifact.id, "path": path }));
    }
    if output.is_json() {
        output.document(&serde_json::json!({ "saved": saved }))?;
    } else if saved.is_empty() {
        output.note("the run left no files");
    }
    Ok(Exit::Done)
}

fn render(artifacts: &[ArtifactView], now: Timestamp, style: Style) -> String {
    if artifacts.is_empty() {
        return "no artifacts".to_owned();
    }
    let mut table = Table::new(["FILE", "STEP", "NAME", "TYPE", "SIZE", "LEFT"]);
    for artifact in artifacts {
        table.row([
            Cell::new(&artifact.id),
            Cell::number(&artifact.step.map(|seq| seq.to_string()).unwrap_or_default()),
            Cell::new(&artifact.filename),
            Cell::new(&artifact.content_type),
            Cell::number(&size(artifact.size_bytes)),
            Cell::new(when::relative(artifact.created_at, now)),
        ]);
    }
    table.render(style)
}

/// `812 B`, `48.2 kB`, `3.1 MB`
pub fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}
