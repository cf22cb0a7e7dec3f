-- By name, those within a token's reach.
SELECT s.*, f.at AS last_at, f.state AS last_state, f.run_id AS last_run, f.reason AS last_reason
FROM schedules s LEFT JOIN LATERAL (
    SELECT l.at, l.state, l.run_id, l.reason FROM schedule_fires l WHERE l.schedule_id = s.id ORDER BY l.at DESC LIMIT 1) f ON true
WHERE s.tenant = $1 AND ($2::text IS NULL OR s.name > $2) AND ($3::text[] IS NULL OR s.workflow = ANY ($3))
  AND ($4::text[] IS NULL OR s.subject = ANY ($4))
ORDER BY s.name LIMIT $5
