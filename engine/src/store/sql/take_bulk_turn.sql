-- One turn of the operation whose turn it is: nobody else has it until the lease ends ($1 ms), or the turn.
WITH due AS MATERIALIZED (
    SELECT id FROM bulk_operations
    WHERE state = 'running' AND next_at <= now() AND (lease_until IS NULL OR lease_until <= now())
    ORDER BY next_at LIMIT 1 FOR UPDATE SKIP LOCKED
)
UPDATE bulk_operations o SET fence = o.fence + 1, lease_until = now() + $1 * interval '1 millisecond' FROM due WHERE o.id = due.id
RETURNING o.id, o.fence, o.tenant, o.action, o.filter, o.options, o.reach_workflows, o.reach_subjects, o.rate, o.collected, o.cursor_at,
          o.cursor_id, o.cursor_position, o.total, o.undo_of, o.created_at, o.created_by
