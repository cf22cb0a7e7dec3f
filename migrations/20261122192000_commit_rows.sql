-- Rows that a commit is made of, as its statement takes them (engine/src/store/sql/commit.sql).
-- Never altered: an engine of the version before still sends what it knows. Another column is another type, and the old one goes
-- a release later.
CREATE TYPE commit_run AS (
    id uuid, expect int, status text, paused bool, reason text, status_line text, build bigint, error_code text, at timestamptz,
    ended bool, accepted smallint, body bytea, waits_for_build bigint, figures text, attributes_set text, journal_from int
);
CREATE TYPE commit_start AS (
    id uuid, tenant text, subject text, workflow text, plan text, attributes text, parent_run uuid, parent_seq int, key text,
    request_hash bytea, origin uuid
);
CREATE TYPE commit_fence AS (run_id uuid, seq int, kind text, attempt int, lease_id uuid, begun bool);
CREATE TYPE commit_step AS (
    run_id uuid, seq int, shard smallint, tenant text, subject text, workflow text, name text, queue text, priority smallint,
    state text, attempt int, revision int, gated bool, effect_once bool, timeout_ms bigint, available_at timestamptz,
    ticketed bool, lease_id uuid, session_id uuid, labels text, wants uuid, silence_ms bigint
);
CREATE TYPE commit_deed AS (
    run_id uuid, tenant text, who text, via text, address text, request text, action text, target text, task uuid
);
