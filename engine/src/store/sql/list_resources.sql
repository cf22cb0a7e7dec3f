-- For a live session: those of these keys, ended or not, else all that have not ended; the oldest first. One empty row for a session without any.
SELECT r.tenant, r.kind, r.key, r.class, r.state, r.ended, r.run_id, r.fence, r.lease_until, r.labels, r.sealed, r.reason, r.created_at,
    r.state_since, r.uses, r.cost_micros + resource_accrued(r.rate_micros, r.metered_at) AS cost_micros,
    resource_left(r.ended, r.lease_until, r.run_id) AS is_left
FROM sessions x LEFT JOIN LATERAL (
    SELECT * FROM resources l
    WHERE l.kind = $2 AND (x.tenant IS NULL OR l.tenant = x.tenant) AND l.labels @> $3::jsonb
      AND ($4::text[] IS NULL AND NOT l.ended OR l.key = ANY ($4))
    ORDER BY l.created_at LIMIT $5) AS r ON true
WHERE x.id = $1 AND x.kind = 'worker' AND x.expires_at > now()
