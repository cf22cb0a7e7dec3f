-- What a turn came to, by whoever has it; it ends with this. The next one comes when the rate ($8 runs took $7 s) and $9 s allow.
WITH mine AS MATERIALIZED (
    SELECT id, action FROM bulk_operations WHERE id = $1 AND fence = $2 FOR UPDATE
), told AS MATERIALIZED (
    SELECT m.id, t.position, t.state, t.reason, t.tries,
           t.state IN ('pending', 'failed') OR t.state = 'done' AND m.action IN ('pause', 'resume') AS stays
    FROM mine m, unnest($3::int[], $4::text[], $5::text[], $6::int[]) AS t(position, state, reason, tries)
), kept AS (
    UPDATE bulk_items i SET state = t.state, reason = t.reason, tries = t.tries FROM told t
    WHERE t.stays AND i.operation_id = t.id AND i.position = t.position AND i.state = 'pending' RETURNING t.state
), gone AS (
    DELETE FROM bulk_items i USING told t
    WHERE NOT t.stays AND i.operation_id = t.id AND i.position = t.position AND i.state = 'pending' RETURNING t.state
), counted AS MATERIALIZED (
    SELECT (count(*) FILTER (WHERE state = 'done'))::int AS done, (count(*) FILTER (WHERE state = 'skipped'))::int AS skipped,
           (count(*) FILTER (WHERE state = 'failed'))::int AS failed, (count(*) FILTER (WHERE state <> 'pending'))::int AS settled
    FROM (SELECT state FROM kept UNION ALL SELECT state FROM gone) AS s
)
UPDATE bulk_operations o
SET done = o.done + c.done, skipped = o.skipped + c.skipped, failed = o.failed + c.failed, busy_s = o.busy_s + $7, lease_until = NULL,
    next_at = now() + greatest($8 / o.rate::double precision - $7, $9) * interval '1 second',
    state = CASE WHEN o.ended_at IS NULL AND o.done + o.skipped + o.failed + c.settled = o.total THEN 'completed' ELSE o.state END,
    ended_at = CASE WHEN o.ended_at IS NULL AND o.done + o.skipped + o.failed + c.settled = o.total THEN now() ELSE o.ended_at END
FROM mine m, counted c WHERE o.id = m.id
