-- A limit as it shall be from now on. The same again changes nothing. None if the tenant has too many.
WITH before AS MATERIALIZED (
    SELECT workflow, step, key, share, weights, most, rate, per_ms, burst, when_full, hold, quiet_ms, quiet_at_most_ms, expires_ms
    FROM limits WHERE tenant = $1 AND name = $2
), put AS (
    INSERT INTO limits AS l (tenant, name, workflow, step, key, share, weights, most, rate, per_ms, burst, changed_by,
                             when_full, hold, quiet_ms, quiet_at_most_ms, expires_ms)
    SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $19, $20, $21, $22, $23
    WHERE EXISTS (SELECT FROM before) OR (SELECT count(*) FROM limits WHERE tenant = $1) < $13
    ON CONFLICT (tenant, name) DO UPDATE
    SET workflow = EXCLUDED.workflow, step = EXCLUDED.step, key = EXCLUDED.key, share = EXCLUDED.share, weights = EXCLUDED.weights,
        most = EXCLUDED.most, rate = EXCLUDED.rate, per_ms = EXCLUDED.per_ms, burst = EXCLUDED.burst, when_full = EXCLUDED.when_full,
        hold = EXCLUDED.hold, quiet_ms = EXCLUDED.quiet_ms, quiet_at_most_ms = EXCLUDED.quiet_at_most_ms, expires_ms = EXCLUDED.expires_ms,
        version = DEFAULT, changed_by = EXCLUDED.changed_by, changed_at = now()
    WHERE (l.workflow, l.weights) IS DISTINCT FROM (EXCLUDED.workflow, EXCLUDED.weights)
       OR (l.step, l.key, l.share) IS DISTINCT FROM (EXCLUDED.step, EXCLUDED.key, EXCLUDED.share)
       OR (l.most, l.rate, l.per_ms, l.burst) IS DISTINCT FROM (EXCLUDED.most, EXCLUDED.rate, EXCLUDED.per_ms, EXCLUDED.burst)
       OR (l.when_full, l.hold, l.quiet_ms, l.quiet_at_most_ms, l.expires_ms)
          IS DISTINCT FROM (EXCLUDED.when_full, EXCLUDED.hold, EXCLUDED.quiet_ms, EXCLUDED.quiet_at_most_ms, EXCLUDED.expires_ms)
    RETURNING workflow, step, key, share, weights, most, rate, per_ms, burst, when_full, hold, quiet_ms, quiet_at_most_ms, expires_ms
), audited AS (
    INSERT INTO audit (tenant, who, via, address, request, action, target, before, after)
    SELECT $1, $12, $14, $15, $16, $17, $18, (SELECT jsonb_strip_nulls(to_jsonb(b)) FROM before b), jsonb_strip_nulls(to_jsonb(p))
    FROM put p
)
SELECT NOT EXISTS (SELECT FROM before) AS created, true AS changed FROM put
UNION ALL
SELECT false, false FROM before WHERE NOT EXISTS (SELECT FROM put)
