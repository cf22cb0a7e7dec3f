-- Workflows that are declared as data, in versions. A run carries the definition that it began with in its own journal, so that
-- no row is ever read again for it. Never personal: a definition says what is done, inputs say to whom.
CREATE TABLE declared_workflows (
    tenant     text NOT NULL,
    name       text NOT NULL,
    version    integer NOT NULL CHECK (version > 0),
    definition jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    created_by text NOT NULL,
    PRIMARY KEY (tenant, name, version)
);
