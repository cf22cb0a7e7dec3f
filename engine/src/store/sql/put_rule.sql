-- The same value again changes nothing. None if there are as many rules of this kind as may be. Of what a rule says, the words that
-- people wrote for people stay out of the audit.
WITH before AS (
    SELECT version, value FROM rules WHERE tenant = $1 AND kind = $2 AND name = $3
), put AS (
    INSERT INTO rules AS r (tenant, kind, name, value, changed_by)
    SELECT $1, $2, $3, $4::jsonb, $5
    WHERE EXISTS (SELECT FROM before) OR (SELECT count(*) FROM rules WHERE tenant = $1 AND kind = $2) < $6
    ON CONFLICT (tenant, kind, name) DO UPDATE
        SET value = EXCLUDED.value, version = DEFAULT, changed_by = EXCLUDED.changed_by, changed_at = now()
        WHERE r.value IS DISTINCT FROM EXCLUDED.value
    RETURNING kind, name, version, value, changed_by, changed_at
), audited AS (
    INSERT INTO audit (tenant, who, via, address, request, action, target, before, after)
    SELECT $1, $5, $7, $8, $9, $10, $11, (SELECT value - 'terms' - 'note' FROM before), value - 'terms' - 'note' FROM put
)
SELECT kind, name, version, value, changed_by, changed_at, NOT EXISTS (SELECT FROM before) AS created FROM put
UNION ALL
SELECT kind, name, version, value, changed_by, changed_at, false FROM rules
WHERE tenant = $1 AND kind = $2 AND name = $3 AND NOT EXISTS (SELECT FROM put)
