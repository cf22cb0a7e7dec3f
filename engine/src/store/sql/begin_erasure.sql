-- Once: a second request finds the first.
WITH begun AS (
    INSERT INTO erasures (tenant, subject, requested_by) VALUES ($1, $2, $3)
    ON CONFLICT (tenant, subject) WHERE erased_at IS NULL DO NOTHING RETURNING id
), audited AS (
    INSERT INTO audit (tenant, who, via, address, request, action, target)
    SELECT $1, $3, $4, $5, $6, $7, $8 FROM begun
)
SELECT count(*) FROM begun
