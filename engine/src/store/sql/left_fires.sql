-- What an engine was to start and did not settle. What was moved in the time to come was so before the clock went back.
SELECT f.schedule_id, f.at, f.run_id, s.tenant, s.name, s.workflow, s.body
FROM schedule_fires f JOIN schedules s ON s.id = f.schedule_id
WHERE f.state = 'starting' AND f.moved_at NOT BETWEEN now() - $1 * interval '1 millisecond' AND now() + $1 * interval '1 millisecond'
ORDER BY f.moved_at LIMIT $2
