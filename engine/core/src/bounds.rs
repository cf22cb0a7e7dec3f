//! Every bound of the core, with its unit in the name and its reason.

/// More operations than this in one poll is a loop without a wait; the run is parked as runaway.
pub const OPERATIONS_PER_POLL_MAX: u32 = 10_000;

/// Beyond this replay costs more than a person would wait for; the run is parked (`journal_full`).
pub const JOURNAL_ENTRIES_MAX: usize = 20_000;

/// Unread signals kept for one (run, name); the sender gets 429 beyond it.
pub const SIGNALS_KEPT_PER_NAME: usize = 1_000;

/// Commands of one run folded into one transition, so that a transition's size and time stay bounded.
pub const COMMANDS_FOLDED_MAX: usize = 1_000;

/// Steps handed over in a row to the same worker while others wait for it.
pub const HAND_OVERS_IN_A_ROW_MAX: u32 = 8;

/// What a workflow says of itself in lists.
pub const STATUS_LINE_BYTES_MAX: usize = 1_024;

/// Keys, names and labels are identifiers, not documents.
pub const NAME_BYTES_MAX: usize = 128;

/// Labels that a step requires. Workers pull a queue for every set of their labels that a step may ask for.
pub const LABELS_REQUIRED_MAX: usize = 4;

/// Preferences of one step: 15 sets of them at most, each a queue to be looked at.
pub const PREFERENCES_MAX: usize = 4;

/// What the labels of one preference may count for.
pub const PREFERENCE_WEIGHT_MAX: i32 = 100;

/// A name or a value of a required label: it becomes part of a queue's name.
pub const LABEL_BYTES_MAX: usize = 32;

/// Queues of one worker with all that its labels make of them: each has a puller.
pub const WORKER_QUEUES_MAX: usize = 64;

/// Search attributes of one run.
pub const ATTRIBUTES_MAX: usize = 32;

/// The longest text of one search attribute.
pub const ATTRIBUTE_BYTES_MAX: usize = 1_024;

/// Journals begun in one transition: code that goes on without ever waiting is a loop without a wait.
pub const CONTINUED_PER_TRANSITION_MAX: u32 = 100;

/// Leases, tasks and completions of each kind that ended last, of which a run knows in its next journal: whoever did
/// not hear the answer asks again soon, or never.
pub const ANSWERS_CARRIED_MAX: usize = 64;

/// An expression is a condition or a field, not a program.
pub const EXPRESSION_BYTES_MAX: usize = 4 * 1024;

/// Expressions are walked by recursion.
pub const EXPRESSION_DEPTH_MAX: usize = 48;

/// Tasks of a declared workflow: each poll looks at all of them.
pub const DECLARED_TASKS_MAX: usize = 200;

/// An event's key, a pattern of keys, a scope.
pub const EVENT_KEY_BYTES_MAX: usize = 255;

/// Signals, events and sleeps that one declared task waits for.
pub const DECLARED_WAITS_MAX: usize = 20;

/// A declared workflow's definition lies in the journal of each of its runs.
pub const DECLARED_BYTES_MAX: usize = 256 * 1024;

/// Faults told of one definition.
pub const DECLARED_FAULTS_MAX: usize = 50;

/// Attempts of one task, as declared.
pub const DECLARED_ATTEMPTS_MAX: u32 = 1_000;

/// Codes that a task names as not worth another attempt.
pub const DECLARED_CODES_MAX: usize = 50;

/// Longest declared timeout or back-off: 30 days.
pub const DECLARED_SPAN_MS_MAX: u64 = 30 * 24 * 3_600 * 1_000;

/// Work of all expressions of one run: well under the second that a poll may take.
pub const DECLARED_EXPRESSION_STEPS_MAX: u64 = 2_000_000;

/// Inputs and output that one run of a declared workflow puts together, in all.
pub const DECLARED_PAYLOADS_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Work of one wait's filter for one message.
pub const FILTER_STEPS_MAX: u64 = 10_000;

/// Children of one fan-out.
pub const FAN_OUT_MAX: u32 = 100_000;

/// Children of a fan-out that are started or told to stop in one transition.
pub const FAN_OUT_CHUNK: u32 = 500;

/// Work of one expression of a limit for one step.
pub const LIMIT_STEPS_MAX: u64 = 10_000;

/// A longer key of a limit is cut off: those that begin alike share it.
pub const LIMIT_KEY_BYTES_MAX: usize = 256;
