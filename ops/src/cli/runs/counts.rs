//! `valet runs counts`

use std::collections::BTreeMap;
use std::fmt::Write as _;

use valet_core::Timestamp;
use valet_engine::ports::{Clock, Machine};
use valet_protocol::api::RunCounts;

use super::list::Which;
use crate::cli::client::Client;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::output::Output;
use crate::cli::style::Style;
use crate::cli::table::{Cell, Table};
use crate::cli::when;

/// Heights of a bar, from none to all.
const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

pub async fn run(which: Which, client: &Client, output: &Output) -> Result<Exit, CliError> {
    let now = Machine.now();
    let counts = client.run_counts(&which.filter(now)).await?;
    output.either(&counts, |style| render(&counts, now, style))?;
    Ok(Exit::Done)
}

fn render(counts: &RunCounts, now: Timestamp, style: Style) -> String {
    let mut table = Table::new(["KIND", "STATUS", "RUNS"]);
    for (what, by_status) in [("live", &counts.live), ("ended", &counts.ended)] {
        for (status, runs) in by_status {
            table.row([Cell::new(what), Cell::marked(status, Style::status), Cell::number(runs)]);
        }
    }
    let mut text = table.render(style);
    let time = when::took(when::between(counts.from, counts.before));
    let until = when::relative(counts.before, now);
    let _ = writeln!(text, "\nended: those that began in {time} until {until}\n  {}", bars(counts));
    if let Some(from) = counts.counted_from {
        let _ = writeln!(text, "there are more: only those that began after {} are counted", when::full(from, now));
    }
    text
}

/// How many began when, one character a part of the time.
fn bars(counts: &RunCounts) -> String {
    let length = (counts.before - counts.from).as_seconds_f64();
    let parts = if counts.bucket_seconds > 0.0 { (length / counts.bucket_seconds).round() as usize } else { 0 };
    let sum = |by_status: &BTreeMap<String, u64>| by_status.values().sum::<u64>();
    let mut heights = vec![0; parts.min(200)];
    for bucket in &counts.buckets {
        let part = ((bucket.at - counts.from).as_seconds_f64() / counts.bucket_seconds).round() as usize;
        if let Some(height) = heights.get_mut(part) {
            *height += sum(&bucket.ended);
        }
    }
    let highest = heights.iter().copied().max().unwrap_or_default().max(1);
    let bar = |runs: u64| BARS[(runs * 8).div_ceil(highest) as usize];
    heights.into_iter().map(bar).collect::<String>().trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn counts_are_told_by_status_and_over_time() {
        let counts: RunCounts = serde_json::from_value(json!({
            "live": { "running": 2, "waiting": 10 },
            "ended": { "failed": 1, "succeeded": 16 },
            "from": "2026-11-20T06:00:00Z", "before": "2026-11-20T10:00:00Z", "bucket_seconds": 3600.0,
            "buckets": [
                { "at": "2026-11-20T06:00:00Z", "ended": { "failed": 1 } },
                { "at": "2026-11-20T08:00:00Z", "ended": { "succeeded": 16 } },
            ],
            "counted_from": "2026-11-20T07:00:00Z",
        }))
        .unwrap();
        let text = render(&counts, "2026-11-20T10:00:30Z".parse().unwrap(), Style::default());
        let expected = "\
KIND   STATUS     RUNS
live   running       2
live   waiting      10
ended  failed        1
ended  succeeded    16

ended: those that began in 4 h 0 min until 30 s ago
  ▁ █
there are more: only those that began after 2026-11-20 07:00:00 UTC (3 h ago) are counted
";
        assert_eq!(text, expected);
    }
}
