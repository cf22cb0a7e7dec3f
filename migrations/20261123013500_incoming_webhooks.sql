-- Incoming webhooks: other people's services tell what happened, each proving itself by a secret. What a delivery carries goes into the
-- run or the event that it makes, and nowhere else. Never personal.
CREATE TABLE incoming_webhooks (
    id          uuid PRIMARY KEY,
    tenant      text NOT NULL,
    name        text NOT NULL,
    proof       jsonb NOT NULL,
    -- Sealed for nobody: under the tenant's key without a subject.
    secrets     bytea NOT NULL CHECK (octet_length(secrets) > 0),
    delivery_id text,
    filter      text,
    -- NULL: it publishes an event.
    workflow    text,
    mapping     jsonb NOT NULL,
    paused      boolean NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    created_by  text NOT NULL,
    UNIQUE (tenant, name)
);

-- Deliveries that were taken, by the digest of the sender's id, with the id of what each makes: whoever carries it out makes the same.
CREATE TABLE incoming_deliveries (
    webhook_id uuid NOT NULL,
    delivery   bytea NOT NULL,
    -- The digest of its signature: the same one under another id is a replay.
    proof      bytea,
    run_id     uuid,
    event_id   uuid,
    -- The run or the event is there.
    settled    boolean NOT NULL DEFAULT false,
    at         timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (webhook_id, delivery),
    CHECK (num_nonnulls(run_id, event_id) = 1)
);
CREATE UNIQUE INDEX incoming_deliveries_proof ON incoming_deliveries (webhook_id, proof) WHERE proof IS NOT NULL;
CREATE INDEX incoming_deliveries_age ON incoming_deliveries (at);

-- The latest deliveries that were refused: why, never what they carried.
CREATE TABLE incoming_failures (
    id         uuid PRIMARY KEY,
    webhook_id uuid NOT NULL,
    reason     text NOT NULL,
    address    text,
    at         timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX incoming_failures_newest ON incoming_failures (webhook_id, at DESC, id DESC);
CREATE INDEX incoming_failures_age ON incoming_failures (at);

ALTER TABLE audit DROP CONSTRAINT audit_via_check;
ALTER TABLE audit ADD CONSTRAINT audit_via_check
    CHECK (via IN ('token', 'session', 'link', 'queue', 'schedule', 'event', 'webhook'));
