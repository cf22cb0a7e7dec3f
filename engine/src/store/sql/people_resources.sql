-- Of one kind: those that have not ended, or the latest of all.
SELECT r.tenant, r.kind, r.key, r.class, r.state, r.ended, r.run_id, r.fence, r.lease_until, r.labels, r.sealed, r.reason, r.created_at,
    r.state_since, r.uses, r.cost_micros + resource_accrued(r.rate_micros, r.metered_at) AS cost_micros,
    resource_left(r.ended, r.lease_until, r.run_id) AS is_left
FROM resources r WHERE r.tenant = $1 AND r.kind = $2 AND ($3 OR NOT r.ended)
ORDER BY r.created_at DESC LIMIT $4
