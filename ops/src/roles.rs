//! What one process can be: an engine, a worker, or everything at once on one machine.

pub mod engine;
pub(crate) mod master_keys;
pub mod up;
pub mod worker;

use tokio::signal::unix::{SignalKind, signal};

/// Resolves with the first SIGTERM or SIGINT.
pub async fn asked_to_stop() {
    let terminate = async {
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => {
                terminate.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = terminate => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
