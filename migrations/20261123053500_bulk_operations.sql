-- Bulk operations: one action on all runs that a filter chose. Ids and filters only, never personal.
CREATE TABLE bulk_operations (
    id              uuid PRIMARY KEY,
    tenant          text NOT NULL,
    action          text NOT NULL CHECK (action IN ('cancel', 'retry', 'fork', 'pause', 'resume', 'delete')),
    filter          jsonb NOT NULL,
    -- What the action wants besides: a cancel's reason, a fork's entry.
    options         jsonb NOT NULL,
    -- What its maker's token reached.
    reach_workflows text[],
    reach_subjects  text[],
    state           text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'paused', 'cancelled', 'completed')),
    -- Runs a second.
    rate            integer NOT NULL CHECK (rate > 0),
    -- All its runs are among the items.
    collected       boolean NOT NULL DEFAULT false,
    -- There were more runs than one operation takes.
    limited         boolean NOT NULL DEFAULT false,
    -- Behind which run the next page is looked for; of an undo, behind which item of the other.
    cursor_at       timestamptz,
    cursor_id       uuid,
    cursor_position integer NOT NULL DEFAULT 0,
    total           integer NOT NULL DEFAULT 0,
    done            integer NOT NULL DEFAULT 0,
    skipped         integer NOT NULL DEFAULT 0,
    failed          integer NOT NULL DEFAULT 0,
    -- Spent on acting, without the pauses that the rate makes.
    busy_s          double precision NOT NULL DEFAULT 0,
    undo_of         uuid,
    undone_by       uuid,
    idempotency_key text,
    request_hash    bytea,
    -- Grows with each turn; whoever has the turn has the lease.
    fence           bigint NOT NULL DEFAULT 0,
    lease_until     timestamptz,
    next_at         timestamptz NOT NULL DEFAULT now(),
    -- Runs that began later are none of its.
    created_at      timestamptz NOT NULL,
    created_by      text NOT NULL,
    ended_at        timestamptz,
    CHECK ((ended_at IS NOT NULL) = (state IN ('cancelled', 'completed')))
);
CREATE UNIQUE INDEX bulk_operations_key ON bulk_operations (tenant, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX bulk_operations_newest ON bulk_operations (tenant, created_at DESC, id DESC);
CREATE INDEX bulk_operations_due ON bulk_operations (next_at) WHERE state = 'running';
CREATE INDEX bulk_operations_age ON bulk_operations (ended_at) WHERE ended_at IS NOT NULL;

-- The runs of each. Of those that are settled there stay what failed, and what an undo would have to know.
CREATE TABLE bulk_items (
    operation_id uuid NOT NULL,
    position     integer NOT NULL,
    run_id       uuid NOT NULL,
    state        text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'done', 'failed')),
    tries        integer NOT NULL DEFAULT 0,
    reason       text,
    PRIMARY KEY (operation_id, position)
);
CREATE INDEX bulk_items_pending ON bulk_items (operation_id, position) WHERE state = 'pending';
CREATE INDEX bulk_items_failed ON bulk_items (operation_id, position) WHERE state = 'failed';

ALTER TABLE audit DROP CONSTRAINT audit_via_check;
ALTER TABLE audit ADD CONSTRAINT audit_via_check
    CHECK (via IN ('token', 'session', 'link', 'queue', 'schedule', 'event', 'webhook', 'bulk'));
