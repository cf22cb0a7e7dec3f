WITH added AS (
    INSERT INTO tokens (id, tenant, name, hash, scopes, workflows, subjects, created_by, expires_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, now() + make_interval(secs => $9::double precision))
    ON CONFLICT (tenant, name) WHERE revoked_at IS NULL DO NOTHING
    RETURNING id, tenant, name, scopes, workflows, subjects, created_at, created_by, expires_at, last_used_at, revoked_at
), audited AS (
    INSERT INTO audit (tenant, who, via, address, request, action, target, after)
    SELECT $2, $8, $10, $11, $12, $13, $14,
           jsonb_build_object('name', name, 'scopes', scopes, 'workflows', workflows, 'subjects', subjects, 'expires_at', expires_at)
    FROM added
)
SELECT * FROM added
