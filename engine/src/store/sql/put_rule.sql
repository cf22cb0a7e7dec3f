-- The same value again changes nothing. None if there are as many rules of this kind as may be, or if another version was expected of one
-- that is not there. What is there says so where another version was expected (0: none). Of what a rule says, the words that people
-- wrote for people stay out of the audit.
WITH before AS (
    SELECT version, value FROM rules WHERE tenant = $1 AND kind = $2 AND name = $3
), put AS (
    INSERT INTO rules AS r (tenant, kind, name, value, changed_by)
    SELECT $1, $2, $3, $4::jsonb, $5
    WHERE (EXISTS (SELECT FROM before) OR (SELECT count(*) FROM rules WHERE tenant = $1 AND kind = $2) < $6)
      AND ($12::bigint IS NULL OR $12 = coalesce((SELECT version FROM before), 0))
    ON CONFLICT (tenant, kind, name) DO UPDATE
        SET value = EXCLUDED.value, version = DEFAULT, changed_by = EXCLUDED.changed_by, changed_at = now()
        WHERE r.value IS DISTINCT FROM EXCLUDED.value AND ($12::bigint IS NULL OR r.version = $12)
    RETURNING kind, name, version, value, changed_by, changed_at
), audited AS (
    INSERT INTO audit (tenant, who, via, address, request, action, target, before, after)
    SELECT $1, $5, $7, $8, $9, $10, $11, (SELECT value - 'terms' - 'note' FROM before), value - 'terms' - 'note' FROM put
)
SELECT kind, name, version, value, changed_by, changed_at, NOT EXISTS (SELECT FROM before) AS created, false AS other FROM put
UNION ALL
SELECT kind, name, version, value, changed_by, changed_at, false, $12 IS NOT NULL AND value IS DISTINCT FROM $4::jsonb FROM rules
WHERE tenant = $1 AND kind = $2 AND name = $3 AND NOT EXISTS (SELECT FROM put)
