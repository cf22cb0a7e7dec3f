//! Every bound of the board in one place, with its unit in the name and its reason above it.

use std::time::Duration;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// More applications than any test or tour sends; the oldest are dropped beyond it.
pub const MAX_APPLICATIONS: usize = 10_000;

/// Text of all kept applications together: ten thousand ordinary ones are about 20 MiB.
pub const MAX_APPLICATION_TEXT_BYTES: usize = 64 * MIB;

/// What applicant tracking systems commonly take for a résumé.
pub const MAX_FILE_BYTES: usize = 10 * MIB;

/// File contents kept in memory, all applications and visits together. Beyond it only hash, size and head stay.
pub const MAX_RETAINED_FILE_BYTES: usize = 64 * MIB;

/// First bytes of a file that are always kept: enough to tell its type.
pub const FILE_HEAD_BYTES: usize = 64;

/// A whole request: two files at their limit and one that is over it, so that an oversized file is read to its end and
/// the browser gets a page instead of a reset connection.
pub const MAX_BODY_BYTES: usize = 32 * MIB;

/// One text value. The longest legitimate one is a cover letter typed into a text area.
pub const MAX_FIELD_BYTES: usize = 16 * KIB;

/// Text of one request, names and values together.
pub const MAX_REQUEST_TEXT_BYTES: usize = 64 * KIB;

/// Parts of one request. The longest page has about 20 controls.
pub const MAX_PARTS: usize = 100;

/// What a visitor can send to the small forms around the application (newsletter).
pub const MAX_SMALL_BODY_BYTES: usize = 16 * KIB;

/// Characters kept of a file name, as file systems do.
pub const MAX_FILENAME_CHARS: usize = 255;

/// Characters kept of a browser's user agent.
pub const MAX_USER_AGENT_CHARS: usize = 512;

/// Open applications. The least recently used one is forgotten beyond it; each holds the text of at most four requests.
pub const MAX_VISITS: usize = 1_000;

/// Requests whose bodies are read at the same time: bounds memory in flight to four request bodies.
pub const MAX_CONCURRENT_UPLOADS: usize = 4;

/// Reading one request body, waiting for its turn included. Ten MiB over loopback take well under a second.
pub const BODY_TIMEOUT: Duration = Duration::from_mins(1);

/// Open connections may finish their answer for this long when the board stops.
pub const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// Postings on the list page when the configuration names no number, and the most it may name.
pub const DEFAULT_LISTED_POSTINGS: u32 = 22;
pub const MAX_LISTED_POSTINGS: u32 = 200;

/// One line of the state file: an application's text with room for JSON escapes.
pub const MAX_JOURNAL_LINE_BYTES: usize = MIB;

/// E-mails that the oracle shows; the oldest are dropped beyond it. Every visit has one at most at a time.
pub const MAX_MAILS: usize = 1_000;

/// Codes that one visit may have sent: more than anybody needs, fewer than a loop asks for.
pub const MAX_CODES_PER_VISIT: u32 = 5;

/// Characters of an e-mail address that are kept for the inbox (RFC 5321 allows 254).
pub const MAX_ADDRESS_CHARS: usize = 254;

/// Seeds whose turned-away browsers are counted one by one.
pub const MAX_BLOCKED_SEEDS: usize = 1_000;

/// Bad pages that are being sent at the same time; each holds a connection for long.
pub const MAX_OPEN_BAD_PAGES: usize = 32;

/// The page that never loads gives up by then, so that no connection stays for ever.
pub const NEVER_LOADS_FOR: Duration = Duration::from_mins(10);

/// The slow page and the time between two pieces of it.
pub const SLOW_PAGE_FOR: Duration = Duration::from_secs(30);
pub const SLOW_PIECE_EVERY: Duration = Duration::from_millis(500);

/// The huge page: more than a browser likes to lay out, less than a machine has.
pub const HUGE_PAGE_BYTES: usize = 24 * MIB;

/// Alerts of the page that storms: more than anybody dismisses, and an end for a script that tries.
pub const MAX_ALERTS: u32 = 10_000;
