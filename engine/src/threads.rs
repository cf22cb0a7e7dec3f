//! Threads for executors, outside any async runtime: workflow code may be slow, and must not hold up IO.

use tokio::sync::mpsc;

use crate::executor::{Channels, Executor, Message};

/// Runs an executor on a thread of its own until its channel closes.
pub fn spawn(
    index: usize,
    mut executor: Executor<Channels>,
    mut inbox: mpsc::UnboundedReceiver<Message>,
) -> std::io::Result<std::thread::JoinHandle<()>> {
    std::thread::Builder::new().name(format!("valet-run-{index}")).spawn(move || {
        while let Some(message) = inbox.blocking_recv() {
            executor.handle(message);
        }
    })
}

/// Runs an executor inside the runtime, for simulations on one thread.
pub async fn run_inline(mut executor: Executor<Channels>, mut inbox: mpsc::UnboundedReceiver<Message>) {
    while let Some(message) = inbox.recv().await {
        executor.handle(message);
    }
}
