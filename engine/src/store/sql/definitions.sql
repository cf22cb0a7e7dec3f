-- The newest version of each of these declared workflows.
SELECT wanted.tenant, wanted.name, newest.definition
FROM (SELECT DISTINCT tenant, name FROM unnest($1::text[], $2::text[]) AS named (tenant, name)) AS wanted
CROSS JOIN LATERAL (
    SELECT d.definition FROM declared_workflows AS d
    WHERE d.tenant = wanted.tenant AND d.name = wanted.name ORDER BY d.version DESC LIMIT 1
) AS newest
