SELECT name, workflow, step, key, share, weights, most, rate, per_ms, burst, when_full, hold, quiet_ms, quiet_at_most_ms,
       expires_ms, version, changed_by, changed_at FROM limits
WHERE tenant = $1 AND ($2::text IS NULL OR name = $2) ORDER BY name
