-- Events: what somebody says has happened, and the triggers that start runs of it. A trigger says which, never to whom: it is not
-- personal. What an event carries is sealed for the subject that it is about.
CREATE TABLE event_triggers (
    id         uuid PRIMARY KEY,
    tenant     text NOT NULL,
    name       text NOT NULL,
    key        text NOT NULL,
    -- The same as a pattern of LIKE.
    key_like   text NOT NULL,
    scope      text,
    filter     text,
    workflow   text NOT NULL,
    run        jsonb NOT NULL,
    paused     boolean NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by text NOT NULL,
    UNIQUE (tenant, name)
);

CREATE TABLE events (
    id              uuid PRIMARY KEY,
    tenant          text NOT NULL,
    key             text NOT NULL,
    scope           text,
    subject         text NOT NULL,
    body            bytea NOT NULL,
    idempotency_key text,
    request_hash    bytea NOT NULL,
    replay_of       uuid,
    at              timestamptz NOT NULL DEFAULT now(),
    created_by      text NOT NULL
);
CREATE UNIQUE INDEX events_by_key ON events (tenant, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX events_newest ON events (tenant, at DESC, id DESC);
CREATE INDEX events_of_subject ON events (tenant, subject);
CREATE INDEX events_age ON events (at);

-- One row for each trigger that an event fits, with the id of the run that it starts: whoever carries that out starts the same run.
CREATE TABLE event_runs (
    event_id     uuid NOT NULL,
    trigger_id   uuid NOT NULL,
    trigger_name text NOT NULL,
    workflow     text NOT NULL,
    state        text NOT NULL CHECK (state IN ('starting', 'started', 'refused')),
    reason       text,
    run_id       uuid,
    -- The start of the run, sealed for its subject, until it is started.
    body         bytea,
    moved_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (event_id, trigger_id),
    CHECK ((state = 'refused') = (reason IS NOT NULL)),
    CHECK ((state = 'starting') = (body IS NOT NULL)),
    CHECK (state = 'refused' OR run_id IS NOT NULL)
);
CREATE INDEX event_runs_open ON event_runs (moved_at) WHERE state = 'starting';

ALTER TABLE audit DROP CONSTRAINT audit_via_check;
ALTER TABLE audit ADD CONSTRAINT audit_via_check CHECK (via IN ('token', 'session', 'link', 'queue', 'schedule', 'event'));
