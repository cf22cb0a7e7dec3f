-- Takes notices that are due, and puts off each by its own back-off, so that one whose engine dies is tried again.
-- Before, tasks whose deadline is near are noted, once each. $1: lead in ms, $2: targets, $3: most, $4: attempts in all.
WITH nearing AS MATERIALIZED (
    SELECT ctid AS place FROM human_tasks
    WHERE ended_at IS NULL AND NOT due_noted AND deadline < now() + $1 * interval '1 millisecond'
    ORDER BY deadline LIMIT 100 FOR UPDATE SKIP LOCKED
), soon AS (
    UPDATE human_tasks h SET due_noted = true FROM nearing n WHERE h.ctid = n.place
    RETURNING h.id, h.tenant, h.subject, h.workflow, h.run_id
), noted AS (
    INSERT INTO notices (id, target, kind, tenant, subject, workflow, run_id, task_id, at, next_at)
    SELECT gen_random_uuid(), t.target, 'human_task.due_soon', tenant, subject, workflow, run_id, id, now(), now()
    FROM soon, unnest($2::text[]) AS t(target)
), picked AS MATERIALIZED (
    SELECT ctid AS place FROM notices WHERE next_at <= now() AND target = ANY($2::text[])
    ORDER BY next_at LIMIT $3 FOR UPDATE SKIP LOCKED
)
UPDATE notices n SET attempts = n.attempts + 1,
    next_at = CASE WHEN n.attempts + 1 >= $4 THEN NULL
                   ELSE now() + least(10 * power(2, n.attempts), 3600) * interval '1 second' END
FROM picked p WHERE n.ctid = p.place
RETURNING n.id, n.target, n.kind, n.tenant, n.subject, n.workflow, n.run_id, n.task_id, n.body, n.at, n.attempts
