//! A private Postgres and Redis for one Valet installation: started, adopted, watched and stopped.
//!
//! Used by `valet up`, the benchmarks and the tests, so that all three run on the same real servers with
//! nothing installed as a service. The servers listen on a Unix socket and on loopback only, run as an
//! unprivileged user, and keep everything they own under one directory.
//!
//! What this crate never does: install software (`ops/up` does), know Valet's schema or queues, touch a
//! server that somebody else started, or listen beyond loopback. It needs Linux: it reads `/proc`.
//!
//! ```text
//! DATA_DIR/data                  the home; a link elsewhere when the servers' user cannot reach DATA_DIR
//!   stack.lock                   held by the one process that owns the servers, names its pid
//!   stack.json                   which servers run: pid, start time, port, socket directory
//!   secrets.json                 the passwords, readable by their owner only
//!   postgres/  redis/            what the servers keep
//!   run/                         Postgres's socket
//!   log/                         the servers' logs, bounded
//! ```

mod bounds;
mod config;
mod database;
mod error;
mod files;
mod home;
mod lock;
mod ports;
mod postgres_server;
mod process;
mod programs;
mod redis_server;
mod secrets;
mod server_user;
mod stack;
mod state;
mod template;
mod temporary;

pub use config::{Provide, StackConfig};
pub use error::{Server, StackError};
pub use stack::{Adopted, Pids, Stack, Versions};
