//! Every bound of the verbs, with its unit in the name and its reason.

use std::time::Duration;

/// An engine that does not accept a connection within this is away; the next one is tried.
pub const CONNECT_WAIT_MAX: Duration = Duration::from_secs(3);
/// One request. The engine itself answers within 30 s, if only to say that it is busy.
pub const REQUEST_WAIT_MAX: Duration = Duration::from_secs(35);
/// An upload or a download of the largest file over a slow line.
pub const TRANSFER_WAIT_MAX: Duration = Duration::from_mins(5);
/// Times that all engines are tried while one of them says that it is busy.
pub const ROUNDS_MAX: usize = 3;
/// Longest pause that `Retry-After` may ask for.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(5);
/// Engines in `--url`.
pub const ENGINES_MAX: usize = 16;

/// A JSON answer. A run's detail holds its journal's payloads, of which each may have a megabyte.
pub const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// A downloaded file; the engine takes 20 MiB.
pub const DOWNLOAD_BYTES_MAX: usize = 32 * 1024 * 1024;
/// A file to upload: what the engine takes.
pub const UPLOAD_BYTES_MAX: u64 = 20 * 1024 * 1024;
/// A JSON document from a file, standard input or an argument: what the engine takes as a body.
pub const DOCUMENT_BYTES_MAX: u64 = 1024 * 1024;
/// A token's file.
pub const TOKEN_BYTES_MAX: u64 = 4 * 1024;

/// One event of a run's stream: a journal entry with its payload.
pub const EVENT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The engine sends a sign of life every 15 s; after three missed ones the stream is taken for broken.
pub const EVENT_SILENCE_MAX: Duration = Duration::from_secs(50);
/// Attempts in a row at a broken stream before following gives up: about a minute, the time of an engine's restart.
pub const RECONNECTS_MAX: u32 = 12;
/// First and longest pause between two attempts at a broken stream.
pub const RECONNECT_PAUSE_MIN: Duration = Duration::from_millis(250);
pub const RECONNECT_PAUSE_MAX: Duration = Duration::from_secs(8);
/// A stream that lived this long before it broke was a working one, even if it had nothing to say.
pub const STREAM_HEALTHY_AFTER: Duration = Duration::from_secs(10);
/// Events read ahead of what is shown.
pub const EVENTS_AHEAD_MAX: usize = 256;
/// `runs events` ends when a run that goes on has had nothing new to say for this long.
pub const EVENTS_QUIET: Duration = Duration::from_millis(700);

/// How often the live view is drawn anew.
pub const DRAW_EVERY: Duration = Duration::from_millis(120);
/// How often a followed run is looked at for what its journal does not say: whether a worker has its steps.
pub const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How often a followed bulk operation is looked at, and how often it is told of where nothing can be drawn.
pub const BULK_LOOK_EVERY: Duration = Duration::from_millis(500);
pub const BULK_TOLD_EVERY: Duration = Duration::from_secs(10);
/// A step that no worker has taken for this long is told: at work one is taken within milliseconds.
pub const UNTAKEN_AFTER: Duration = Duration::from_secs(3);

/// Rows of one page: what the engine gives at most.
pub const PAGE_ROWS_MAX: usize = 200;
/// Rows of one list with `--all` or `--limit`.
pub const ROWS_MAX: usize = 20_000;
/// Wrong answers to one question at the terminal.
pub const TRIES_MAX: u32 = 10;
/// Names tried for a file that must not overwrite another.
pub const FILE_NAMES_MAX: u32 = 100;

/// `--version` of a local program.
pub const PROGRAM_WAIT_MAX: Duration = Duration::from_secs(10);
/// A clock that differs more than this from the engine's shows wrong ages.
pub const CLOCK_SKEW_MAX_S: i64 = 5;
/// A value for a subject that is read from standard input: what an engine takes, and a little.
pub const VALUE_BYTES_MAX: u64 = 600 * 1024;
/// Runs of one request, and their bytes: what the engine takes, less one line of the largest.
pub const REQUEST_RUNS_MAX: usize = 1_000;
pub const RUNS_BYTES_MAX: usize = 6 * 1024 * 1024;
/// Entries of a journal in one report; the rest is told by `runs events`.
pub const REPORT_ENTRIES_MAX: usize = 20_000;
/// Pictures of one report, so that a browser still opens it; the others are listed.
pub const REPORT_PICTURES_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Less free room than this on a disk is told: a browser's profile and what it downloads take some hundred MB each.
pub const DISK_FREE_BYTES_MIN: u64 = 2_000_000_000;
