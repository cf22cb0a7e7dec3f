-- A webhook as it shall be from now on; without an address ($4) or secrets ($6) it keeps its own. None if the
-- tenant has too many ($12), or all have ($13).
WITH before AS MATERIALIZED (
    SELECT origin, kinds, workflow, paused, url, secrets FROM outgoing_webhooks WHERE tenant = $2 AND name = $3
), put AS (
    INSERT INTO outgoing_webhooks AS w (id, tenant, name, url, origin, secrets, kinds, workflow, filter, paused, created_by)
    SELECT $1, $2, $3, coalesce($4::bytea, (SELECT url FROM before), ''), $5, coalesce($6::bytea, (SELECT secrets FROM before), ''), $7, $8, $9, $10, $11
    WHERE EXISTS (SELECT FROM before) OR ((SELECT count(*) FROM outgoing_webhooks WHERE tenant = $2) < $12
                                          AND (SELECT count(*) FROM outgoing_webhooks) < $13)
    ON CONFLICT (tenant, name) DO UPDATE
    SET url = coalesce($4::bytea, w.url), origin = EXCLUDED.origin, secrets = coalesce($6::bytea, w.secrets), kinds = EXCLUDED.kinds,
        workflow = EXCLUDED.workflow, filter = EXCLUDED.filter, paused = EXCLUDED.paused
    WHERE $4::bytea IS NOT NULL OR $6::bytea IS NOT NULL OR (w.kinds, w.paused) IS DISTINCT FROM (EXCLUDED.kinds, EXCLUDED.paused)
       OR w.workflow IS DISTINCT FROM EXCLUDED.workflow OR w.filter IS DISTINCT FROM EXCLUDED.filter
    RETURNING origin, kinds, workflow, paused, $6::bytea IS NOT NULL AS new_secrets, xmax = 0 AS created
), audited AS (
    INSERT INTO audit (tenant, who, via, address, request, action, target, before, after)
    SELECT $2, $11, $14, $15, $16, $17, $18, (SELECT to_jsonb(b) - 'url' - 'secrets' FROM before b), to_jsonb(p) - 'created' FROM put p
)
SELECT created FROM put
UNION ALL
SELECT false FROM before WHERE NOT EXISTS (SELECT FROM put)
