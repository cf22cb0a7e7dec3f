-- A trigger as it shall be from now on. None if the tenant has too many.
WITH before AS MATERIALIZED (
    SELECT key, scope, workflow, paused FROM event_triggers WHERE tenant = $2 AND name = $3
), put AS (
    INSERT INTO event_triggers AS t (id, tenant, name, key, key_like, scope, filter, workflow, run, paused, created_by)
    SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11
    WHERE EXISTS (SELECT FROM before) OR (SELECT count(*) FROM event_triggers WHERE tenant = $2) < $12
    ON CONFLICT (tenant, name) DO UPDATE
    SET key = EXCLUDED.key, key_like = EXCLUDED.key_like, scope = EXCLUDED.scope, filter = EXCLUDED.filter,
        workflow = EXCLUDED.workflow, run = EXCLUDED.run, paused = EXCLUDED.paused
    WHERE (t.key, t.workflow, t.run, t.paused) IS DISTINCT FROM (EXCLUDED.key, EXCLUDED.workflow, EXCLUDED.run, EXCLUDED.paused)
       OR t.scope IS DISTINCT FROM EXCLUDED.scope OR t.filter IS DISTINCT FROM EXCLUDED.filter
    RETURNING key, scope, workflow, paused, xmax = 0 AS created
), audited AS (
    INSERT INTO audit (tenant, who, via, address, request, action, target, before, after)
    SELECT $2, $11, $13, $14, $15, $16, $17, (SELECT to_jsonb(b) FROM before b), to_jsonb(p) - 'created' FROM put p
)
SELECT created FROM put
UNION ALL
SELECT false FROM before WHERE NOT EXISTS (SELECT FROM put)
