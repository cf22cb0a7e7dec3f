//! Every bound of this crate, with its unit and its reason.

use std::time::Duration;

/// How often a condition is looked at while waiting for it. Servers answer within tens of milliseconds.
pub(crate) const POLL: Duration = Duration::from_millis(20);

/// Postgres may have to replay up to `max_wal_size` of log after a crash before it answers.
pub(crate) const POSTGRES_READY: Duration = Duration::from_mins(3);

/// Redis loads nothing at start, so that it answers at once or never.
pub(crate) const REDIS_READY: Duration = Duration::from_secs(20);

/// One connection and one trivial query, on the same machine.
pub(crate) const ONE_ANSWER: Duration = Duration::from_secs(5);

/// A leftover server that is slower than this to answer is hanging and is replaced.
pub(crate) const ADOPTION_ANSWER: Duration = Duration::from_secs(3);

/// A statement of this crate: creating a database copies a template and syncs it to a slow disk.
pub(crate) const STATEMENT: Duration = Duration::from_mins(1);

/// An external server may sit behind a network and a pooler.
pub(crate) const EXTERNAL_ANSWER: Duration = Duration::from_secs(15);

/// `initdb` takes half a second on a good disk; slow disks that sync every file need most of a minute.
pub(crate) const INITDB: Duration = Duration::from_mins(3);

/// `--version`, `useradd`, `pg_config`: programs that only print or edit one file.
pub(crate) const SMALL_PROGRAM: Duration = Duration::from_secs(15);

/// Postgres's fast shutdown ends sessions and writes a checkpoint.
pub(crate) const POSTGRES_FAST: Duration = Duration::from_secs(30);

/// Postgres's immediate shutdown writes nothing.
pub(crate) const POSTGRES_IMMEDIATE: Duration = Duration::from_secs(5);

/// Redis has nothing to write at its end.
pub(crate) const REDIS_TERM: Duration = Duration::from_secs(5);

/// After SIGKILL only the kernel's own work is left.
pub(crate) const KILLED: Duration = Duration::from_secs(5);

/// A destructor must not hold up its program: what has not ended by then is killed.
pub(crate) const DROP_GRACE: Duration = Duration::from_secs(5);

/// Another process may take a port between our choice and the server's bind.
pub(crate) const PORT_ATTEMPTS: usize = 8;

/// Ports are drawn below Linux's default ephemeral range (32768..), so that no outgoing connection takes
/// a server's port while it restarts.
pub(crate) const PORTS: std::ops::Range<u16> = 21_000..32_000;

/// How many drawn ports are tried before giving up: with so many in use something else is wrong.
pub(crate) const PORT_DRAWS: usize = 200;

/// The kernel's `sun_path` is 108 bytes with the closing zero.
pub(crate) const SOCKET_PATH_MAX_BYTES: usize = 107;

/// A log that is longer at start is set aside once, so that two files are the most there is.
pub(crate) const LOG_MAX_BYTES: u64 = 16 * 1024 * 1024;

/// How much of a log an error shows: the reason stands in the last lines.
pub(crate) const LOG_TAIL_BYTES: u64 = 4096;
/// See [`LOG_TAIL_BYTES`].
pub(crate) const LOG_TAIL_LINES: usize = 15;

/// A temporary stack's lock this old without an owner is a leftover, not one being set up.
pub(crate) const TEMPORARY_LEFTOVER_AGE: Duration = Duration::from_mins(1);

/// How many leftovers one temporary stack clears, so that no test pays for a long history.
pub(crate) const TEMPORARY_LEFTOVERS: usize = 4;
