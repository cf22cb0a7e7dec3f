//! The harness of real parts: private Postgres and Redis, engines and workers as processes of their own, an API client,
//! and an oracle that asks the database whether it all adds up.
//!
//! Tests hold what crosses a crate; every wait has a deadline and says what it waited for; what was started is ended when
//! its owner is dropped, and when a test fails the ends of all logs are printed. Nothing here reaches beyond loopback.

pub mod api;
pub mod bounds;
pub mod cluster;
pub mod events;
pub mod load;
pub mod oracle;
pub mod process;
pub mod program;
pub mod redis_probe;
pub mod stage;
pub mod wait;

pub use api::Api;
pub use cluster::{Cluster, Shape};
pub use oracle::Oracle;
pub use process::Process;
pub use redis_probe::RedisProbe;
pub use stage::Stage;
