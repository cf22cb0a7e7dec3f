//! `valet runs report`: a run as one file that opens in any browser, without an engine and without a network.

use std::fmt::Write as _;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use serde_json::Value;
use valet_core::Timestamp;
use valet_engine::ports::{Clock, Machine};
use valet_protocol::api::{ArtifactView, RunDetail, RunEvent, StepView};

use super::{artifacts, events, show};
use crate::cli::bounds::{REPORT_ENTRIES_MAX, REPORT_PICTURES_BYTES_MAX};
use crate::cli::client::Client;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::output::Output;
use crate::cli::progress::{entry_line, pretty};
use crate::cli::style::Style;
use crate::cli::{money, reason, save, when};

const STYLE_SHEET: &str = include_str!("report.css");
/// What browsers show as pictures and never as documents with code in them.
const PICTURES: [&str; 4] = ["image/png", "image/jpeg", "image/webp", "image/gif"];

#[derive(Args, Clone, Debug)]
pub struct Report {
    /// Id of the run
    pub id: String,

    /// The file to write; one that is there is replaced [default: ID.html]
    #[arg(long, value_name = "FILE")]
    pub to: Option<PathBuf>,

    /// Leave the pictures out
    #[arg(long)]
    pub without_pictures: bool,
}

struct Picture {
    of: ArtifactView,
    bytes: Vec<u8>,
}

/// All of it, as it was at one instant.
struct Told {
    run: RunDetail,
    journal: Vec<RunEvent>,
    /// The journal goes on.
    is_cut: bool,
    pictures: Vec<Picture>,
    others: Vec<ArtifactView>,
    at: Timestamp,
}

pub async fn run(args: Report, client: &Client, output: &Output) -> Result<Exit, CliError> {
    let told = ask(&args, client).await?;
    let path = args.to.unwrap_or_else(|| PathBuf::from(format!("{}.html", told.run.run.id)));
    let html = page(&told);
    save::at_path(&path, html.as_bytes())?;
    let pictures = told.pictures.len();
    let document =
        serde_json::json!({ "run": told.run.run.id, "path": path, "bytes": html.len(), "pictures": pictures });
    output.either(&document, |_| {
        format!("{}  {}, pictures: {pictures}", path.display(), artifacts::size(html.len() as u64))
    })?;
    Ok(Exit::Done)
}

async fn ask(args: &Report, client: &Client) -> Result<Told, CliError> {
    let run = client.run(&args.id).await?;
    let mut journal = Vec::new();
    let mut is_cut = false;
    events::so_far(&args.id, None, run.run.revision, client, |event| {
        is_cut = journal.len() == REPORT_ENTRIES_MAX;
        if !is_cut {
            journal.push(event);
        }
        Ok(!is_cut)
    })
    .await?;
    let (mut pictures, mut others) = (Vec::new(), Vec::new());
    let mut room = REPORT_PICTURES_BYTES_MAX;
    for artifact in client.artifacts(&args.id).await?.artifacts {
        let is_shown = !args.without_pictures && PICTURES.contains(&artifact.content_type.as_str());
        match room.checked_sub(artifact.size_bytes).filter(|_| is_shown) {
            Some(left) => {
                room = left;
                let bytes = client.download(&artifact.id).await?.bytes;
                pictures.push(Picture { of: artifact, bytes });
            }
            None => others.push(artifact),
        }
    }
    Ok(Told { run, journal, is_cut, pictures, others, at: Machine.now() })
}

fn page(told: &Told) -> String {
    let run = &told.run.run;
    let title = format!("{} {}", run.workflow, run.id);
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{}</title>\n<style>\n{STYLE_SHEET}</style>\n</head>\n<body>\n",
        escaped(&title)
    );
    let _ = writeln!(html, "<h1>{}</h1>", escaped(&title));
    html.push_str(&head(&told.run, told.at));
    section(&mut html, "Steps", &steps(&told.run, told.at));
    section(&mut html, "Tiers", &block(&show::tiers(&told.run.steps)));
    section(&mut html, "Tasks for people", &tasks(&told.run));
    section(&mut html, "Pictures", &pictures(&told.pictures));
    section(&mut html, "Other files", &files(&told.others));
    section(&mut html, "Input", &payload(Some(&told.run.input)));
    section(&mut html, "Memo", &payload(told.run.memo.as_ref()));
    section(&mut html, "Output", &payload(told.run.output.as_ref()));
    section(&mut html, "Error details", &payload(told.run.error.as_ref().and_then(|error| error.details.as_ref())));
    section(&mut html, "Journal", &journal(told));
    html.push_str("</body>\n</html>\n");
    html
}

/// The name and value of each thing that is known.
fn head(detail: &RunDetail, now: Timestamp) -> String {
    let run = &detail.run;
    let mut rows = String::new();
    let mut row = |name: &str, class: &str, value: &str| {
        let _ = writeln!(rows, "<tr><th>{name}</th><td class=\"{class}\">{}</td></tr>", escaped(value));
    };
    row("Status", status_class(&run.status), &run.status);
    if run.paused {
        row("Paused", "", "yes");
    }
    if let Some(line) = &run.status_line {
        row("Says", "", line);
    }
    if let Some(reason) = run.reason.as_ref().filter(|_| run.ended_at.is_none()) {
        row("Waits for", "", &reason::short(reason, now));
    }
    if let Some(error) = &detail.error {
        row("Error", "error", &format!("{}: {}", error.code, error.message));
    }
    row("Subject", "", &run.subject);
    row("Plan", "", &run.plan);
    for (name, value) in &run.attributes {
        row("Attribute", "", &format!("{name} = {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned)));
    }
    if let Some(spent) = run.spent_usd_micros {
        let of = run.budget_usd_micros.map(|budget| format!(" of {}", money::show(budget))).unwrap_or_default();
        row("Spent", "", &format!("{}{of}", money::show(spent)));
    }
    if let Some(from) = &detail.forked_from {
        row("Fork of", "", &format!("{} at entry {}, by {}", from.run, from.entry, from.by));
    }
    if let Some(parent) = &detail.parent {
        row("Parent", "", parent);
    }
    row("Started", "", &instant(run.created_at));
    if let Some(end) = run.ended_at {
        row("Ended", "", &format!("{}, took {}", instant(end), when::took(when::between(run.created_at, end))));
    }
    row("As of", "", &instant(now));
    format!("<table>\n{rows}</table>\n")
}

/// Each step beside a bar that shows when it was.
fn steps(detail: &RunDetail, now: Timestamp) -> String {
    if detail.steps.is_empty() {
        return String::new();
    }
    let begun = detail.run.created_at;
    let whole = when::between(begun, detail.run.ended_at.unwrap_or(now)).as_secs_f64().max(0.001);
    let percent = |from: Timestamp, to: Timestamp| 100.0 * (when::between(from, to).as_secs_f64() / whole).min(1.0);
    let mut html = table(&["#", "Step", "State", "Attempt", "Took", "When"]);
    for step in &detail.steps {
        let end = step.ended_at.unwrap_or(now);
        let (left, width) = (percent(begun, step.asked_at), percent(step.asked_at, end));
        let class = status_class(&step.state);
        let _ = writeln!(
            html,
            "<tr><td class=\"number\">{}</td><td>{}{}</td><td class=\"{class}\">{}</td><td class=\"number\">{}</td>\
             <td class=\"number\">{}</td><td><div class=\"time\"><i class=\"{class}\" style=\"left:{left:.2}%;width:{:.2}%\"></i></div></td></tr>",
            step.seq,
            escaped(&step.name),
            failure(step),
            escaped(&step.state),
            step.attempt,
            when::took(when::between(step.asked_at, end)),
            width.min(100.0 - left),
        );
    }
    html.push_str("</table>\n");
    html
}

fn failure(step: &StepView) -> String {
    let told = step.error.as_ref().map(|error| format!("{}: {}", error.code, error.message));
    told.map(|text| format!("<br><span class=\"error\">{}</span>", escaped(&text))).unwrap_or_default()
}

fn tasks(detail: &RunDetail) -> String {
    if detail.tasks.is_empty() {
        return String::new();
    }
    let mut html = table(&["Task", "State", "Reason", "By", "Opened"]);
    for task in &detail.tasks {
        let by = task.ended_by.as_ref().or(task.claimed_by.as_ref()).map_or("", String::as_str);
        let opened = instant(task.opened_at);
        let cells = [task.title.as_str(), &task.state, &task.reason, by, &opened].map(escaped);
        let _ = writeln!(html, "<tr><td>{}</td></tr>", cells.join("</td><td>"));
    }
    html.push_str("</table>\n");
    html
}

fn pictures(pictures: &[Picture]) -> String {
    let mut html = String::new();
    for Picture { of, bytes } in pictures {
        let step = of.step.map(|seq| format!("step {seq}, ")).unwrap_or_default();
        let caption = escaped(&format!("{}: {step}{}", of.filename, instant(of.created_at)));
        let _ = writeln!(
            html,
            "<figure><img alt=\"{caption}\" src=\"data:{};base64,{}\"><figcaption>{caption}</figcaption></figure>",
            of.content_type,
            STANDARD.encode(bytes)
        );
    }
    html
}

fn files(files: &[ArtifactView]) -> String {
    if files.is_empty() {
        return String::new();
    }
    let mut html = table(&["File", "Name", "Type", "Size"]);
    for file in files {
        let cells = [file.id.as_str(), &file.filename, &file.content_type].map(escaped);
        let size = artifacts::size(file.size_bytes);
        let _ = writeln!(html, "<tr><td>{}</td><td class=\"number\">{size}</td></tr>", cells.join("</td><td>"));
    }
    html.push_str("</table>\n");
    html
}

fn journal(told: &Told) -> String {
    let mut text = String::new();
    for event in &told.journal {
        let _ = writeln!(text, "{}", entry_line(event, Style::default()));
    }
    if told.is_cut {
        let _ = writeln!(text, "and more: valet runs events {}", told.run.run.id);
    }
    let body = block(&text);
    if body.is_empty() {
        body
    } else {
        format!("<details>\n<summary>{} entries</summary>\n{body}</details>\n", told.journal.len())
    }
}

/// Of figures, by their name, heads are where the figures are.
fn table(heads: &[&str]) -> String {
    let head = |name: &&str| {
        let class = if ["#", "Attempt", "Took", "Size"].contains(name) { " class=\"number\"" } else { "" };
        format!("<th{class}>{name}</th>")
    };
    format!("<table>\n<tr>{}</tr>\n", heads.iter().map(head).collect::<String>())
}

fn section(html: &mut String, title: &str, body: &str) {
    if !body.is_empty() {
        let _ = write!(html, "<h2>{title}</h2>\n{body}");
    }
}

fn payload(value: Option<&Value>) -> String {
    value.filter(|value| !value.is_null()).map(|value| block(&pretty(value))).unwrap_or_default()
}

fn block(text: &str) -> String {
    if text.trim().is_empty() { String::new() } else { format!("<pre>{}</pre>\n", escaped(text.trim_end())) }
}

fn instant(at: Timestamp) -> String {
    at.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// A state of ours as a class; one that this build does not know has none.
fn status_class(state: &str) -> &'static str {
    const KNOWN: [&str; 6] = ["succeeded", "failed", "timed_out", "waiting", "parked", "blocked"];
    KNOWN.into_iter().find(|known| *known == state).unwrap_or_default()
}

/// What sites and people said is text, wherever it stands.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for sign in text.chars() {
        match sign {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            other => safe.push(other),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told() -> Told {
        let run = json!({
            "id": "run_1", "workflow": "job-application", "subject": "ada", "plan": "free", "attributes": { "site": "a<b" },
            "status": "failed", "paused": false, "revision": 9, "status_line": "</style><script>alert(1)</script>",
            "created_at": "2026-11-21T06:00:00Z", "updated_at": "2026-11-21T06:00:10Z", "ended_at": "2026-11-21T06:00:10Z",
            "spent_usd_micros": 120_000, "input": { "job_url": "http://a/?x=\"><img src=x>" },
            "error": { "code": "page_timeout", "message": "no <form>" },
            "steps": [
                { "seq": 2, "name": "provision", "queue": "default", "state": "succeeded", "attempt": 1, "input": {},
                  "asked_at": "2026-11-21T06:00:00Z", "ended_at": "2026-11-21T06:00:05Z" },
                { "seq": 5, "name": "fill-page", "queue": "browser", "state": "failed", "attempt": 2, "input": {},
                  "asked_at": "2026-11-21T06:00:05Z", "ended_at": "2026-11-21T06:00:10Z",
                  "error": { "code": "page_timeout", "message": "no <form>" } },
            ],
            "tasks": [],
        });
        let artifact = |id: &str, content_type: &str| {
            serde_json::from_value::<ArtifactView>(json!({
                "id": id, "filename": format!("{id}\" onload=\"x"), "step": 5, "content_type": content_type, "size_bytes": 3,
                "sha256": "00", "created_at": "2026-11-21T06:00:07Z",
            }))
            .unwrap()
        };
        let event = RunEvent {
            revision: 1,
            index: 0,
            at: "2026-11-21T06:00:00Z".parse().unwrap(),
            entry: json!({ "paused": { "by": "<ops>" } }),
        };
        Told {
            run: serde_json::from_value(run).unwrap(),
            journal: vec![event],
            is_cut: true,
            pictures: vec![Picture { of: artifact("shot", "image/png"), bytes: b"png".to_vec() }],
            others: vec![artifact("page", "text/html")],
            at: "2026-11-21T07:00:00Z".parse().unwrap(),
        }
    }

    #[test]
    fn a_page_holds_all_of_a_run_and_nothing_that_runs_or_asks_elsewhere() {
        let html = page(&told());
        for part in [
            "<title>job-application run_1</title>",
            "<td class=\"failed\">failed</td>",
            "page_timeout: no &lt;form&gt;",
            "<td class=\"\">site = a&lt;b</td>",
            "left:50.00%;width:50.00%",
            "src=\"data:image/png;base64,cG5n\"",
            "<td>page&quot; onload=&quot;x</td><td>text/html</td>",
            "1.0  06:00:00.000  paused            {&quot;by&quot;:&quot;&lt;ops&gt;&quot;}",
            "and more: valet runs events run_1",
            "took 10.0 s",
        ] {
            assert!(html.contains(part), "{part}\n{html}");
        }
        let at = |word: &str| html.find(word).unwrap_or_else(|| panic!("{word} is not there"));
        assert!(at(">provision<") < at(">fill-page<") && at("<h2>Pictures") < at("<h2>Journal"));
        for foreign in ["<script", "<img src=x", "onload=\"", "href=", "http-equiv=\"refresh"] {
            assert!(!html.contains(foreign), "{foreign}");
        }
        assert!(html.contains("default-src 'none'"), "even what came in all the same asks nobody");
        assert!(!html.contains("<h2>Output") && !html.contains("<h2>Tiers"), "what is not there has no heading");
    }
}
