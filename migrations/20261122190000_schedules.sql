-- Schedules: what starts runs at instants that were said before. Never personal but in `body`, which is sealed for the subject.
CREATE TABLE schedules (
    id           uuid PRIMARY KEY,
    tenant       text NOT NULL,
    name         text NOT NULL,
    workflow     text NOT NULL,
    subject      text NOT NULL,
    cron         text,
    at           timestamptz,
    zone         text NOT NULL,
    overlap      text NOT NULL CHECK (overlap IN ('skip', 'queue', 'cancel_old', 'allow')),
    catch_up_s   integer NOT NULL CHECK (catch_up_s > 0),
    body         bytea NOT NULL,
    -- Tells a repeated request from another one.
    request_hash bytea NOT NULL,
    paused       boolean NOT NULL DEFAULT false,
    -- Grows with every change: what was planned from an older look is refused.
    turn         bigint NOT NULL DEFAULT 0,
    next_at      timestamptz,
    missed_from  timestamptz,
    missed_until timestamptz,
    created_at   timestamptz NOT NULL DEFAULT now(),
    created_by   text NOT NULL,
    changed_at   timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant, name),
    CHECK ((cron IS NULL) <> (at IS NULL)),
    CHECK ((missed_from IS NULL) = (missed_until IS NULL))
);
CREATE INDEX schedules_due ON schedules (next_at) WHERE NOT paused AND next_at IS NOT NULL;
CREATE INDEX schedules_of_subject ON schedules (tenant, subject);

-- One row for each instant of a schedule that something became of: its key is why there is one run for each. The run's id is chosen
-- with the decision to start it, so that whoever carries that out, and however often, starts the same run.
CREATE TABLE schedule_fires (
    schedule_id uuid NOT NULL,
    at          timestamptz NOT NULL,
    origin      text NOT NULL CHECK (origin IN ('time', 'manual', 'backfill')),
    overlap     text NOT NULL CHECK (overlap IN ('skip', 'queue', 'cancel_old', 'allow')),
    state       text NOT NULL CHECK (state IN ('waiting', 'starting', 'started', 'skipped', 'refused')),
    reason      text,
    run_id      uuid,
    -- Its run may not have ended.
    live        boolean NOT NULL DEFAULT false,
    -- Of the request that asked for it by hand.
    key         text,
    moved_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (schedule_id, at),
    CHECK ((state IN ('starting', 'started', 'refused')) = (run_id IS NOT NULL)),
    CHECK ((state IN ('skipped', 'refused')) = (reason IS NOT NULL))
);
CREATE UNIQUE INDEX schedule_fires_by_key ON schedule_fires (schedule_id, key) WHERE key IS NOT NULL;
CREATE INDEX schedule_fires_open ON schedule_fires (state, moved_at) WHERE state IN ('waiting', 'starting');
CREATE INDEX schedule_fires_live ON schedule_fires (schedule_id) WHERE live;
CREATE INDEX schedule_fires_age ON schedule_fires (moved_at);

-- Who starts a run may be a schedule.
ALTER TABLE audit DROP CONSTRAINT audit_via_check;
ALTER TABLE audit ADD CONSTRAINT audit_via_check CHECK (via IN ('token', 'session', 'link', 'queue', 'schedule'));
