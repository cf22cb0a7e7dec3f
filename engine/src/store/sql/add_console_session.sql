-- The oldest of the same token make room.
WITH crowded AS (
    DELETE FROM console_sessions WHERE hash IN (
        SELECT hash FROM console_sessions WHERE token_hash = $2 ORDER BY created_at DESC, hash OFFSET $4::bigint)
), audited AS (
    INSERT INTO audit (tenant, who, via, address, request, action, target) SELECT $5, $6, $7, $8, $9, $10, $11
)
INSERT INTO console_sessions (hash, token_hash, expires_at)
VALUES ($1, $2, now() + make_interval(secs => $3::double precision))
