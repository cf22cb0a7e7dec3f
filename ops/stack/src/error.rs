//! What can go wrong, each with what to do about it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Which of the two servers an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    Postgres,
    Redis,
}

impl Server {
    pub(crate) fn least_major(self) -> u32 {
        match self {
            Self::Postgres => 15,
            Self::Redis => 7,
        }
    }

    fn package(self) -> &'static str {
        match self {
            Self::Postgres => "postgresql",
            Self::Redis => "redis-server",
        }
    }

    fn variable(self) -> &'static str {
        match self {
            Self::Postgres => "VALET_DATABASE_URL",
            Self::Redis => "VALET_REDIS_URL",
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Postgres => "Postgres",
            Self::Redis => "Redis",
        })
    }
}

#[derive(Debug, thiserror::Error)]
pub enum StackError {
    #[error(
        "found no {server} server programs ({looked_for}); install the package {} or set {} to a running server",
        .server.package(), .server.variable()
    )]
    NotInstalled { server: Server, looked_for: String },

    #[error(
        "{server} {found} is too old, {} or newer is needed; install it or set {} to a running server",
        .server.least_major(), .server.variable()
    )]
    TooOld { server: Server, found: String },

    #[error(
        "the data in {} were made by Postgres {major}, whose programs are not installed; \
         install postgresql-{major}, or move the directory away to start with an empty database", .dir.display()
    )]
    OtherMajor { dir: PathBuf, major: u32 },

    #[error("{} is already in use by process {pid}; stop that one first (kill {pid}), it shuts its servers down", .dir.display())]
    Held { dir: PathBuf, pid: u32 },

    #[error(
        "found no unprivileged user to run the servers as: `valet` could not be made ({reason}), and neither \
         `postgres` nor `nobody` can be used; run as an ordinary user instead of root"
    )]
    NoUser { reason: String },

    #[error(
        "{} belongs to uid {owner}: another user, or root for its servers' user, started here first; \
         start as that user or as root, or move the directory away", .path.display()
    )]
    NotOwner { path: PathBuf, owner: u32 },

    #[error(
        "{} is missing while the data in {} need it; put it back, or move the data away to start with an empty database",
        .secrets.display(), .data.display()
    )]
    SecretsLost { secrets: PathBuf, data: PathBuf },

    #[error("{} cannot be used in a server's configuration: {reason}", .path.display())]
    Path { path: PathBuf, reason: &'static str },

    #[error("cannot {what} {}", .path.display())]
    Io {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },

    #[error("{program} failed{}", indent(.output))]
    Program { program: String, output: String },

    #[error("{program} did not end within {} s and was stopped", .after.as_secs())]
    ProgramHung { program: String, after: Duration },

    #[error("{server} ended while it started; the end of {}:{}", .log.display(), indent(.tail))]
    DiedAtStart { server: Server, log: PathBuf, tail: String },

    #[error(
        "{server} did not answer within {} s of its start ({last}); the end of {}:{}",
        .after.as_secs(), .log.display(), indent(.tail)
    )]
    NotReady { server: Server, after: Duration, last: String, log: PathBuf, tail: String },

    #[error("{server} (process {pid}) did not end, not even after SIGKILL; look at it with `ps -fp {pid}`")]
    WontEnd { server: Server, pid: u32 },

    #[error("no free port between {first} and {last} on 127.0.0.1; stop something that listens there", first = crate::bounds::PORTS.start, last = crate::bounds::PORTS.end)]
    NoPort,

    #[error("the {server} of {} was not started by this program and is left alone", .server.variable())]
    NotOurs { server: Server },

    #[error("the {server} of {} does not answer: {reason}; start it or unset the variable", .server.variable())]
    ExternalSilent { server: Server, reason: String },

    #[error("cannot {what} in Postgres")]
    Statement {
        what: &'static str,
        #[source]
        source: sqlx::Error,
    },

    #[error("Postgres did not {what} within {} s", .after.as_secs())]
    StatementHung { what: &'static str, after: Duration },

    #[error("`{0}` is not a database name: a letter, then letters, digits and underscores, 63 at most")]
    DatabaseName(String),
}

impl StackError {
    /// For `map_err` on file operations: `.map_err(StackError::io("create", path))`.
    pub(crate) fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { what, path, source }
    }
}

fn indent(text: &str) -> String {
    text.trim_end().lines().flat_map(|line| ["\n  ", line]).collect()
}
