-- Newest first; those that were revoked last.
SELECT id, tenant, name, scopes, workflows, subjects, created_at, created_by, expires_at, last_used_at, revoked_at
FROM tokens WHERE tenant = $1
ORDER BY revoked_at IS NOT NULL, created_at DESC, id DESC LIMIT $2
