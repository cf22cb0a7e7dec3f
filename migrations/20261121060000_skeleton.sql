-- The engine's tables. Live tables (runs, steps, timers, inbox, sessions, shards) lose their rows when what they
-- describe ends; history (journal, finished_runs) is partitioned by the week in which a run's tree began.
-- States are those of valet-core; the checks repeat them so that no writer can store another.

CREATE TABLE runs (
    id          uuid PRIMARY KEY,
    tenant      text NOT NULL,
    subject     text NOT NULL,
    workflow    text NOT NULL,
    plan        text NOT NULL,
    attributes  jsonb NOT NULL,
    parent_run  uuid,
    parent_seq  integer,
    status      text NOT NULL CHECK (status IN ('queued', 'running', 'waiting', 'closing', 'stuck')),
    paused      boolean NOT NULL,
    revision    integer NOT NULL CHECK (revision > 0),
    build       bigint NOT NULL,
    reason      json,
    status_line text,
    error_code  text,
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    CHECK ((parent_run IS NULL) = (parent_seq IS NULL))
) WITH (fillfactor = 70);
CREATE INDEX runs_newest ON runs (tenant, created_at DESC, id DESC);

CREATE TABLE finished_runs (
    id          uuid NOT NULL,
    tenant      text NOT NULL,
    subject     text NOT NULL,
    workflow    text NOT NULL,
    plan        text NOT NULL,
    attributes  jsonb NOT NULL,
    parent_run  uuid,
    parent_seq  integer,
    status      text NOT NULL CHECK (status IN ('succeeded', 'failed', 'cancelled', 'timed_out')),
    revision    integer NOT NULL,
    build       bigint NOT NULL,
    status_line text,
    error_code  text,
    created_at  timestamptz NOT NULL,
    ended_at    timestamptz NOT NULL,
    PRIMARY KEY (id)
) PARTITION BY RANGE (id);
CREATE INDEX finished_runs_newest ON finished_runs (tenant, created_at DESC, id DESC);

-- One row a transition. `body` is the sealed list of entries; `accepted` counts the step results in it.
CREATE TABLE journal (
    run_id   uuid NOT NULL,
    revision integer NOT NULL,
    at       timestamptz NOT NULL,
    accepted smallint NOT NULL,
    body     bytea NOT NULL,
    PRIMARY KEY (run_id, revision)
) PARTITION BY RANGE (run_id);

-- Partitions for one week, counted from the Unix epoch: the first 16 bits of a run's id.
CREATE FUNCTION ensure_week(week integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    low  text := lpad(to_hex(week), 4, '0') || '0000-0000-0000-0000-000000000000';
    high text := lpad(to_hex(week + 1), 4, '0') || '0000-0000-0000-0000-000000000000';
    parent text;
BEGIN
    FOREACH parent IN ARRAY ARRAY['finished_runs', 'journal'] LOOP
        IF to_regclass(parent || '_w' || week) IS NULL THEN
            -- Two engines may start at once; the second waits here and then finds the table.
            PERFORM pg_advisory_xact_lock(hashtext('ensure_week'));
            EXECUTE format('CREATE TABLE IF NOT EXISTS %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)',
                           parent || '_w' || week, parent, low, high);
        END IF;
    END LOOP;
END $$;

CREATE TABLE steps (
    run_id          uuid NOT NULL,
    seq             integer NOT NULL,
    shard           smallint NOT NULL,
    tenant          text NOT NULL,
    subject         text NOT NULL,
    workflow        text NOT NULL,
    name            text NOT NULL,
    queue           text NOT NULL,
    priority        smallint NOT NULL,
    state           text NOT NULL CHECK (state IN ('ready', 'running', 'stopping', 'backing_off', 'parked')),
    attempt         integer NOT NULL CHECK (attempt > 0),
    revision        integer NOT NULL,
    gated           boolean NOT NULL,
    effect_once     boolean NOT NULL,
    timeout_ms      bigint NOT NULL,
    available_at    timestamptz NOT NULL,
    ticketed_at     timestamptz,
    lease_id        uuid,
    session_id      uuid,
    granted_at      timestamptz,
    deadline        timestamptz,
    effect_begun_at timestamptz,
    missed          smallint NOT NULL DEFAULT 0,
    progress        bytea,
    PRIMARY KEY (run_id, seq),
    CHECK ((state IN ('running', 'stopping')) = (lease_id IS NOT NULL)),
    CHECK ((lease_id IS NULL) = (session_id IS NULL))
) WITH (fillfactor = 70);
CREATE INDEX steps_backlog ON steps (queue, priority DESC, available_at) WHERE state = 'ready' AND ticketed_at IS NULL;
CREATE INDEX steps_ticketed ON steps (ticketed_at) WHERE state = 'ready' AND ticketed_at IS NOT NULL;
CREATE INDEX steps_backing_off ON steps (shard, available_at) WHERE state = 'backing_off';
CREATE INDEX steps_granted ON steps (session_id) WHERE lease_id IS NOT NULL;

CREATE TABLE timers (
    run_id   uuid NOT NULL,
    seq      integer NOT NULL,
    shard    smallint NOT NULL,
    fires_at timestamptz NOT NULL,
    PRIMARY KEY (run_id, seq)
);
CREATE INDEX timers_due ON timers (shard, fires_at);

CREATE TABLE inbox (
    to_run   uuid NOT NULL,
    from_run uuid NOT NULL,
    number   bigint NOT NULL,
    shard    smallint NOT NULL,
    tenant   text NOT NULL,
    subject  text NOT NULL,
    body     bytea NOT NULL,
    sent_at  timestamptz NOT NULL,
    PRIMARY KEY (to_run, from_run, number)
);
CREATE INDEX inbox_waiting ON inbox (shard, sent_at);

CREATE TABLE human_tasks (
    id         uuid PRIMARY KEY,
    run_id     uuid NOT NULL,
    seq        integer NOT NULL,
    tenant     text NOT NULL,
    subject    text NOT NULL,
    workflow   text NOT NULL,
    state      text NOT NULL CHECK (state IN ('open', 'claimed', 'answered', 'rejected', 'timed_out', 'cancelled')),
    reason     text NOT NULL,
    body       bytea NOT NULL,
    deadline   timestamptz NOT NULL,
    opened_at  timestamptz NOT NULL,
    claimed_by text,
    claimed_at timestamptz,
    ended_by   text,
    ended_at   timestamptz,
    CHECK ((state = 'claimed') <= (claimed_by IS NOT NULL)),
    CHECK ((state IN ('answered', 'rejected', 'timed_out', 'cancelled')) = (ended_at IS NOT NULL))
);
CREATE INDEX human_tasks_by_deadline ON human_tasks (tenant, deadline, id) WHERE ended_at IS NULL;
CREATE INDEX human_tasks_of_run ON human_tasks (run_id, seq);

CREATE TABLE idempotency (
    tenant       text NOT NULL,
    workflow     text NOT NULL,
    key          text NOT NULL,
    run_id       uuid NOT NULL,
    request_hash bytea NOT NULL,
    expires_at   timestamptz NOT NULL,
    PRIMARY KEY (tenant, workflow, key)
);
CREATE INDEX idempotency_expiry ON idempotency (expires_at);

-- Each commit leaves its id: after a connection lost during COMMIT the same batch is sent again, and finding its id
-- means that it is committed.
CREATE TABLE batches (
    id        uuid PRIMARY KEY,
    committed uuid[] NOT NULL,
    at        timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX batches_age ON batches (at);

CREATE TABLE sessions (
    id         uuid PRIMARY KEY,
    kind       text NOT NULL CHECK (kind IN ('worker', 'engine')),
    name       text NOT NULL,
    queues     text[] NOT NULL,
    slots      integer NOT NULL,
    free_slots integer NOT NULL,
    labels     jsonb NOT NULL,
    draining   boolean NOT NULL DEFAULT false,
    opened_at  timestamptz NOT NULL DEFAULT now(),
    seen_at    timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);

-- Who fires the timers and sweeps the steps of a shard. Owners renew with every tick.
CREATE TABLE shards (
    shard      smallint PRIMARY KEY,
    owner      uuid,
    expires_at timestamptz NOT NULL DEFAULT '-infinity'
);
INSERT INTO shards (shard) SELECT generate_series(0, 63);

-- A data key per subject, wrapped by the master key. Destroying a row makes everything sealed with it unreadable.
CREATE TABLE data_keys (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant     text NOT NULL,
    subject    text NOT NULL,
    master_key text NOT NULL,
    wrapped    bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant, subject)
);

-- Files that inputs name and artifacts that runs leave. Bytes lie sealed in the blob store under the id.
CREATE TABLE blobs (
    id           uuid PRIMARY KEY,
    kind         text NOT NULL CHECK (kind IN ('file', 'artifact')),
    tenant       text NOT NULL,
    subject      text NOT NULL,
    run_id       uuid,
    seq          integer,
    content_type text NOT NULL,
    size_bytes   bigint NOT NULL,
    sha256       text NOT NULL,
    meta         bytea NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX blobs_of_run ON blobs (run_id) WHERE run_id IS NOT NULL;
