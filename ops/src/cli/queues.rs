//! `valet queues`: queues with their backlog and who pulls them.

use valet_protocol::api::QueueView;

use super::client::Client;
use super::error::CliError;
use super::exit::Exit;
use super::output::Output;
use super::style::Style;
use super::table::{Cell, Table};

pub async fn run(client: &Client, output: &Output) -> Result<Exit, CliError> {
    let list = client.queues().await?;
    output.either(&list, |style| render(&list.queues, style))?;
    Ok(Exit::Done)
}

fn render(queues: &[QueueView], style: Style) -> String {
    if queues.is_empty() {
        return "no queue has steps or workers".to_owned();
    }
    let mut table = Table::new(["QUEUE", "READY", "RUNNING", "BACKING OFF", "WORKERS", "FREE SLOTS"]);
    for queue in queues {
        let nobody = queue.workers == 0 && queue.ready + queue.running > 0;
        let mark: fn(Style, &str) -> String = if nobody { Style::bad } else { |_, text| text.to_owned() };
        table.row([
            Cell::new(&queue.name),
            Cell::number(&queue.ready),
            Cell::number(&queue.running),
            Cell::number(&queue.backing_off),
            Cell::number(&queue.workers).mark(mark),
            Cell::number(&queue.free_slots),
        ]);
    }
    table.render(style)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_with_work_and_no_worker_stands_out() {
        let queue = |name: &str, ready, workers| QueueView {
            name: name.to_owned(),
            ready,
            running: 0,
            backing_off: 0,
            workers,
            free_slots: workers * 2,
        };
        let queues = [queue("browser", 12, 0), queue("default", 0, 1)];
        let expected = "\
QUEUE    READY  RUNNING  BACKING OFF  WORKERS  FREE SLOTS
browser     12        0            0        0           0
default      0        0            0        1           2
";
        assert_eq!(render(&queues, Style::default()), expected);
        assert_eq!(render(&queues, Style { color: true }).matches("\x1b[31m0\x1b[0m").count(), 1);
    }
}
