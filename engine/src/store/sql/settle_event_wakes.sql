-- These runs were told of an event; each that took it counts once.
WITH told AS (
    DELETE FROM event_wakes w USING unnest($2::uuid[], $3::int[], $4::bool[]) AS t(run_id, seq, woken)
    WHERE w.event_id = $1 AND w.run_id = t.run_id AND w.seq = t.seq
    RETURNING t.woken
)
UPDATE events SET woken = woken + (SELECT count(*) FILTER (WHERE woken) FROM told) WHERE id = $1
