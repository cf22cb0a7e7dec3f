-- Whose lease ended long ago, and nobody came to end them: whoever could reach them is gone.
WITH given_up AS (
    UPDATE resources r SET state = $2, ended = true, state_since = now(), fence = r.fence + 1, rate_micros = 0, sealed = NULL,
        cost_micros = r.cost_micros + resource_accrued(r.rate_micros, r.metered_at), metered_at = now(),
        reason = 'nobody that reaches it was there for too long after its lease'
    WHERE (r.tenant, r.kind, r.key) IN (
        SELECT l.tenant, l.kind, l.key FROM resources l
        WHERE l.kind = $1 AND NOT l.ended AND l.lease_until < now() - $3 * interval '1 millisecond'
        ORDER BY l.lease_until LIMIT 1000 FOR UPDATE SKIP LOCKED)
    RETURNING r.key
)
SELECT count(*) FROM given_up
