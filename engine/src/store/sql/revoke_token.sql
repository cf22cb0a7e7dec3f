-- Once: who revoked it first stands.
UPDATE tokens SET revoked_at = coalesce(revoked_at, now()), revoked_by = coalesce(revoked_by, $3)
WHERE id = $1 AND tenant = $2
RETURNING hash
