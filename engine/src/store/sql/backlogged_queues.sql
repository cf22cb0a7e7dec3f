-- Queues with ready steps that have no ticket, by a skip scan over the partial index: cost grows with queues, not steps.
WITH RECURSIVE q AS (
    (SELECT queue FROM steps WHERE state = 'ready' AND ticketed_at IS NULL AND NOT gated ORDER BY queue LIMIT 1)
    UNION ALL
    SELECT (SELECT s.queue FROM steps s WHERE s.state = 'ready' AND s.ticketed_at IS NULL AND NOT s.gated AND s.queue > q.queue
            ORDER BY s.queue LIMIT 1)
    FROM q WHERE q.queue IS NOT NULL
)
SELECT queue FROM q WHERE queue IS NOT NULL
