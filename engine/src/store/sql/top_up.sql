-- Tickets for the head of a queue's backlog, by priority, then by time; none for what a pause holds. By their places: whatever the
-- planner expects, the rows are looked for once and found at once (one that changed meanwhile comes with the next look).
WITH picked AS MATERIALIZED (
    SELECT b.ctid AS place FROM steps b
    WHERE b.queue = $1 AND b.state = 'ready' AND b.ticketed_at IS NULL AND NOT b.gated
      -- Asked once: nothing is read while the whole engine is paused.
      AND NOT EXISTS (SELECT 1 FROM pauses e WHERE e.tenant = '*' AND e.scope = 'engine')
      AND NOT EXISTS (SELECT 1 FROM pauses_of_step(b.tenant, b.workflow, b.queue, b.run_id))
    ORDER BY b.priority DESC, b.available_at LIMIT $2 FOR UPDATE SKIP LOCKED
)
UPDATE steps s SET ticketed_at = now() FROM picked p WHERE s.ctid = p.place
RETURNING s.run_id, s.seq, s.attempt, CASE WHEN s.wants IS NULL THEN s.prefers END
