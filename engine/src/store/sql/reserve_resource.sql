-- A resource of the run whose step holds this lease, in its kind's first state, before anybody makes the thing itself. One that is there
-- under this key is answered as it is. None is made once its class has cost $14 today. No row: the lease does not hold.
WITH held AS (
    SELECT s.run_id, s.tenant FROM steps s JOIN sessions x ON x.id = s.session_id
    WHERE s.run_id = $1 AND s.seq = $2 AND s.attempt = $3 AND s.lease_id = $4 AND s.session_id = $5
      AND s.state = 'running' AND x.expires_at > now()
), spent AS (
    SELECT coalesce((SELECT sum(m.micros) FROM resource_meters m
                     WHERE m.tenant = h.tenant AND m.kind = $6 AND m.class = $8 AND m.day = (now() AT TIME ZONE 'UTC')::date), 0)
         + coalesce((SELECT sum(resource_accrued(l.rate_micros, l.metered_at)) FROM resources l
                     WHERE l.tenant = h.tenant AND l.kind = $6 AND l.class = $8 AND NOT l.ended), 0) AS micros
    FROM held h WHERE $14::bigint IS NOT NULL
), added AS (
    INSERT INTO resources (tenant, kind, key, class, state, run_id, lease_until, labels, sealed, rate_micros)
    SELECT h.tenant, $6, $7, $8, $9, h.run_id, now() + $10 * interval '1 millisecond', $11::jsonb, $12::bytea, $13::bigint FROM held h
    WHERE NOT EXISTS (SELECT FROM spent WHERE micros >= $14)
    ON CONFLICT DO NOTHING
    RETURNING *
), it AS (
    SELECT * FROM added
    UNION ALL
    SELECT o.* FROM held h JOIN resources o ON o.tenant = h.tenant AND o.kind = $6 AND o.key = $7
)
SELECT r.tenant, r.kind, r.key, r.class, r.state, r.ended, r.run_id, r.fence, r.lease_until, r.labels, r.sealed, r.reason, r.created_at,
    r.state_since, r.uses, r.cost_micros + resource_accrued(r.rate_micros, r.metered_at) AS cost_micros,
    resource_left(r.ended, r.lease_until, r.run_id) AS is_left,
    EXISTS (SELECT FROM added) AS is_new, r.run_id IS NOT DISTINCT FROM h.run_id AS is_own, (SELECT micros FROM spent)::bigint AS spent_micros
FROM held h LEFT JOIN it AS r ON true
