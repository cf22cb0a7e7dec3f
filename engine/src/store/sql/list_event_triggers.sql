-- By name, those within a token's reach.
SELECT id, name, key, scope, filter, workflow, run, paused, created_at, created_by FROM event_triggers
WHERE tenant = $1 AND ($2::text[] IS NULL OR workflow = ANY ($2)) ORDER BY name LIMIT $3
