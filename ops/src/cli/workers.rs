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
    let mut table = Table::new(["WORKER", "NAME", "QUEUES", "RUNNING", "SLOTS", "SEEN", "STATE"]);
    for worker in workers {
        let state = if worker.draining { "draining" } else { "ok" };
        table.row([
            Cell::new(&worker.session),
            Cell::new(&worker.name),
            Cell::new(worker.queues.join(", ")),
            Cell::number(&worker.running),
            Cell::number(&worker.slots),
            Cell::new(when::relative(worker.last_seen_at, now)),
            Cell::marked(state, Style::status),
        ]);
    }
    table.render(style)
}

#[cfg(test)]
mod tests {
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
        };
        let text = render(&[worker], "2026-11-21T06:00:02Z".parse().unwrap(), Style::default());
        let expected = "\
WORKER  NAME  QUEUES            RUNNING  SLOTS  SEEN     STATE
sess_1  left  browser, default        1      4  2 s ago  draining
";
        assert_eq!(text, expected);
    }
}
