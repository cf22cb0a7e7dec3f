WITH ended AS (
    DELETE FROM console_sessions WHERE hash = $1 RETURNING hash
)
INSERT INTO audit (tenant, who, via, address, request, action, target)
SELECT $2, $3, $4, $5, $6, $7, $8 FROM ended
