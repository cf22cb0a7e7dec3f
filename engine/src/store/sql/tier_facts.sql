-- What the step that holds this lease may know when it chooses a tier for a site; no row: it does not hold it. $7: names that the site's
-- policy may have; $8: browser of the run; $9: half-life of tallies, in seconds.
SELECT now() AS now, r.plan,
       coalesce((SELECT jsonb_agg(jsonb_build_object('kind', u.kind, 'name', u.name, 'version', u.version, 'value', u.value) ORDER BY u.kind, u.name)
                 FROM rules u
                 WHERE u.tenant = s.tenant AND (u.kind IN ('tier', 'override') OR u.kind = 'site' AND u.name = ANY ($7::text[]))), '[]') AS rules,
       coalesce((SELECT jsonb_agg(jsonb_build_object('tier', t.tier, 'site', nullif(t.site, ''), 'good', t.good * d.left, 'bad', t.bad * d.left))
                 FROM tier_tallies t
                 CROSS JOIN LATERAL (SELECT power(0.5, greatest(extract(epoch FROM now() - t.at), 0) / $9::float8)::float8 AS left OFFSET 0) d
                 WHERE t.tenant = s.tenant AND t.site IN ('', $6)), '[]') AS tallies,
       p.revision, p.cool_until, p.cool_why, p.last_visit_at, p.visits, v.begins_at
FROM steps s
JOIN sessions x ON x.id = s.session_id
JOIN runs r ON r.id = s.run_id
LEFT JOIN tier_sites p ON p.tenant = s.tenant AND p.site = $6
LEFT JOIN tier_visits v ON v.run_id = s.run_id AND v.browser = $8
WHERE s.run_id = $1 AND s.seq = $2 AND s.attempt = $3 AND s.lease_id = $4 AND s.session_id = $5
  AND s.state = 'running' AND x.expires_at > now()
