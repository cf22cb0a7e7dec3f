-- Nothing of a key begins before $4, or it may begin again (NULL). None if there is no such limit.
WITH rule AS MATERIALIZED (
    SELECT FROM limits WHERE tenant = $1 AND name = $2
), before AS MATERIALIZED (
    SELECT cooled_until FROM limit_keys WHERE tenant = $1 AND name = $2 AND key = $3
), cooled AS (
    INSERT INTO limit_keys AS k (tenant, name, key, cooled_until) SELECT $1, $2, $3, $4 FROM rule
    ON CONFLICT (tenant, name, key) DO UPDATE SET cooled_until = EXCLUDED.cooled_until
    WHERE k.cooled_until IS DISTINCT FROM EXCLUDED.cooled_until
    RETURNING cooled_until
), audited AS (
    INSERT INTO audit (tenant, who, via, address, request, action, target, before, after)
    SELECT $1, $5, $6, $7, $8, $9, $10, (SELECT jsonb_build_object('cooled_until', b.cooled_until) FROM before b),
           jsonb_build_object('cooled_until', c.cooled_until)
    FROM cooled c
)
SELECT count(*) FROM rule
