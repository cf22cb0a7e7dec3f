-- Runs whose backed-off step the tick made ready show so. The revision stays: a commit writes the same or something newer,
-- and a run that is locked by one is left to it.
WITH due AS MATERIALIZED (
    SELECT r.id, s.name, s.seq, l.name AS limit_name, l.key FROM unnest($1::uuid[], $2::int[]) AS t(run_id, seq)
    JOIN steps s USING (run_id, seq) JOIN runs r ON r.id = t.run_id
    LEFT JOIN LATERAL (SELECT n.name, n.key FROM slots n WHERE s.state = 'blocked' AND n.run_id = s.run_id AND n.seq = s.seq
                       ORDER BY n.name LIMIT 1) AS l ON true
    WHERE r.status = 'waiting' AND r.reason ->> 'kind' = 'backing_off' AND (r.reason ->> 'seq')::int = t.seq
    ORDER BY r.id FOR UPDATE OF r SKIP LOCKED
)
UPDATE runs r SET
    status = CASE WHEN due.limit_name IS NULL THEN 'running' ELSE r.status END,
    reason = CASE WHEN due.limit_name IS NULL THEN json_build_object('kind', 'step', 'name', due.name, 'seq', due.seq)
                  ELSE json_build_object('kind', 'limit', 'name', due.name, 'seq', due.seq, 'limit', due.limit_name, 'key', due.key) END
FROM due WHERE r.id = due.id
