-- The token of a hash, unless it was revoked or has expired. Its use is noted, at most once a minute.
WITH used AS (
    UPDATE tokens SET last_used_at = now()
    WHERE hash = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
      AND (last_used_at IS NULL OR last_used_at < now() - interval '1 minute')
)
SELECT id, tenant, name, scopes, workflows, subjects, created_at, created_by, expires_at, last_used_at, revoked_at
FROM tokens
WHERE hash = $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
