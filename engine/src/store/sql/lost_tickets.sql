-- Tickets older than the given age on queues whose workers are idle: they were lost, and are made anew. Never by age alone.
WITH picked AS MATERIALIZED (
    SELECT b.ctid AS place FROM steps b
    WHERE b.state = 'ready' AND b.ticketed_at < now() - $2 * interval '1 millisecond' AND b.queue = ANY($1::text[])
      AND NOT b.gated AND NOT EXISTS (SELECT 1 FROM pauses e WHERE e.tenant = '*' AND e.scope = 'engine')
      AND NOT EXISTS (SELECT 1 FROM pauses_of_step(b.tenant, b.workflow, b.queue, b.run_id))
    ORDER BY b.ticketed_at LIMIT 2000 FOR UPDATE SKIP LOCKED
)
UPDATE steps s SET ticketed_at = now() FROM picked p WHERE s.ctid = p.place
RETURNING s.queue, s.run_id, s.seq, s.attempt
