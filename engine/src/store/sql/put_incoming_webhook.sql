-- A webhook as it shall be from now on; without secrets ($5) it keeps its own. None if the tenant has too many.
WITH before AS MATERIALIZED (
    SELECT proof ->> 'kind' AS proof, workflow, paused, secrets FROM incoming_webhooks WHERE tenant = $2 AND name = $3
), put AS (
    INSERT INTO incoming_webhooks AS w (id, tenant, name, proof, secrets, delivery_id, filter, workflow, mapping, paused, created_by)
    SELECT $1, $2, $3, $4, coalesce($5::bytea, (SELECT secrets FROM before), ''), $6, $7, $8, $9, $10, $11
    WHERE EXISTS (SELECT FROM before) OR (SELECT count(*) FROM incoming_webhooks WHERE tenant = $2) < $12
    ON CONFLICT (tenant, name) DO UPDATE
    SET proof = EXCLUDED.proof, secrets = coalesce($5::bytea, w.secrets), delivery_id = EXCLUDED.delivery_id, filter = EXCLUDED.filter,
        workflow = EXCLUDED.workflow, mapping = EXCLUDED.mapping, paused = EXCLUDED.paused
    WHERE $5::bytea IS NOT NULL OR (w.proof, w.mapping, w.paused) IS DISTINCT FROM (EXCLUDED.proof, EXCLUDED.mapping, EXCLUDED.paused)
       OR w.delivery_id IS DISTINCT FROM EXCLUDED.delivery_id OR w.filter IS DISTINCT FROM EXCLUDED.filter
       OR w.workflow IS DISTINCT FROM EXCLUDED.workflow
    RETURNING proof ->> 'kind' AS proof, workflow, paused, $5::bytea IS NOT NULL AS new_secrets, xmax = 0 AS created
), audited AS (
    INSERT INTO audit (tenant, who, via, address, request, action, target, before, after)
    SELECT $2, $11, $13, $14, $15, $16, $17, (SELECT to_jsonb(b) - 'secrets' FROM before b), to_jsonb(p) - 'created' FROM put p
)
SELECT created FROM put
UNION ALL
SELECT false FROM before WHERE NOT EXISTS (SELECT FROM put)
