-- Those that reach no further than the one who asks: newest first; those that were revoked last.
SELECT id, tenant, name, scopes, workflows, subjects, created_at, created_by, expires_at, last_used_at, revoked_at
FROM tokens
WHERE tenant = $1 AND ($3::text[] IS NULL OR workflows <@ $3) AND ($4::text[] IS NULL OR subjects <@ $4)
ORDER BY revoked_at IS NOT NULL, created_at DESC, id DESC LIMIT $2
