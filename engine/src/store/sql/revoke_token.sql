-- Once: who revoked it first stands. One that reaches further than the one who asks is not there.
WITH found AS (
    SELECT id, hash, revoked_at IS NULL AS held FROM tokens WHERE id = $1 AND tenant = $2
      AND ($9::text[] IS NULL OR workflows <@ $9) AND ($10::text[] IS NULL OR subjects <@ $10) FOR UPDATE
), revoked AS (
    UPDATE tokens t SET revoked_at = now(), revoked_by = $3 FROM found f WHERE t.id = f.id AND f.held
    RETURNING t.id
), audited AS (
    INSERT INTO audit (tenant, who, via, address, request, action, target, before, after)
    SELECT $2, $3, $4, $5, $6, $7, $8, '{"revoked": false}'::jsonb, '{"revoked": true}'::jsonb FROM revoked
)
SELECT hash FROM found
