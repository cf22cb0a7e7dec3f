-- A page of the runs that are to be told of an event.
SELECT run_id, seq FROM event_wakes
WHERE event_id = $1 AND ($2::uuid IS NULL OR (run_id, seq) > ($2, $3::int)) ORDER BY run_id, seq LIMIT $4
