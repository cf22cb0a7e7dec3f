-- Idempotent: who paused first stands. None when there are as many pauses as may be. $7 to $12: the deed; NULL: nobody's.
WITH added AS (
    INSERT INTO pauses (tenant, scope, name, paused_by, reason)
    SELECT $1, $2, $3, $4, $5 WHERE (SELECT count(*) FROM pauses) < $6
    ON CONFLICT DO NOTHING
    RETURNING tenant, scope, name, version, paused_by, reason, at
), audited AS (
    INSERT INTO audit (tenant, who, via, address, request, action, target, before, after)
    SELECT $7::text, $4, $8::text, $9, $10, $11, $12, '{"paused": false}'::jsonb, '{"paused": true}'::jsonb
    FROM added WHERE $7::text IS NOT NULL
)
SELECT tenant, scope, name, version, paused_by, reason, at FROM added
UNION ALL
SELECT tenant, scope, name, version, paused_by, reason, at FROM pauses WHERE tenant = $1 AND scope = $2 AND name = $3
