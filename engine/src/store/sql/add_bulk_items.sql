-- The next page of an operation's runs, by whoever has its turn; which ends with it. The last page ($7) says how many there are.
WITH mine AS MATERIALIZED (
    SELECT id, total FROM bulk_operations WHERE id = $1 AND fence = $2 FOR UPDATE
), added AS (
    INSERT INTO bulk_items (operation_id, position, run_id)
    SELECT m.id, m.total + t.n, t.run_id FROM mine m, unnest($3::uuid[]) WITH ORDINALITY AS t(run_id, n)
)
UPDATE bulk_operations o
SET total = o.total + cardinality($3::uuid[]), cursor_at = $4, cursor_id = $5, cursor_position = $6, collected = $7, limited = $8,
    lease_until = NULL, next_at = now(),
    state = CASE WHEN o.ended_at IS NULL AND $7 AND o.total + cardinality($3::uuid[]) = 0 THEN 'completed' ELSE o.state END,
    ended_at = CASE WHEN o.ended_at IS NULL AND $7 AND o.total + cardinality($3::uuid[]) = 0 THEN now() ELSE o.ended_at END
FROM mine m WHERE o.id = m.id
