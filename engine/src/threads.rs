//! Threads for executors, outside any async runtime: workflow code may be slow, and must not hold up IO.

use std::sync::Arc;

use tokio::sync::mpsc;
use valet_core::Registry;

use crate::executor::{Channels, Executor, Message};
use crate::ports::Clock;

/// Runs an executor on a thread of its own until its channel closes.
pub fn spawn(
    index: usize,
    registry: Registry,
    clock: Arc<dyn Clock>,
    out: Channels,
    mut inbox: mpsc::UnboundedReceiver<Message>,
) -> std::io::Result<std::thread::JoinHandle<()>> {
    std::thread::Builder::new().name(format!("valet-run-{index}")).spawn(move || {
        let mut executor = Executor::new(registry, clock, out);
        while let Some(message) = inbox.blocking_recv() {
            executor.handle(message);
        }
    })
}

/// Runs an executor inside the runtime, for simulations on one thread.
pub async fn run_inline(
    registry: Registry,
    clock: Arc<dyn Clock>,
    out: Channels,
    mut inbox: mpsc::UnboundedReceiver<Message>,
) {
    let mut executor = Executor::new(registry, clock, out);
    while let Some(message) = inbox.recv().await {
        executor.handle(message);
    }
}
