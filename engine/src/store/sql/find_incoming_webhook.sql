SELECT id, name, proof, secrets, delivery_id, filter, workflow, mapping, paused, created_at, created_by
FROM incoming_webhooks WHERE tenant = $1 AND name = $2
