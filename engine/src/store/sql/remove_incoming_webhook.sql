-- With its failures; what it took is forgotten with age.
WITH removed AS (
    DELETE FROM incoming_webhooks WHERE id = $1 RETURNING id, tenant, proof ->> 'kind' AS proof, workflow, paused
), failures AS (
    DELETE FROM incoming_failures f USING removed r WHERE f.webhook_id = r.id
), audited AS (
    INSERT INTO audit (tenant, who, via, address, request, action, target, before)
    SELECT tenant, $2, $3, $4, $5, $6, $7, to_jsonb(r) - 'id' - 'tenant' FROM removed r
)
SELECT count(*) FROM removed
