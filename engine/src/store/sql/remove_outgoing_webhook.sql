-- What it was told, and was still to be told, goes with age: nobody is told it any more.
WITH removed AS (
    DELETE FROM outgoing_webhooks WHERE id = $1 RETURNING id, tenant, origin, kinds, workflow, paused
), audited AS (
    INSERT INTO audit (tenant, who, via, address, request, action, target, before)
    SELECT tenant, $2, $3, $4, $5, $6, $7, to_jsonb(r) - 'id' - 'tenant' FROM removed r
)
SELECT count(*) FROM removed
