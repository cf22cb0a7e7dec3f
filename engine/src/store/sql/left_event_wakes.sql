-- Events of which an engine was to tell runs and did not say that it had.
SELECT e.id, e.key, e.scope, e.subject, e.body, e.replay_of, e.at, e.created_by, e.woken, e.tenant
FROM events e
WHERE e.id IN (
    SELECT event_id FROM event_wakes
    WHERE since NOT BETWEEN now() - $1 * interval '1 millisecond' AND now() + $1 * interval '1 millisecond'
    ORDER BY since LIMIT $2)
