-- Who ($1) is told of which of these tasks ($2).
INSERT INTO notices (id, target, kind, tenant, subject, workflow, run_id, task_id, at, next_at)
SELECT gen_random_uuid(), t.target, $3, h.tenant, h.subject, h.workflow, h.run_id, h.id, now(), now()
FROM unnest($1::text[], $2::uuid[]) AS t(target, task) JOIN human_tasks h ON h.id = t.task
