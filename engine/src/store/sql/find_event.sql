SELECT id, key, scope, subject, body, replay_of, at, created_by FROM events WHERE tenant = $1 AND id = $2
