-- Tickets for the head of a queue's backlog, by priority, then by time.
UPDATE steps s SET ticketed_at = now()
WHERE (s.run_id, s.seq) IN (
    SELECT b.run_id, b.seq FROM steps b
    WHERE b.queue = $1 AND b.state = 'ready' AND b.ticketed_at IS NULL AND NOT b.gated
    ORDER BY b.priority DESC, b.available_at LIMIT $2 FOR UPDATE SKIP LOCKED)
RETURNING s.run_id, s.seq, s.attempt
