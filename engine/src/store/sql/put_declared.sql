-- A new version, unless the newest is this very definition. None if another put was faster, or the tenant has too many names.
WITH newest AS (
    SELECT version, definition = $3::jsonb AS same FROM declared_workflows
    WHERE tenant = $1 AND name = $2 ORDER BY version DESC LIMIT 1
), added AS (
    INSERT INTO declared_workflows (tenant, name, version, definition, created_by)
    SELECT $1, $2, coalesce((SELECT version FROM newest), 0) + 1, $3::jsonb, $4
    WHERE NOT EXISTS (SELECT FROM newest WHERE same)
      AND (EXISTS (SELECT FROM newest)
           OR (SELECT count(DISTINCT name) FROM declared_workflows WHERE tenant = $1) < $5)
    ON CONFLICT DO NOTHING RETURNING version
), audited AS (
    INSERT INTO audit (tenant, who, via, address, request, action, target, before, after)
    SELECT $1, $4, $6, $7, $8, $9, $10, (SELECT jsonb_build_object('version', version) FROM newest),
           jsonb_build_object('version', version)
    FROM added
)
SELECT version, true AS created FROM added
UNION ALL
SELECT version, false FROM newest WHERE same
