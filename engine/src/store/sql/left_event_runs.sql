-- What an engine was to start for events and did not settle.
SELECT r.event_id, r.trigger_id, r.trigger_name, r.workflow, r.run_id, r.body, e.tenant
FROM event_runs r JOIN events e ON e.id = r.event_id
WHERE r.state = 'starting' AND r.moved_at NOT BETWEEN now() - $1 * interval '1 millisecond' AND now() + $1 * interval '1 millisecond'
ORDER BY r.moved_at LIMIT $2
