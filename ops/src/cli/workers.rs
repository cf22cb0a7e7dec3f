//! `valet workers`: the live workers.

use valet_core::Timestamp;
use valet_engine::ports::{Clock, Machine};
use valet_protocol::api::WorkerView;

use super::client::Client;
use super::error::CliError;
use super::exit::Exit;
use super::output::Output;
use super::style::Style;
use super::table::{Cell, Table};
use super::when;

pub async fn run(client: &Client, output: &Output) -> Result<Exit, CliError> {
    let list = client.workers().await?;
    output.either(&list, |style| render(&list.workers, Machine.now(), style))?;
    Ok(Exit::Done)
}

fn render(workers: &[WorkerView], now: Timestamp, style: Style) -> String {
    if workers.is_empty() {
        return "no workers; start one with `valet worker`".to_owned();
    }
    let mut table = Table::new(["WORKER", "NAME", "QUEUES", "LABELS", "RUNNING", "SLOTS", "SEEN", "STATE", "DOES"]);
    for worker in workers {
        let state = if worker.draining { "draining" } else { "ok" };
        let labels = worker.labels.iter().map(|(name, value)| format!("{name}={value}"));
        // What it has been at longest; all of them are in `--json`.
        let does = worker.at_work.first().map(|step| format!("{} of {}", step.name, step.run)).unwrap_or_default();
        table.row([
            Cell::new(&worker.session),
            Cell::new(&worker.name),
            Cell::new(worker.queues.join(", ")),
            Cell::new(labels.collect::<Vec<_>>().join(", ")),
            Cell::number(&worker.running),
            Cell::number(&worker.slots),
            Cell::new(when::relative(worker.last_seen_at, now)),
            Cell::marked(state, Style::status),
            Cell::new(does),
        ]);
    }
    table.render(style)
}

#[cfg(test)]
mod tests {
    use valet_protocol::api::AtWorkView;

    use super::*;

    #[test]
    fn workers_show_what_they_pull_and_when_they_were_seen() {
        let worker = WorkerView {
            session: "sess_1".to_owned(),
            name: "left".to_owned(),
            queues: vec!["browser".to_owned(), "default".to_owned()],
            slots: 4,
            free_slots: 3,
            running: 1,
            last_seen_at: "2026-11-21T06:00:00Z".parse().unwrap(),
            draining: true,
            labels: [("gpu".to_owned(), "yes".to_owned())].into(),
            at_work: vec![AtWorkView {
                run: "run_1".to_owned(),
                seq: 3,
                workflow: "apply".to_owned(),
                name: "fill-page".to_owned(),
                granted_at: "2026-11-21T05:59:00Z".parse().unwrap(),
            }],
        };
        let text = render(&[worker], "2026-11-21T06:00:02Z".parse().unwrap(), Style::default());
        let expected = "\
WORKER  NAME  QUEUES            LABELS   RUNNING  SLOTS  SEEN     STATE     DOES
sess_1  left  browser, default  gpu=yes        1      4  2 s ago  draining  fill-page of run_1
";
        assert_eq!(text, expected);
    }
}
