-- Steps that not every worker may have, and attempts that must give signs of life. All of it is absent from steps that do not ask
-- for it, and the indexes hold no others.

-- What a worker must have all of; the only worker that may have it; how long its worker may say nothing of it, and until when.
ALTER TABLE steps ADD COLUMN labels jsonb, ADD COLUMN wants uuid, ADD COLUMN silence_ms bigint, ADD COLUMN silent_at timestamptz;
CREATE INDEX steps_wanting ON steps (wants) WHERE state = 'ready' AND wants IS NOT NULL;
CREATE INDEX steps_labelled ON steps (queue, available_at) WHERE state = 'ready' AND labels IS NOT NULL AND wants IS NULL;

-- Only this worker counts among those that serve the timer's queue.
ALTER TABLE timers ADD COLUMN session_id uuid, ADD CHECK (session_id IS NULL OR queue IS NOT NULL);

-- The step for which the run shows that no worker has its labels.
ALTER TABLE runs ADD COLUMN unserved_seq integer;
CREATE INDEX runs_unserved ON runs (id) WHERE unserved_seq IS NOT NULL;

-- Whether a queue is another or one beside it: of a host, of labels, of one worker.
CREATE FUNCTION is_queue_or_beside(queue text, of_queue text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT queue = of_queue OR starts_with(queue, of_queue || '.on.') OR starts_with(queue, of_queue || '.with.')
        OR starts_with(queue, of_queue || '.of.')
$$;

CREATE OR REPLACE FUNCTION pauses_of_step(of_tenant text, of_workflow text, of_queue text, of_run uuid) RETURNS SETOF pauses
LANGUAGE sql STABLE AS $$
    SELECT p.* FROM pauses p
    WHERE p.tenant IN ('*', of_tenant)
      AND (p.scope = 'engine'
           OR p.scope = 'queue' AND is_queue_or_beside(of_queue, p.name)
           OR (p.scope = 'tenant' OR p.scope = 'workflow' AND p.name = of_workflow)
              AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.id = of_run AND r.status = 'closing'))
$$;
