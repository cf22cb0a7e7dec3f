-- None if another version was expected.
WITH removed AS (
    DELETE FROM rules WHERE tenant = $1 AND kind = $2 AND name = $3 AND ($10::bigint IS NULL OR version = $10)
    RETURNING version, value
), audited AS (
    INSERT INTO audit (tenant, who, via, address, request, action, target, before)
    SELECT $1, $4, $5, $6, $7, $8, $9, value - 'terms' - 'note' FROM removed
)
SELECT version FROM removed
