//! Every bound of the engine, with its unit in the name and its reason.

use std::time::Duration;

/// Transitions of one commit. Measured: beyond 512 one Postgres backend only gets longer batches, not more of them.
pub const TRANSITIONS_PER_COMMIT_MAX: usize = 512;
/// Sealed bytes of one commit, so that a batch of large payloads does not hold the others up.
pub const COMMIT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Rows of one commit.
pub const COMMIT_ROWS_MAX: usize = 4_000;
/// Writers (and executors): two saturate Postgres on two cores; one is its CPU limit.
pub const WRITERS: usize = 2;
/// Commands waiting for one run while it is ahead of its commit.
pub const MAILBOX_MAX: usize = 10_000;
/// Commands accepted and not answered, in one engine; more are told to come back.
pub const COMMANDS_IN_FLIGHT_MAX: usize = 50_000;
/// Runs loaded by one statement.
pub const RUNS_PER_LOAD_MAX: usize = 256;
/// Children that begin with a declared workflow, by one statement: each definition has up to 256 KiB.
pub const DEFINITIONS_PER_LOAD_MAX: usize = 64;
/// Weight of cached runs of one executor.
pub const CACHE_BYTES_MAX: usize = 20 * 1024 * 1024;
/// Workflow code that holds its thread for longer is given up with its thread.
pub const POLL_MAX: Duration = Duration::from_secs(1);
/// Times that the code of one workflow may block a thread before this engine polls it no more.
pub const BLOCKAGES_MAX: u32 = 2;
/// Times a refused transition is decided anew before the caller is told to try again.
pub const REDECIDE_MAX: u32 = 8;
/// Claims granted by one statement.
pub const CLAIMS_PER_STATEMENT_MAX: usize = 512;

/// A token that was found is not looked up again for so long: what is revoked elsewhere still opens for this long here.
pub const TOKEN_CACHED: Duration = Duration::from_secs(2);
/// Tokens kept; beyond it the cache starts anew.
pub const TOKENS_CACHED_MAX: usize = 10_000;
/// Tokens of one tenant that are listed: those that are in use first.
pub const TOKENS_LISTED_MAX: u32 = 1_000;
/// Workflows or subjects that one token is limited to.
pub const TOKEN_LIMITS_MAX: usize = 100;
/// Ten years: a token that is to last longer has no end.
pub const TOKEN_LIFE_MAX_S: u32 = 10 * 366 * 24 * 3600;
/// Shorter ones are over before they are handed on.
pub const TOKEN_LIFE_MIN_S: u32 = 60;

/// A data key that was found is not looked up again for so long, and neither is whether its subject is being erased.
pub const DATA_KEY_CACHED: Duration = Duration::from_mins(1);
/// An erasure goes on when nothing that began before it can still come: no engine holds the key, no commit is on its way.
pub const ERASURE_GRACE: Duration = Duration::from_secs(60 + 20 + 30);
/// Erasures read at once, and how often by one look; then live runs of one subject that one look cancels.
pub const ERASURES_PER_PAGE: i64 = 500;
pub const ERASURE_PAGES_MAX: u32 = 20;
pub const RUNS_CANCELLED_PER_LOOK_MAX: i64 = 500;
/// How often is looked for erasures that another engine was asked for, and for keys of older master keys.
pub const HOUSEKEEPING_EVERY: Duration = Duration::from_mins(1);
/// Looks for history past its time: so many while a run is kept, and the shortest and longest time between two.
pub const RETENTION_LOOKS_PER_LIFE: (u32, (Duration, Duration)) =
    (24, (Duration::from_mins(1), Duration::from_hours(1)));
/// Runs removed by one statement; then blobs, and rows besides journals of a week that goes as a whole.
pub const RUNS_PER_BITE: i64 = 500;
pub const BLOBS_PER_BITE: i64 = 200;
pub const WEEK_ROWS_PER_BITE: i64 = 2_000;
/// Between two bites: so many times what the bite took, and no less than this.
pub const RETENTION_REST: u32 = 3;
pub const RETENTION_REST_MIN: Duration = Duration::from_millis(10);
/// Data keys that one look wraps anew.
pub const KEYS_PER_REWRAP_MAX: i64 = 500;
/// Rounds of it: two engines whose files name different current keys must not keep each other busy.
pub const REWRAPS_PER_LOOK_MAX: u32 = 200;
/// An answer, a password, the state of a browser.
pub const ITEM_BYTES_MAX: usize = 512 * 1024;
/// Names of items that a step is told: more questions than anybody answers.
pub const ITEM_NAMES_MAX: i64 = 1_000;
/// How long a session of the console lasts: a working day.
pub const CONSOLE_SESSION_LIFE: Duration = Duration::from_hours(12);
/// Sessions that one token has open; the oldest makes room, so that a program that signs in over and over fills no table.
pub const CONSOLE_SESSIONS_PER_TOKEN_MAX: u32 = 100;

/// Requests of one token: far more than people and producers send, few enough that a loop gone wild leaves room for others.
pub const TOKEN_RATE_PER_S: u32 = 1_000;
pub const TOKEN_BURST: u32 = 2_000;
/// Requests of one tenant, through all of its tokens.
pub const TENANT_RATE_PER_S: u32 = 5_000;
pub const TENANT_BURST: u32 = 10_000;
/// Unknown tokens that one address may show at once, and how often one more: ten a minute, more than people mistype.
pub const UNKNOWN_TOKENS_BURST: u32 = 10;
pub const UNKNOWN_TOKEN_EVERY: Duration = Duration::from_secs(6);
/// Tokens, tenants or addresses whose pace is kept; beyond it those that are furthest from their limit are forgotten.
pub const PACED_MAX: usize = 50_000;

/// Data keys kept unwrapped; beyond it the cache starts anew.
pub const DATA_KEYS_CACHED_MAX: usize = 50_000;

/// Connections for reads, sessions, ticks; commits and claims have their own.
pub const READ_CONNECTIONS_MAX: u32 = 8;
/// Longest wait for a connection.
pub const DATABASE_WAIT_MAX: Duration = Duration::from_secs(5);
/// Longest single statement of the engine itself.
pub const STATEMENT_MAX: Duration = Duration::from_secs(30);
/// How long a writer keeps at a commit whose outcome is unknown before its callers are told so.
pub const COMMIT_PATIENCE: Duration = Duration::from_secs(20);

/// A worker's or an engine's lease without a heartbeat. Four missed beats of a worker; its successor starts within 10 s.
pub const SESSION_LEASE: Duration = Duration::from_secs(8);
/// How often a worker renews all its leases.
pub const HEARTBEAT: Duration = Duration::from_secs(2);
/// The engine's tick at work, and when nothing is going on.
pub const TICK: Duration = Duration::from_secs(1);
pub const TICK_IDLE: Duration = Duration::from_secs(2);
/// Timers due sooner than this wake the tick at their instant.
pub const TIMER_NEAR: Duration = Duration::from_millis(2_500);
/// Timers and messages that one tick returns (the limits of `tick.sql`); after as many it comes again at once, after this pause.
pub const TIMERS_PER_TICK_MAX: usize = 5_000;
pub const MESSAGES_PER_TICK_MAX: usize = 1_000;
pub const TICK_FULL: Duration = Duration::from_millis(50);
/// Shortest pause between two ticks that timers asked for.
pub const TICK_MIN: Duration = Duration::from_millis(5);
/// Instants of near timers kept; the tick finds whatever is not among them.
pub const NEAR_TIMERS_MAX: usize = 100_000;

/// Pauses at once, of all tenants: a claim looks at those of its step's tenant.
pub const PAUSES_MAX: u32 = 1_000;
/// How long a pause waits for statements that began before it; one of them may take [`STATEMENT_MAX`], and hardly ever does.
pub const PAUSE_WAIT_MAX: Duration = Duration::from_secs(10);
/// What somebody says why they pause.
pub const PAUSE_REASON_BYTES_MAX: usize = 1_024;

/// Tickets in Redis for one queue: a small multiple of what its workers can take soon (engine/README.md, tickets).
pub const WINDOW_BASE: u32 = 16;
pub const WINDOW_MAX: u32 = 2_000;
/// A ticket older than this on a queue with idle workers was lost.
pub const TICKET_LOST_AFTER: Duration = Duration::from_secs(2);

/// Tickets that preferred workers have not taken yet: beyond it preferences are passed over.
pub const PLACED_AT_ONCE_MAX: usize = 10_000;
/// Of them, those that one statement asks about.
pub const PLACED_LOOK_MAX: usize = 512;
/// Queues whose free places one statement asks for, unless one push names more.
pub const PLACES_ASKED_MAX: usize = 256;

/// Body of a request from people or producers.
pub const REQUEST_BYTES_MAX: usize = 1024 * 1024;
/// Several starts in one request: some thousand bytes each.
pub const BULK_BYTES_MAX: usize = 8 * 1024 * 1024;
pub const BULK_RUNS_MAX: usize = 1_000;
/// Of one request at a time, so that it takes no more of the engine than some hundred that came alone.
pub const BULK_AT_ONCE: usize = 256;
/// Body of a worker's batch.
pub const WORKER_REQUEST_BYTES_MAX: usize = 16 * 1024 * 1024;
/// A file for a run.
pub const FILE_BYTES_MAX: usize = 20 * 1024 * 1024;
/// The rest of an upload's form around the file.
pub const FORM_BYTES_MAX: usize = 64 * 1024;
/// Nesting of a JSON document.
pub const JSON_DEPTH_MAX: usize = 64;
/// Rows of a page.
pub const PAGE_ROWS_MAX: u32 = 200;
pub const PAGE_ROWS_DEFAULT: u32 = 50;
/// Runs that one request holds a filter against, where no index leads to those that fit: some 50 ms.
pub const RUNS_LOOKED_AT_MAX: u32 = 20_000;
/// Runs that one request counts.
pub const RUNS_COUNTED_MAX: u32 = 100_000;
/// Open event streams of one engine.
pub const EVENT_STREAMS_MAX: usize = 1_000;
/// Those of one tenant: a quarter of the places, so that one tenant does not keep the others out.
pub const TENANT_STREAMS: usize = EVENT_STREAMS_MAX / 4;
/// How long a request waits for a commit before it is told that the engine is busy.
pub const ANSWER_WAIT_MAX: Duration = Duration::from_secs(30);
/// Longest wait that a request may ask for: proxies end longer ones.
pub const WAIT_MAX: Duration = Duration::from_mins(1);
/// How often an event stream looks for what another engine committed.
pub const EVENT_POLL: Duration = Duration::from_millis(250);

/// Notices taken by one look.
pub const NOTICES_PER_LOOK_MAX: u32 = 64;
/// Notices delivered at once.
pub const NOTICES_AT_ONCE_MAX: usize = 8;
/// One delivery; a listener that is slower is tried again.
pub const NOTICE_WAIT_MAX: Duration = Duration::from_secs(30);
/// Attempts of one notice: with pauses from 10 s to an hour this is over half a day.
pub const NOTICE_ATTEMPTS_MAX: u32 = 20;
/// Tasks of which one look tells that their deadline nears.
pub const DUE_SOON_PER_LOOK_MAX: u32 = 500;

/// Costs that one finish brings; each is an entry of the journal.
pub const STEP_COSTS_MAX: usize = 32;

/// Declared workflows of one tenant: they are listed in one answer.
pub const DECLARED_WORKFLOWS_MAX: u32 = 500;

/// The input's schema of a declared workflow; it is compiled with each start.
pub const DECLARED_SCHEMA_BYTES_MAX: usize = 32 * 1024;

/// Parts of such a schema with its references written out: so often each value may be looked at.
pub const DECLARED_SCHEMA_PARTS_MAX: usize = 5_000;

/// References within such a schema that lead to one another.
pub const DECLARED_SCHEMA_DEPTH_MAX: usize = 32;

/// Schedules of one tenant.
pub const SCHEDULES_MAX: u32 = 10_000;
/// A cron expression: longer ones list what a range would say.
pub const CRON_BYTES_MAX: usize = 256;
/// How late an instant may still start its run: no shorter than an engine takes to come back, no longer than a year.
pub const CATCH_UP_S: std::ops::RangeInclusive<u32> = 10..=366 * 24 * 3600;
pub const CATCH_UP_S_DEFAULT: u32 = 3600;
/// Schedules that one look goes on with, and instants of each; the next look comes at once.
pub const SCHEDULES_PER_LOOK_MAX: usize = 1_000;
pub const FIRES_PER_LOOK_MAX: usize = 20;
/// Instants of one schedule that wait for a run to end; of one backfill.
pub const FIRES_WAITING_MAX: usize = 1_000;
pub const BACKFILL_MAX: usize = 1_000;
/// Runs that one engine starts at once for schedules; their starts share commits.
pub const FIRES_AT_ONCE: usize = 256;
/// How often an engine asks for schedules that another was told of; its own, and those that it knows, it wakes up for.
pub const SCHEDULE_LOOK_EVERY: Duration = Duration::from_secs(10);
/// The same while there is no schedule that will be due.
pub const SCHEDULE_LOOK_UNUSED: Duration = Duration::from_mins(1);
/// The same while an instant waits for a run to end, and after a failure.
pub const SCHEDULE_LOOK_BUSY: Duration = Duration::from_secs(1);
/// What an engine was to start and did not settle in this time is started by any.
pub const FIRE_LEFT_AFTER: Duration = Duration::from_secs(10);

/// Event triggers of one tenant: an event may fit them all, and is answered once their runs have begun.
pub const EVENT_TRIGGERS_MAX: u32 = 500;
/// Waiting runs that one event wakes: those that have waited longest.
pub const EVENT_WAKES_MAX: u32 = 10_000;
/// Of them are told before the next are read: what is told is noted page by page.
pub const EVENT_WAKES_PER_PAGE: u32 = 500;
/// Work of a trigger's expressions for one event.
pub const TRIGGER_STEPS_MAX: u64 = 100_000;
/// Rules of one kind that a tenant has: those of tiers are read whole whenever one is chosen.
pub const RULES_MAX: u32 = 1_000;
/// One rule's value.
pub const RULE_BYTES_MAX: usize = 16 * 1024;
/// A week: what a site did to a tier before is half forgotten.
pub const TALLY_HALF_LIFE: Duration = Duration::from_hours(7 * 24);
/// A site may not be left alone for longer by what it says itself.
pub const COOL_DOWN_MAX: Duration = Duration::from_hours(24);
/// Names that the policy of one site may have: one for each part of a host's name, with and without its port.
pub const SITE_PATTERNS_MAX: usize = 300;
/// How far back the effect of policies is measured.
pub const POLICY_EFFECT_DAYS: u32 = 7;
/// Rows of each kind in one answer about tiers.
pub const TIER_ROWS_MAX: u32 = 1_000;
/// Rows of resources in one answer or message.
pub const RESOURCE_ROWS_MAX: u32 = 1_000;
/// Labels of one resource, and the bytes that are kept with it.
pub const RESOURCE_LABELS_MAX: usize = 16;
pub const RESOURCE_DATA_BYTES_MAX: usize = 64 * 1024;
/// What a sandbox says of itself in one event.
pub const SANDBOX_EVENT_BYTES_MAX: usize = 64 * 1024;
/// A lease that nobody renews for longer is none: a week, as a person may be given.
pub const RESOURCE_LEASE_MAX: Duration = Duration::from_hours(8 * 24);
/// Whose lease ended so long ago is out of reach: those that could end it look every few seconds.
pub const RESOURCES_GIVEN_UP_AFTER: Duration = Duration::from_hours(1);
/// Days of costs in one answer.
pub const METER_DAYS: u32 = 31;

/// Limits of one tenant: every step is held against those of its workflow.
pub const LIMITS_MAX: u32 = 200;
/// Keys of one limit in one answer.
pub const LIMIT_KEYS_SHOWN_MAX: u32 = 1_000;
/// The largest figure of a limit.
pub const LIMIT_FIGURE_MAX: u32 = 1_000_000;
/// Weights of one limit, and the largest.
pub const LIMIT_WEIGHTS_MAX: usize = 1_000;
pub const LIMIT_WEIGHT_MAX: u32 = 1_000;
/// The longest span of a rate, and how far ahead a key is left alone.
pub const LIMIT_SPAN_MAX: Duration = Duration::from_hours(31 * 24);
/// Runs that wait for too long to begin are looked for with a tick.
pub const LIMIT_EXPIRY_MIN: Duration = Duration::from_secs(1);
/// How long a limit waits for other engines to hear of it: a few ticks of an idle one.
pub const LIMIT_SETTLE_MAX: Duration = Duration::from_secs(10);
/// Keys of limits that one statement gives out from: it holds a lock meanwhile.
pub const KEYS_PER_ADMISSION_MAX: usize = 128;
/// Keys that an engine asks again at an instant; others are found by the tick.
pub const ADMITTED_AGAIN_MAX: usize = 10_000;

/// Incoming webhooks of one tenant: they are listed in one answer.
pub const INCOMING_WEBHOOKS_MAX: u32 = 200;
/// Deliveries of one webhook that were refused and are shown.
pub const INCOMING_FAILURES_KEPT_MAX: u32 = 100;
/// Secrets of one webhook: the one in use, and those before it while senders change over.
pub const INCOMING_SECRETS_MAX: usize = 4;
/// One secret, or the user of one.
pub const INCOMING_SECRET_BYTES_MAX: usize = 1024;
/// How far a signature's time may be off: no less than clocks are, no more than a day.
pub const INCOMING_TOLERANCE_S: std::ops::RangeInclusive<u32> = 10..=24 * 3600;
/// As Stripe, Slack and Standard Webhooks recommend.
pub const INCOMING_TOLERANCE_S_DEFAULT: u32 = 300;

/// Runs of one bulk operation: its rows are added page by page, and are gone a few at a time.
pub const BULK_OPERATION_RUNS_MAX: u32 = 500_000;
/// Bulk operations of one tenant that have not ended.
pub const BULK_OPERATIONS_MAX: u32 = 20;
/// Runs a second of one.
pub const BULK_RATE: std::ops::RangeInclusive<u32> = 1..=10_000;
pub const BULK_RATE_DEFAULT: u32 = 100;
/// Why runs are cancelled: it stands in each of their journals.
pub const BULK_REASON_BYTES_MAX: usize = 1_024;
/// Runs that are looked up in one turn.
pub const BULK_PAGE_RUNS: u32 = 2_000;
/// Runs that are acted on in one turn, of a quarter of a second where the rate is low; of those at once: they share commits.
pub const BULK_TURN_RUNS_MAX: u32 = 1_000;
pub const BULK_TURNS_PER_S: u32 = 4;
pub const BULK_RUNS_AT_ONCE: usize = 512;
/// Roots of trees that are removed in one turn: each may have very many children.
pub const BULK_REMOVALS_PER_TURN: u32 = 100;
/// Turns, of different operations, that one engine has at once.
pub const BULK_TURNS_AT_ONCE: usize = 4;
/// How often a run is tried that could not be reached.
pub const BULK_TRIES_MAX: i32 = 5;
/// What failed and is shown.
pub const BULK_FAILURES_SHOWN_MAX: u32 = 100;
/// How long a turn is its engine's without word of it, and how often there is word.
pub const BULK_LEASE: Duration = Duration::from_secs(15);
pub const BULK_RENEW_EVERY: Duration = Duration::from_secs(4);
/// How often an engine looks again while some operation is at work elsewhere.
pub const BULK_LOOK_EVERY: Duration = Duration::from_secs(10);
/// The pause after a failure, and where others are at what it needs.
pub const BULK_LOOK_AGAIN: Duration = Duration::from_secs(1);
/// Outgoing webhooks of one tenant: each may be told of each thing that happens, and they are listed in one answer.
pub const OUTGOING_WEBHOOKS_MAX: u32 = 50;
/// Those of all tenants that commits look at.
pub const OUTGOING_KNOWN_MAX: u32 = 10_000;
/// Kinds that one webhook names, and one of them.
pub const OUTGOING_KINDS_MAX: usize = 32;
pub const OUTGOING_KIND_BYTES_MAX: usize = 128;
/// An address.
pub const OUTGOING_URL_BYTES_MAX: usize = 2048;
/// One attempt, from the connection to the answer's head.
pub const OUTGOING_WAIT_MAX: Duration = Duration::from_secs(10);
/// For so long no other engine takes what is being attempted.
pub const OUTGOING_LEASE: Duration = Duration::from_secs(30);
/// Attempts of one engine at once, for one webhook, and for all that failed last: a receiver that does not answer holds up no other.
pub const OUTGOING_AT_ONCE_MAX: usize = 256;
pub const OUTGOING_AT_ONCE_OF_EACH_MAX: usize = 8;
pub const OUTGOING_AT_ONCE_OF_FAILING_MAX: usize = 128;
/// The least time between two looks: attempts that end together make room together.
pub const OUTGOING_REST: Duration = Duration::from_millis(50);
/// How often is looked for what is due, where there are webhooks.
pub const OUTGOING_LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often an engine asks for webhooks that another was told of.
pub const OUTGOING_LEARN_EVERY: Duration = Duration::from_secs(10);
/// Longest error that is kept.
pub const OUTGOING_ERROR_CHARS_MAX: usize = 400;
