-- Takes notices of listeners that are due, and puts off each by its own back-off, so that one whose engine dies is tried again.
-- $1: targets, $2: most, $3: attempts in all.
WITH picked AS MATERIALIZED (
    SELECT ctid AS place FROM notices WHERE next_at <= now() AND target NOT LIKE 'webhook/%' AND target = ANY($1::text[])
    ORDER BY next_at LIMIT $2 FOR UPDATE SKIP LOCKED
)
UPDATE notices n SET attempts = n.attempts + 1,
    next_at = CASE WHEN n.attempts + 1 >= $3 THEN NULL
                   ELSE now() + least(10 * power(2, n.attempts), 3600) * interval '1 second' END
FROM picked p WHERE n.ctid = p.place
RETURNING n.id, n.target, n.kind, n.tenant, n.subject, n.workflow, n.run_id, n.task_id, n.body, n.at, n.attempts
