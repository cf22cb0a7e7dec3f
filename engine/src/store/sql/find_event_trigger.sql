SELECT id, name, key, scope, filter, workflow, run, paused, created_at, created_by FROM event_triggers WHERE tenant = $1 AND name = $2
