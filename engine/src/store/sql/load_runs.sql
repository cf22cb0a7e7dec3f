SELECT id, tenant, subject, workflow, plan, parent_run, parent_seq, created_at, revision, build, false AS ended
FROM runs WHERE id = ANY($1::uuid[])
UNION ALL
SELECT id, tenant, subject, workflow, plan, parent_run, parent_seq, created_at, revision, build, true AS ended
FROM finished_runs WHERE id = ANY($1::uuid[])
