-- $5 to $9: how, from where, in which request, what, to what.
WITH removed AS (
    DELETE FROM pauses WHERE tenant = $1 AND scope = $2 AND name = $3 RETURNING version
), audited AS (
    INSERT INTO audit (tenant, who, via, address, request, action, target, before, after)
    SELECT $10, $4, $5, $6, $7, $8, $9, '{"paused": true}'::jsonb, '{"paused": false}'::jsonb FROM removed
)
SELECT version FROM removed
