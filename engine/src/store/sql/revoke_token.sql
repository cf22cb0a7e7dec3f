-- Once: who revoked it first stands. One that reaches further than the one who asks is not there.
UPDATE tokens SET revoked_at = coalesce(revoked_at, now()), revoked_by = coalesce(revoked_by, $3)
WHERE id = $1 AND tenant = $2 AND ($4::text[] IS NULL OR workflows <@ $4) AND ($5::text[] IS NULL OR subjects <@ $5)
RETURNING hash
