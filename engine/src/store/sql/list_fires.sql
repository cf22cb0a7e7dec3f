-- Latest instants first.
SELECT at, origin, overlap, state, reason, run_id, moved_at FROM schedule_fires
WHERE schedule_id = $1 AND ($2::timestamptz IS NULL OR at < $2) AND ($3::text IS NULL OR state = $3)
ORDER BY at DESC LIMIT $4
