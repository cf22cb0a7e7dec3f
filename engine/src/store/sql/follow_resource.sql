-- The state that a resource itself speaks of, under the fence at which it was looked at, from the states $6 only.
WITH old AS MATERIALIZED (
    SELECT o.tenant, o.kind, o.key, resource_accrued(o.rate_micros, o.metered_at) AS accrued,
        extract(epoch FROM now() - o.metered_at)::float8 AS seconds
    FROM resources o
    WHERE o.tenant = $1 AND o.kind = $2 AND o.key = $3 AND o.fence = $4 AND o.state = ANY ($6::text[]) AND o.state <> $5 FOR UPDATE
), moved AS (
    UPDATE resources r SET state = $5, state_since = now(), reason = coalesce($7::text, r.reason),
        cost_micros = r.cost_micros + o.accrued, metered_at = now()
    FROM old o WHERE (r.tenant, r.kind, r.key) = (o.tenant, o.kind, o.key)
    RETURNING r.class, o.accrued, o.seconds
), metered AS (
    INSERT INTO resource_meters AS m (tenant, kind, class, day, seconds, micros)
    SELECT $1, $2, class, (now() AT TIME ZONE 'UTC')::date, seconds, accrued FROM moved
    ON CONFLICT (tenant, kind, class, day) DO UPDATE SET seconds = m.seconds + EXCLUDED.seconds, micros = m.micros + EXCLUDED.micros
)
SELECT count(*) FROM moved
