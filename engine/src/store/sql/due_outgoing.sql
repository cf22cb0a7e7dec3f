-- Takes what is due, at most $1 of each webhook and $2 of all; of those in $4 as many as $5 says: one that does not answer holds up no other.
-- For $3 ms nobody else takes it.
WITH picked AS MATERIALIZED (
    SELECT d.place, w.id, w.url, w.secrets FROM (
        SELECT o.id, o.url, o.secrets, coalesce(b.room, $1) AS room
        FROM outgoing_webhooks o LEFT JOIN unnest($4::uuid[], $5::bigint[]) AS b(id, room) ON b.id = o.id
        WHERE NOT o.paused ORDER BY random()) w, LATERAL (
        SELECT n.ctid AS place FROM notices n WHERE n.target = 'webhook/' || w.id::text AND n.next_at <= now()
        ORDER BY n.next_at LIMIT w.room FOR UPDATE SKIP LOCKED) d
    LIMIT $2
)
UPDATE notices n SET attempts = n.attempts + 1, next_at = now() + $3 * interval '1 millisecond'
FROM picked p WHERE n.ctid = p.place
RETURNING n.id, p.id AS webhook, n.kind, n.tenant, n.workflow, n.run_id, n.task_id, n.body, n.at, n.attempts, p.url, p.secrets
