-- What is told to the outside: one row for each target, written in the commit that it speaks of.
CREATE TABLE notices (
    id           uuid PRIMARY KEY,
    target       text NOT NULL,
    kind         text NOT NULL,
    tenant       text NOT NULL,
    subject      text NOT NULL,
    workflow     text NOT NULL,
    run_id       uuid NOT NULL,
    task_id      uuid,
    -- Sealed under the subject's key: what workflow code said.
    body         bytea,
    at           timestamptz NOT NULL,
    attempts     integer NOT NULL DEFAULT 0 CHECK (attempts >= 0),
    -- When it is tried next; NULL: delivered, or given up.
    next_at      timestamptz,
    delivered_at timestamptz,
    last_error   text,
    CHECK (delivered_at IS NULL OR next_at IS NULL)
);
CREATE INDEX notices_due ON notices (next_at) WHERE next_at IS NOT NULL;
CREATE INDEX notices_of_run ON notices (run_id, at);

ALTER TABLE human_tasks ADD COLUMN due_noted boolean NOT NULL DEFAULT false;
CREATE INDEX human_tasks_to_note ON human_tasks (deadline) WHERE ended_at IS NULL AND NOT due_noted;
