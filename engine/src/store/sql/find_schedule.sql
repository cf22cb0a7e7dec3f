SELECT s.*, f.at AS last_at, f.state AS last_state, f.run_id AS last_run, f.reason AS last_reason
FROM schedules s LEFT JOIN LATERAL (
    SELECT l.at, l.state, l.run_id, l.reason FROM schedule_fires l WHERE l.schedule_id = s.id ORDER BY l.at DESC LIMIT 1) f ON true
WHERE s.tenant = $1 AND s.name = $2
