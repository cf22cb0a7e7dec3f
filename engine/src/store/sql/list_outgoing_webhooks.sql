-- By name, those within a token's reach.
SELECT id, name, url, origin, secrets, kinds, workflow, filter, paused, created_at, created_by
FROM outgoing_webhooks WHERE tenant = $1 AND ($2::text[] IS NULL OR workflow = ANY ($2)) ORDER BY name LIMIT $3
