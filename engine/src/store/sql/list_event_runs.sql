SELECT event_id, trigger_name, workflow, state, reason, run_id FROM event_runs WHERE event_id = ANY ($1) ORDER BY event_id, trigger_name
