SELECT name, version, definition, created_at, created_by FROM declared_workflows
WHERE tenant = $1 AND name = $2 AND ($3::integer IS NULL OR version = $3) ORDER BY version DESC LIMIT 1
