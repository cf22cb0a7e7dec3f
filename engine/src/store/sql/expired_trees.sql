-- One page of a tenant's finished runs, oldest first, and which of them are roots of trees that nobody needs any more: every
-- run of the tree ended before the instant, and none of them still has word for another (it may begin a child). Where the root
-- went with its week, what is left of the tree goes run by run.
WITH page AS MATERIALIZED (
    SELECT id, created_at, ended_at < $2 AND CASE WHEN root IS NULL THEN parent_run IS NULL ELSE
               NOT EXISTS (SELECT 1 FROM runs r WHERE r.id = f.root)
               AND NOT EXISTS (SELECT 1 FROM finished_runs r WHERE r.id = f.root) END AS is_old_root
    FROM finished_runs f
    WHERE tenant = $1 AND created_at < $2 AND (created_at, id) > ($3, $4)
    ORDER BY created_at, id LIMIT $5
), speaking AS MATERIALIZED (
    SELECT s.root FROM inbox b CROSS JOIN LATERAL (
        SELECT coalesce(f.root, f.id) AS root FROM finished_runs f WHERE f.id = b.from_run OFFSET 0) AS s
)
SELECT p.id, p.created_at,
       p.is_old_root
       AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.root = p.id)
       AND NOT EXISTS (SELECT 1 FROM finished_runs f WHERE f.root = p.id AND f.ended_at >= $2)
       AND p.id NOT IN (SELECT root FROM speaking) AS expired
FROM page p ORDER BY p.created_at, p.id
