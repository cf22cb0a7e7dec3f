-- The triggers that an event's key and scope fit; whether their filters hold is asked by the engine.
SELECT id, name, key, scope, filter, workflow, run, paused, created_at, created_by FROM event_triggers
WHERE tenant = $1 AND NOT paused AND $2 LIKE key_like AND (scope IS NULL OR scope = $3)
  AND ($4::text[] IS NULL OR workflow = ANY ($4))
ORDER BY name
