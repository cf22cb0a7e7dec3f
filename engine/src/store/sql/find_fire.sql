SELECT at, origin, overlap, state, reason, run_id, moved_at FROM schedule_fires
WHERE schedule_id = $1 AND (at = $2 OR key = $3) ORDER BY key IS NULL LIMIT 1
