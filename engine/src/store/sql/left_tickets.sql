-- Of these attempts those that nobody took: $1 runs, $2 steps, $3 attempts.
SELECT s.run_id, s.seq, s.attempt, s.queue
FROM unnest($1::uuid[], $2::int[], $3::int[]) AS t(run_id, seq, attempt)
JOIN steps s USING (run_id, seq)
WHERE s.attempt = t.attempt AND s.state = 'ready' AND s.ticketed_at IS NOT NULL AND NOT s.gated
