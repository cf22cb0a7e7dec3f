-- Queues with ready steps that have no ticket, by a skip scan over the partial index: cost grows with queues, not
-- steps, but for those that a pause holds; none are read while the whole engine is paused.
WITH RECURSIVE q AS (
    (SELECT b.queue FROM steps b WHERE b.state = 'ready' AND b.ticketed_at IS NULL AND NOT b.gated
       AND NOT EXISTS (SELECT 1 FROM pauses e WHERE e.tenant = '*' AND e.scope = 'engine')
       AND NOT EXISTS (SELECT 1 FROM pauses_of_step(b.tenant, b.workflow, b.queue, b.run_id))
     ORDER BY b.queue LIMIT 1)
    UNION ALL
    SELECT (SELECT s.queue FROM steps s WHERE s.state = 'ready' AND s.ticketed_at IS NULL AND NOT s.gated AND s.queue > q.queue
              AND NOT EXISTS (SELECT 1 FROM pauses_of_step(s.tenant, s.workflow, s.queue, s.run_id))
            ORDER BY s.queue LIMIT 1)
    FROM q WHERE q.queue IS NOT NULL
)
SELECT queue FROM q WHERE queue IS NOT NULL
