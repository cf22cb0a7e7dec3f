//! `valet bench forms`: how right the agent is about the controls of saved pages that people have labelled.
//!
//! Exit codes: 0 done, 1 a page could not be read or a figure is below what was asked for, 2 the folder or the browser
//! cannot be used.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};
use valet_workers::saved_pages::{Labelled, SavedPages, Score, score};

use super::report::Latency;
use crate::classify::{SavedPagesError, browser_in, pages_of};
use crate::settings::Settings;

/// Which pages, and how right is right enough.
#[derive(Args, Clone)]
pub struct FormsArgs {
    /// A folder of HTML files whose controls carry `data-manual-scoring`
    folder: PathBuf,
    /// End with exit code 1 where fewer of the answers are right
    #[arg(long, value_name = "PART", default_value_t = 0.0)]
    precision_min: f64,
    /// End with exit code 1 where fewer of the labels are met
    #[arg(long, value_name = "PART", default_value_t = 0.0)]
    recall_min: f64,
    /// Print each control that was not answered as it is labelled
    #[arg(long)]
    misses: bool,
}

struct Measured {
    score: Score,
    ms_per_page: Option<Latency>,
    failed: usize,
}

/// Reads and scores every page.
pub async fn run(args: &FormsArgs, settings: &Settings, as_json: bool) -> u8 {
    match measure(args, settings).await {
        Ok(measured) => {
            println!("{}", if as_json { document(&measured).to_string() } else { text(&measured) });
            let Score { precision, recall, .. } = measured.score;
            u8::from(measured.failed > 0 || precision < args.precision_min || recall < args.recall_min)
        }
        Err(error) => {
            eprintln!("error: {error}");
            2
        }
    }
}

async fn measure(args: &FormsArgs, settings: &Settings) -> Result<Measured, SavedPagesError> {
    let pages = pages_of(&args.folder)?;
    let place = tempfile::TempDir::with_prefix("vlt").map_err(SavedPagesError::Temporary)?;
    let provider = browser_in(place.path(), settings)?;
    let mut browser = SavedPages::open(&provider).await?;
    let (mut labelled, mut ms, mut failed) = (Vec::new(), Vec::new(), 0);
    let work = async {
        for page in &pages {
            match browser.compare(page).await? {
                Ok(compared) => {
                    if args.misses {
                        tell_misses(&page.name, &compared.labelled);
                    }
                    ms.push(compared.took.as_secs_f64() * 1000.0);
                    labelled.push(compared.labelled);
                }
                Err(failure) => {
                    failed += 1;
                    eprintln!("{}: {failure}", page.name);
                }
            }
        }
        Ok::<(), SavedPagesError>(())
    };
    let worked = work.await;
    browser.close().await?;
    worked?;
    Ok(Measured { score: score(labelled.iter().map(Vec::as_slice)), ms_per_page: Latency::of(ms), failed })
}

fn tell_misses(page: &str, labelled: &[Labelled]) {
    for (at, Labelled { label, answer }) in labelled.iter().enumerate() {
        let answer = answer.map_or("nothing", |kind| kind.as_str());
        if answer != label && !(answer == "nothing" && label == "unknown") {
            eprintln!("{page} c{}: {label}, answered {answer}", at + 1);
        }
    }
}

fn document(measured: &Measured) -> Value {
    let mut document = serde_json::to_value(&measured.score).unwrap_or_default();
    if let Some(ms) = measured.ms_per_page {
        document["ms_per_page"] = json!({"p50": ms.p50, "p99": ms.p99});
    }
    document
}

fn text(measured: &Measured) -> String {
    let Score { pages, labels, precision, recall, forms_right, by_type } = &measured.score;
    let mut text = format!(
        "{pages} pages, {labels} labelled controls: precision {precision:.3}, recall {recall:.3}, forms right {forms_right:.3}"
    );
    if let Some(ms) = measured.ms_per_page {
        let _ = write!(text, "; {:.0} ms a page, p99 {:.0} ms", ms.p50, ms.p99);
    }
    for (name, of_type) in by_type {
        let _ = write!(
            text,
            "\n{name:>20} {:4} labels, precision {:.3}, recall {:.3}",
            of_type.labels, of_type.precision, of_type.recall
        );
    }
    text
}
