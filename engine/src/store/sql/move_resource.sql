-- Another state of a resource, or a longer lease: by a step of the run whose it is ($1 to $5), or by a live session that knows its fence
-- ($9). From the states $10 only. No row: neither the lease nor the session holds.
WITH session AS (
    SELECT x.tenant FROM sessions x WHERE x.id = $5 AND x.kind = 'worker' AND x.expires_at > now()
), held AS (
    SELECT s.run_id, s.tenant FROM steps s, session
    WHERE s.run_id = $1 AND s.seq = $2 AND s.attempt = $3 AND s.lease_id = $4 AND s.session_id = $5 AND s.state = 'running'
), old AS MATERIALIZED (
    SELECT o.*, resource_accrued(o.rate_micros, o.metered_at) AS accrued, extract(epoch FROM now() - o.metered_at)::float8 AS seconds,
        CASE WHEN $1::uuid IS NULL THEN o.fence = $9 ELSE o.run_id = h.run_id AND ($9::bigint IS NULL OR o.fence = $9) END AS is_own
    FROM session x LEFT JOIN held h ON true JOIN resources o
        ON o.tenant = coalesce(h.tenant, x.tenant, $6) AND o.kind = $7 AND o.key = $8
    FOR UPDATE OF o
), moved AS (
    UPDATE resources r SET state = coalesce($11, r.state), ended = $12, fence = r.fence + $18::boolean::int,
        state_since = CASE WHEN $11 <> r.state THEN now() ELSE r.state_since END,
        run_id = CASE WHEN $18 THEN NULL ELSE r.run_id END, claimed_for = CASE WHEN $18 THEN NULL ELSE r.claimed_for END,
        lease_until = coalesce(now() + $13::bigint * interval '1 millisecond', r.lease_until), labels = r.labels || $14::jsonb,
        sealed = CASE WHEN $12 THEN NULL ELSE coalesce($15::bytea, r.sealed) END, reason = coalesce($16::text, r.reason),
        rate_micros = CASE WHEN $12 THEN 0 ELSE coalesce($17::bigint, r.rate_micros) END,
        not_before = coalesce(now() + $19::bigint * interval '1 millisecond', r.not_before),
        cost_micros = r.cost_micros + o.accrued, metered_at = now(),
        charged_micros = CASE WHEN $1 IS NULL THEN r.charged_micros ELSE r.cost_micros + o.accrued END
    FROM old o
    WHERE (r.tenant, r.kind, r.key) = (o.tenant, o.kind, o.key) AND o.is_own AND o.state = ANY ($10::text[])
    RETURNING r.*
), metered AS (
    INSERT INTO resource_meters AS m (tenant, kind, class, day, seconds, micros)
    SELECT r.tenant, r.kind, r.class, (now() AT TIME ZONE 'UTC')::date, o.seconds, o.accrued FROM moved r JOIN old o USING (tenant, kind, key)
    WHERE NOT o.ended
    ON CONFLICT (tenant, kind, class, day) DO UPDATE SET seconds = m.seconds + EXCLUDED.seconds, micros = m.micros + EXCLUDED.micros
), it AS (
    SELECT r.*, true AS is_moved, true AS is_own, CASE WHEN $1 IS NULL THEN 0 ELSE r.cost_micros - o.charged_micros END AS charge
    FROM moved r JOIN old o USING (tenant, kind, key)
    UNION ALL
    SELECT o.tenant, o.kind, o.key, o.class, o.state, o.ended, o.run_id, o.claimed_for, o.fence, o.lease_until, o.not_before, o.labels, o.sealed,
        o.reason, o.uses, o.created_at, o.state_since, o.rate_micros, o.metered_at, o.cost_micros, o.charged_micros, false, o.is_own, 0
    FROM old o WHERE NOT EXISTS (SELECT FROM moved)
)
SELECT r.tenant, r.kind, r.key, r.class, r.state, r.ended, r.run_id, r.fence, r.lease_until, r.labels, r.sealed, r.reason, r.created_at,
    r.state_since, r.uses, r.cost_micros + resource_accrued(r.rate_micros, r.metered_at) AS cost_micros,
    resource_left(r.ended, r.lease_until, r.run_id) AS is_left,
    r.is_moved, r.is_own, r.charge
FROM session x LEFT JOIN it AS r ON true
WHERE $1 IS NULL OR EXISTS (SELECT FROM held)
