-- The newest version of each, without what lists leave out.
SELECT DISTINCT ON (name) name, version, definition - 'tasks' - 'on_failure' - 'output' AS definition, created_at, created_by
FROM declared_workflows WHERE tenant = $1 AND ($2::text[] IS NULL OR name = ANY ($2)) ORDER BY name, version DESC LIMIT $3
