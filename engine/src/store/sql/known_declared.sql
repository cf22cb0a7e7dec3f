-- Which of these names the tenant has declared.
SELECT named.name FROM unnest($2::text[]) AS named (name)
WHERE EXISTS (SELECT FROM declared_workflows AS d WHERE d.tenant = $1 AND d.name = named.name)
