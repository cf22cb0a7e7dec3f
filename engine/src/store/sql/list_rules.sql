SELECT kind, name, version, value, changed_by, changed_at FROM rules
WHERE tenant = $1 AND ($2::text IS NULL OR kind = $2) ORDER BY kind, name LIMIT $3
