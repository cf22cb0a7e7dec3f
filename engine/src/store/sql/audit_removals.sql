-- Who has these runs removed ($3), in which operation ($4); once for each, however often its removal is begun.
INSERT INTO audit (tenant, who, via, request, action, target, before)
SELECT $1, $3, 'bulk', $4, 'run.delete', t.target, jsonb_build_object('status', f.status)
FROM unnest($2::uuid[]) AS a(id)
CROSS JOIN LATERAL (SELECT 'run_' || replace(a.id::text, '-', '') AS target) AS t
CROSS JOIN LATERAL (SELECT status FROM finished_runs f WHERE f.id = a.id OFFSET 0) AS f
WHERE NOT EXISTS (SELECT FROM audit x WHERE x.target = t.target AND x.request = $4 AND x.action = 'run.delete')
