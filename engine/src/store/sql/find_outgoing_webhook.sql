SELECT id, name, url, origin, secrets, kinds, workflow, filter, paused, created_at, created_by
FROM outgoing_webhooks WHERE tenant = $1 AND name = $2
