-- Those that concern a tenant: its own, and those of everybody. NULL: all.
SELECT tenant, scope, name, version, paused_by, reason, at FROM pauses
WHERE $1::text IS NULL OR tenant IN ('*', $1) ORDER BY scope, tenant, name
