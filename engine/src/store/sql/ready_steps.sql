-- Steps that may be claimed, in the dispatcher's order: those that have a ticket by its age, then the backlog by priority and
-- time. Nothing is locked: the claim decides. $1: queues, $2: most, $3: of this tenant only, or NULL.
SELECT run_id, seq, attempt, queue FROM (
    (SELECT run_id, seq, attempt, queue, priority, available_at, ticketed_at FROM steps
     WHERE state = 'ready' AND ticketed_at IS NOT NULL AND NOT gated AND queue = ANY($1::text[])
       AND ($3::text IS NULL OR tenant = $3)
     ORDER BY ticketed_at LIMIT $2)
    UNION ALL
    SELECT b.* FROM unnest($1::text[]) AS q(queue) CROSS JOIN LATERAL (
        SELECT s.run_id, s.seq, s.attempt, s.queue, s.priority, s.available_at, s.ticketed_at FROM steps s
        WHERE s.queue = q.queue AND s.state = 'ready' AND s.ticketed_at IS NULL AND NOT s.gated
          AND ($3::text IS NULL OR s.tenant = $3)
        ORDER BY s.priority DESC, s.available_at LIMIT $2) AS b
) AS ready
ORDER BY ticketed_at NULLS LAST, priority DESC, available_at LIMIT $2
