SELECT name, workflow, step, key, share, weights, most, rate, per_ms, burst, version, changed_by, changed_at FROM limits
WHERE tenant = $1 AND ($2::text IS NULL OR name = $2) ORDER BY name
