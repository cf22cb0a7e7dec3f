-- Outgoing webhooks: other people's servers are told what happens to runs and tasks. What is to be delivered are rows of `notices`, written
-- in the commit that they speak of, whose target is `webhook/<id>`.
CREATE TABLE outgoing_webhooks (
    id         uuid PRIMARY KEY,
    tenant     text NOT NULL,
    name       text NOT NULL,
    -- Sealed for nobody, as the secrets: an address may hold one.
    url        bytea NOT NULL CHECK (octet_length(url) > 0),
    -- As people are shown it: without path and query.
    origin     text NOT NULL,
    secrets    bytea NOT NULL CHECK (octet_length(secrets) > 0),
    kinds      text[] NOT NULL,
    workflow   text,
    filter     text,
    paused     boolean NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by text NOT NULL,
    UNIQUE (tenant, name)
);

-- The status that the receiver answered last.
ALTER TABLE notices ADD COLUMN status integer;
-- What waits for a webhook is not in the way of those who look for notices of listeners.
DROP INDEX notices_due;
CREATE INDEX notices_due ON notices (next_at) WHERE next_at IS NOT NULL AND target NOT LIKE 'webhook/%';
CREATE INDEX notices_old ON notices USING brin (at);
CREATE INDEX notices_of_target ON notices (target, next_at) WHERE next_at IS NOT NULL;
CREATE INDEX notices_log ON notices (target, at DESC, id DESC);
