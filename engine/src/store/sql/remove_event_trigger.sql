WITH removed AS (
    DELETE FROM event_triggers WHERE tenant = $1 AND name = $2 RETURNING key, scope, workflow, paused
), audited AS (
    INSERT INTO audit (tenant, who, via, address, request, action, target, before)
    SELECT $1, $3, $4, $5, $6, $7, $8, to_jsonb(r) FROM removed r
)
SELECT count(*) FROM removed
