-- Those that nobody looks after any more, for a live session that will end them: under a new fence, and for as long as a lease ($5). One that does not come
-- back is taken over by the next.
WITH session AS (
    SELECT x.tenant FROM sessions x WHERE x.id = $1 AND x.kind = 'worker' AND x.expires_at > now()
), old AS MATERIALIZED (
    SELECT o.tenant, o.kind, o.key, resource_accrued(o.rate_micros, o.metered_at) AS accrued,
        extract(epoch FROM now() - o.metered_at)::float8 AS seconds
    FROM session x JOIN resources o ON o.kind = $2 AND (x.tenant IS NULL OR o.tenant = x.tenant)
    WHERE NOT o.ended AND o.labels @> $3::jsonb
      AND (o.lease_until < now() OR o.state <> $4 AND resource_left(o.ended, o.lease_until, o.run_id))
    ORDER BY o.created_at LIMIT $6 FOR UPDATE OF o SKIP LOCKED
), reaped AS (
    UPDATE resources r SET state = $4, fence = r.fence + 1, lease_until = now() + $5 * interval '1 millisecond',
        state_since = CASE WHEN r.state <> $4 THEN now() ELSE r.state_since END,
        reason = coalesce(r.reason, CASE WHEN r.lease_until < now() THEN 'its lease ended' ELSE 'its run is over' END),
        cost_micros = r.cost_micros + o.accrued, metered_at = now()
    FROM old o WHERE (r.tenant, r.kind, r.key) = (o.tenant, o.kind, o.key)
    RETURNING r.*, o.accrued, o.seconds
), metered AS (
    INSERT INTO resource_meters AS m (tenant, kind, class, day, seconds, micros)
    SELECT tenant, kind, class, (now() AT TIME ZONE 'UTC')::date, sum(seconds), sum(accrued) FROM reaped GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
    ON CONFLICT (tenant, kind, class, day) DO UPDATE SET seconds = m.seconds + EXCLUDED.seconds, micros = m.micros + EXCLUDED.micros
)
SELECT r.tenant, r.kind, r.key, r.class, r.state, r.ended, r.run_id, r.fence, r.lease_until, r.labels, r.sealed, r.reason, r.created_at,
    r.state_since, r.uses, r.cost_micros + resource_accrued(r.rate_micros, r.metered_at) AS cost_micros,
    resource_left(r.ended, r.lease_until, r.run_id) AS is_left
FROM session x LEFT JOIN reaped r ON true
