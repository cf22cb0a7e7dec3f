//! `valet classify`: what the agent takes the controls of saved pages for.
//!
//! Exit codes: 0 every page was read, 1 one could not be, 2 the folder, the output or the browser cannot be used.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use serde_json::json;
use valet_workers::gate::BrowserKind;
use valet_workers::sandbox::local::LocalProvider;
use valet_workers::saved_pages::{ControlAnswer, ReadError, SavedPage, SavedPages, pages_below};

use crate::roles::worker::{WorkerRoleError, local_browsers};
use crate::settings::Settings;

/// Which pages, and where the answers go.
#[derive(Args)]
pub struct ClassifyCommand {
    /// A folder of HTML files
    folder: PathBuf,
    /// File to write, one JSON document a line for each control
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Why saved pages could not be read at all.
#[derive(Debug, thiserror::Error)]
pub enum SavedPagesError {
    #[error(transparent)]
    Worker(#[from] WorkerRoleError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("no page is in {}: it holds no file that ends in .html", .0.display())]
    Empty(PathBuf),
    #[error("a folder for the browser cannot be made: {0}")]
    Temporary(#[source] std::io::Error),
    #[error("cannot write {}: {}", .0.display(), .1)]
    Write(PathBuf, #[source] std::io::Error),
}

#[derive(Serialize)]
struct Line<'a> {
    page: &'a str,
    #[serde(flatten)]
    answer: &'a ControlAnswer,
}

/// Reads the pages and writes what their controls are for.
pub async fn run(command: &ClassifyCommand, settings: &Settings, json: bool) -> u8 {
    match classify(command, settings).await {
        Ok(counts) => {
            if json {
                println!("{}", json!({"pages": counts.pages, "controls": counts.controls, "failed": counts.failed}));
            } else {
                println!("{} controls of {} pages, {} not read", counts.controls, counts.pages, counts.failed);
            }
            u8::from(counts.failed > 0)
        }
        Err(error) => {
            eprintln!("error: {error}");
            2
        }
    }
}

#[derive(Default)]
struct Counts {
    pages: usize,
    controls: usize,
    failed: usize,
}

async fn classify(command: &ClassifyCommand, settings: &Settings) -> Result<Counts, SavedPagesError> {
    let pages = pages_of(&command.folder)?;
    let written = |error| SavedPagesError::Write(command.out.clone(), error);
    let mut out = BufWriter::new(File::create(&command.out).map_err(written)?);
    let place = tempfile::TempDir::with_prefix("vlt").map_err(SavedPagesError::Temporary)?;
    let provider = browser_in(place.path(), settings)?;
    let mut browser = SavedPages::open(&provider).await?;
    let mut counts = Counts::default();
    let work = async {
        for page in &pages {
            match browser.read(page).await? {
                Ok(answers) => {
                    counts.pages += 1;
                    counts.controls += answers.controls.len();
                    for answer in &answers.controls {
                        let line = serde_json::to_string(&Line { page: &page.name, answer }).unwrap_or_default();
                        writeln!(out, "{line}").map_err(written)?;
                    }
                }
                Err(failure) => {
                    counts.failed += 1;
                    eprintln!("{}: {failure}", page.name);
                }
            }
        }
        out.flush().map_err(written)
    };
    let worked: Result<(), SavedPagesError> = work.await;
    browser.close().await?;
    worked.map(|()| counts)
}

/// The pages of a folder; one without any is a mistake.
pub fn pages_of(folder: &Path) -> Result<Vec<SavedPage>, SavedPagesError> {
    let pages = pages_below(folder)?;
    if pages.is_empty() { Err(SavedPagesError::Empty(folder.to_owned())) } else { Ok(pages) }
}

/// Chromium with its folder in this one, whatever kind the workers here use: measures compare with each other.
pub fn browser_in(place: &Path, settings: &Settings) -> Result<LocalProvider, SavedPagesError> {
    Ok(LocalProvider::new(local_browsers(settings, BrowserKind::Chromium, place)?))
}
