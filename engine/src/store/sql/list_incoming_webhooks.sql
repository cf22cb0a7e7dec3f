-- By name, those within a token's reach.
SELECT id, name, proof, secrets, delivery_id, filter, workflow, mapping, paused, created_at, created_by
FROM incoming_webhooks WHERE tenant = $1 AND ($2::text[] IS NULL OR workflow = ANY ($2)) ORDER BY name LIMIT $3
