SELECT id, run_id, seq, tenant, workflow, subject, state, body, deadline, opened_at, claimed_by, claimed_at, ended_by, ended_at
FROM human_tasks WHERE id = $1 AND tenant = $2
