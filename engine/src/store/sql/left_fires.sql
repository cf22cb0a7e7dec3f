-- What an engine was to start and did not settle.
SELECT f.schedule_id, f.at, f.run_id, s.tenant, s.name, s.workflow, s.body
FROM schedule_fires f JOIN schedules s ON s.id = f.schedule_id
WHERE f.state = 'starting' AND f.moved_at < now() - $1 * interval '1 millisecond' ORDER BY f.moved_at LIMIT $2
