-- Tasks whose deadline is nearer than $1 ms, at most $2, each once.
WITH nearing AS MATERIALIZED (
    SELECT ctid AS place FROM human_tasks
    WHERE ended_at IS NULL AND NOT due_noted AND deadline < now() + $1 * interval '1 millisecond'
    ORDER BY deadline LIMIT $2 FOR UPDATE SKIP LOCKED
)
UPDATE human_tasks h SET due_noted = true FROM nearing n WHERE h.ctid = n.place
RETURNING h.id, h.tenant, h.subject, h.workflow
