SELECT id, key, scope, subject, body, replay_of, at, created_by, woken FROM events WHERE tenant = $1 AND id = $2
