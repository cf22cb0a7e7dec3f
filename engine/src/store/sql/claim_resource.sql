-- One that waits for somebody, the oldest first, for the run whose step holds this lease; what it was given for the same thing before, first of
-- all. Nobody waits for anybody: what another is at is passed over. No row: the lease does not hold.
WITH held AS (
    SELECT s.run_id, s.tenant FROM steps s JOIN sessions x ON x.id = s.session_id
    WHERE s.run_id = $1 AND s.seq = $2 AND s.attempt = $3 AND s.lease_id = $4 AND s.session_id = $5
      AND s.state = 'running' AND x.expires_at > now()
), own AS (
    SELECT o.tenant, o.kind, o.key, true AS again FROM held h JOIN resources o
        ON o.tenant = h.tenant AND o.kind = $6 AND o.run_id = h.run_id AND o.claimed_for = $7
    WHERE o.state = $11
), free AS (
    SELECT f.tenant, f.kind, f.key, false AS again FROM held h JOIN resources f ON f.tenant = h.tenant AND f.kind = $6
    WHERE NOT f.ended AND ($8::text IS NULL OR f.key = $8) AND f.labels @> $9::jsonb AND NOT EXISTS (SELECT FROM own)
      AND (f.state = ANY ($10::text[]) AND (f.not_before IS NULL OR f.not_before <= now()) AND ($12 OR f.lease_until > now())
           OR $12 AND f.state = $11 AND f.lease_until < now())
    ORDER BY f.created_at LIMIT 1 FOR UPDATE OF f SKIP LOCKED
), found AS MATERIALIZED (
    SELECT * FROM own UNION ALL SELECT * FROM free
), old AS MATERIALIZED (
    SELECT f.again, o.tenant, o.kind, o.key, o.class, resource_accrued(o.rate_micros, o.metered_at) AS accrued,
        extract(epoch FROM now() - o.metered_at)::float8 AS seconds
    FROM found f JOIN resources o USING (tenant, kind, key)
), claimed AS (
    UPDATE resources r SET state = $11, ended = $13, run_id = h.run_id, claimed_for = $7, fence = r.fence + (NOT o.again)::int,
        uses = r.uses + (NOT o.again)::int, lease_until = now() + $14 * interval '1 millisecond', labels = r.labels || $15::jsonb,
        state_since = CASE WHEN o.again THEN r.state_since ELSE now() END, not_before = NULL, reason = NULL,
        cost_micros = r.cost_micros + o.accrued, metered_at = now(), charged_micros = r.cost_micros + o.accrued,
        rate_micros = CASE WHEN $13 THEN 0 ELSE r.rate_micros END
    FROM old o, held h WHERE (r.tenant, r.kind, r.key) = (o.tenant, o.kind, o.key)
    RETURNING r.*
), metered AS (
    INSERT INTO resource_meters AS m (tenant, kind, class, day, seconds, micros)
    SELECT o.tenant, o.kind, o.class, (now() AT TIME ZONE 'UTC')::date, o.seconds, o.accrued FROM old o
    ON CONFLICT (tenant, kind, class, day) DO UPDATE SET seconds = m.seconds + EXCLUDED.seconds, micros = m.micros + EXCLUDED.micros
)
SELECT r.tenant, r.kind, r.key, r.class, r.state, r.ended, r.run_id, r.fence, r.lease_until, r.labels, r.sealed, r.reason, r.created_at,
    r.state_since, r.uses, r.cost_micros + resource_accrued(r.rate_micros, r.metered_at) AS cost_micros,
    resource_left(r.ended, r.lease_until, r.run_id) AS is_left
FROM held h LEFT JOIN claimed r ON true
