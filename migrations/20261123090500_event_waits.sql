-- Runs that wait for published events, and those that an event is about to be told to. Keys, scopes and ids only: what an event carries
-- stays in its own row, sealed, and in the journals of the runs that took it.
CREATE TABLE event_waits (
    run_id   uuid NOT NULL,
    seq      integer NOT NULL,
    tenant   text NOT NULL,
    subject  text NOT NULL,
    workflow text NOT NULL,
    key      text NOT NULL,
    -- The same as a pattern of LIKE, where some other key fits it too.
    key_like text,
    scope    text,
    since    timestamptz NOT NULL,
    PRIMARY KEY (run_id, seq)
);
CREATE INDEX event_waits_exact ON event_waits (tenant, key, since) WHERE key_like IS NULL;
CREATE INDEX event_waits_wild ON event_waits (tenant) WHERE key_like IS NOT NULL;

-- Gone once the run was told, so that it counts once.
CREATE TABLE event_wakes (
    event_id uuid NOT NULL,
    run_id   uuid NOT NULL,
    seq      integer NOT NULL,
    since    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (event_id, run_id, seq)
);
CREATE INDEX event_wakes_left ON event_wakes (since);

-- How many waiting runs took it.
ALTER TABLE events ADD COLUMN woken integer NOT NULL DEFAULT 0;

-- A row of what one commit begins (`commit.sql`).
CREATE TYPE commit_event_wait AS (
    run_id   uuid,
    seq      integer,
    tenant   text,
    subject  text,
    workflow text,
    key      text,
    key_like text,
    scope    text
);
