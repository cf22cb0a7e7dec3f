SELECT kind, name, version, created_at, created_by, body FROM subject_items
WHERE tenant = $1 AND subject = $2 AND kind = $3 AND name = $4 AND ($5::int IS NULL OR version = $5) AND body IS NOT NULL
ORDER BY version DESC LIMIT 1
