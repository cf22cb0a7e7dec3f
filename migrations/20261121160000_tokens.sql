-- Tokens of people and producers. Of the secret only its hash is here. A revoked or expired token stays, so that it is known who it was.
CREATE TABLE tokens (
    id           uuid PRIMARY KEY,
    tenant       text NOT NULL,
    name         text NOT NULL,
    hash         bytea NOT NULL UNIQUE CHECK (length(hash) = 32),
    scopes       text[] NOT NULL CHECK (
        cardinality(scopes) > 0
        AND scopes <@ ARRAY['trigger', 'read', 'operate', 'answer', 'work', 'admin']),
    -- NULL: all of them.
    workflows    text[],
    subjects     text[],
    created_at   timestamptz NOT NULL DEFAULT now(),
    created_by   text NOT NULL,
    expires_at   timestamptz,
    last_used_at timestamptz,
    revoked_at   timestamptz,
    revoked_by   text,
    CHECK ((revoked_at IS NULL) = (revoked_by IS NULL))
);
-- A name stands for whoever did something: while one bears it, no other can.
CREATE UNIQUE INDEX tokens_names ON tokens (tenant, name) WHERE revoked_at IS NULL;
