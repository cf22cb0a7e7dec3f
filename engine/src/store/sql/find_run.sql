SELECT id, tenant, subject, workflow, plan, attributes, status, paused, reason::jsonb AS reason, status_line, error_code, revision,
       created_at, updated_at, NULL::timestamptz AS ended_at, parent_run, figures
FROM runs WHERE id = $1 AND tenant = $2
UNION ALL
SELECT id, tenant, subject, workflow, plan, attributes, status, false, NULL, status_line, error_code, revision,
       created_at, ended_at, ended_at, parent_run, figures
FROM finished_runs WHERE id = $1 AND tenant = $2
