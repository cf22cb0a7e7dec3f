-- What commits look at, of all tenants.
SELECT id, tenant, kinds, workflow, filter FROM outgoing_webhooks WHERE NOT paused ORDER BY tenant, name LIMIT $1
