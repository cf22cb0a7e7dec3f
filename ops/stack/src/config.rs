//! What a caller says about the servers it wants.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// Where a server comes from.
#[derive(Clone, Default)]
pub enum Provide {
    /// Start one in the data directory.
    #[default]
    Private,
    /// Use the one at this URL; it is checked at start and never started or stopped.
    External(String),
}

impl fmt::Debug for Provide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Private => f.write_str("Private"),
            // The URL usually carries a password.
            Self::External(_) => f.write_str("External(..)"),
        }
    }
}

/// How to start the servers. [`StackConfig::new`] gives what `valet up` wants.
#[derive(Clone, Debug)]
pub struct StackConfig {
    /// Holds everything that the servers keep; made if missing.
    pub data_dir: PathBuf,
    pub postgres: Provide,
    pub redis: Provide,
    /// `true`: a commit is on disk when Postgres says so. `false` trades that for speed, for tests:
    /// a crash of the machine may then cost the whole database, a crash of the server costs nothing.
    pub durable: bool,
    /// Postgres's own cache.
    pub shared_buffers_mb: u32,
    pub max_connections: u32,
    /// Redis refuses writes beyond this rather than drop tickets.
    pub redis_max_memory_mb: u32,
    /// Also listen on 127.0.0.1, for clients that cannot use a Unix socket.
    pub postgres_tcp: bool,
    /// More Postgres settings, over the generated ones; for benchmarks.
    pub postgres_settings: BTreeMap<String, String>,
    /// Where the data go when the servers' user cannot reach `data_dir`; only root meets this.
    pub closed_home_root: PathBuf,
}

impl StackConfig {
    pub fn new(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            postgres: Provide::Private,
            redis: Provide::Private,
            durable: true,
            shared_buffers_mb: 256,
            max_connections: 200,
            redis_max_memory_mb: 512,
            postgres_tcp: false,
            postgres_settings: BTreeMap::new(),
            closed_home_root: PathBuf::from("/var/lib/valet"),
        }
    }
}
