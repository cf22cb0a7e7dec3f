WITH removed AS (
    DELETE FROM limits WHERE tenant = $1 AND name = $2
    RETURNING workflow, step, key, share, weights, most, rate, per_ms, burst, when_full, hold, quiet_ms, quiet_at_most_ms, expires_ms
), audited AS (
    INSERT INTO audit (tenant, who, via, address, request, action, target, before)
    SELECT $1, $3, $4, $5, $6, $7, $8, jsonb_strip_nulls(to_jsonb(r)) FROM removed r
)
SELECT count(*) FROM removed
