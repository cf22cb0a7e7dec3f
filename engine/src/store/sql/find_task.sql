SELECT id, run_id, seq, tenant, workflow, state, body, deadline, opened_at, claimed_by, ended_by
FROM human_tasks WHERE id = $1 AND tenant = $2
