-- Steps that may be claimed, in the dispatcher's order: those that have a ticket by its age, then the backlog by priority and
-- time. Nothing is locked: the claim decides. Nothing is read while the whole engine is paused.
-- $1: queues, $2: most, $3: of this tenant only, or NULL, $4: workers whose own queues count too.
SELECT run_id, seq, attempt, queue, prefers FROM (
    (SELECT t.run_id, t.seq, t.attempt, t.queue, t.priority, t.available_at, t.ticketed_at, t.prefers
     FROM steps t
     WHERE t.state = 'ready' AND t.ticketed_at IS NOT NULL AND NOT t.gated AND t.queue = ANY($1::text[])
       AND ($3::text IS NULL OR t.tenant = $3)
       AND NOT EXISTS (SELECT 1 FROM pauses e WHERE e.tenant = '*' AND e.scope = 'engine')
       AND NOT EXISTS (SELECT 1 FROM pauses_of_step(t.tenant, t.workflow, t.queue, t.run_id))
     ORDER BY t.ticketed_at LIMIT $2)
    UNION ALL
    SELECT b.* FROM unnest($1::text[]) AS q(queue) CROSS JOIN LATERAL (
        SELECT s.run_id, s.seq, s.attempt, s.queue, s.priority, s.available_at, s.ticketed_at, s.prefers
        FROM steps s
        WHERE s.queue = q.queue AND s.state = 'ready' AND s.ticketed_at IS NULL AND NOT s.gated
          AND ($3::text IS NULL OR s.tenant = $3)
          AND NOT EXISTS (SELECT 1 FROM pauses e WHERE e.tenant = '*' AND e.scope = 'engine')
          AND NOT EXISTS (SELECT 1 FROM pauses_of_step(s.tenant, s.workflow, s.queue, s.run_id))
        ORDER BY s.priority DESC, s.available_at LIMIT $2) AS b
    UNION ALL
    (SELECT o.run_id, o.seq, o.attempt, o.queue, o.priority, o.available_at, o.ticketed_at, o.prefers
     FROM steps o
     WHERE o.state = 'ready' AND o.wants = ANY($4::uuid[]) AND NOT o.gated
       AND ($3::text IS NULL OR o.tenant = $3)
       AND NOT EXISTS (SELECT 1 FROM pauses e WHERE e.tenant = '*' AND e.scope = 'engine')
       AND NOT EXISTS (SELECT 1 FROM pauses_of_step(o.tenant, o.workflow, o.queue, o.run_id))
     ORDER BY o.available_at LIMIT $2)
) AS ready
ORDER BY ticketed_at NULLS LAST, priority DESC, available_at LIMIT $2
