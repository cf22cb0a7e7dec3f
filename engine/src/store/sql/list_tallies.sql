-- Decayed to now; the tiers' own first.
SELECT t.tier, nullif(t.site, '') AS site, t.good * d.left AS good, t.bad * d.left AS bad, t.at
FROM tier_tallies t
CROSS JOIN LATERAL (SELECT power(0.5, greatest(extract(epoch FROM now() - t.at), 0) / $2::float8)::float8 AS left OFFSET 0) d
WHERE t.tenant = $1 ORDER BY t.site, t.tier LIMIT $3
