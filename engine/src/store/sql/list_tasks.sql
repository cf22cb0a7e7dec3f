-- Open tasks by deadline, or all tasks of one run.
SELECT id, run_id, seq, tenant, workflow, subject, state, body, deadline, opened_at, claimed_by, claimed_at, ended_by, ended_at
FROM human_tasks
WHERE tenant = $1 AND (CASE WHEN $2::uuid IS NULL THEN ended_at IS NULL ELSE run_id = $2 END)
  AND ($3::timestamptz IS NULL OR (deadline, id) > ($3, $4::uuid))
  AND ($6::text[] IS NULL OR workflow = ANY($6)) AND ($7::text[] IS NULL OR subject = ANY($7))
ORDER BY deadline, id LIMIT $5
