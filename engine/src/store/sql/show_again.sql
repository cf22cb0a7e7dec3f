-- Runs whose backed-off step the tick made ready show so. The revision stays: a commit writes the same or something newer,
-- and a run that is locked by one is left to it.
WITH due AS MATERIALIZED (
    SELECT r.id, s.name, s.seq FROM unnest($1::uuid[], $2::int[]) AS t(run_id, seq)
    JOIN steps s USING (run_id, seq) JOIN runs r ON r.id = t.run_id
    WHERE r.status = 'waiting' AND r.reason ->> 'kind' = 'backing_off' AND (r.reason ->> 'seq')::int = t.seq
    ORDER BY r.id FOR UPDATE OF r SKIP LOCKED
)
UPDATE runs r SET status = 'running', reason = json_build_object('kind', 'step', 'name', due.name, 'seq', due.seq)
FROM due WHERE r.id = due.id
