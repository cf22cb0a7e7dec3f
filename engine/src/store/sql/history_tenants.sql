-- Tenants with finished runs, one look-up each.
WITH RECURSIVE found AS (
    (SELECT tenant FROM finished_runs ORDER BY tenant LIMIT 1)
    UNION ALL
    SELECT (SELECT f.tenant FROM finished_runs f WHERE f.tenant > found.tenant ORDER BY f.tenant LIMIT 1)
    FROM found WHERE found.tenant IS NOT NULL
)
SELECT tenant FROM found WHERE tenant IS NOT NULL
