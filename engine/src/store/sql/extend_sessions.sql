-- After an outage no worker could reach an engine: silence is nobody's fault, and leases begin anew before any sweep.
UPDATE sessions SET expires_at = greatest(expires_at, now() + $1 * interval '1 millisecond')
WHERE kind = 'worker' AND seen_at > now() - interval '1 hour'
  AND NOT EXISTS (SELECT 1 FROM sessions e WHERE e.kind = 'engine' AND e.id <> $2 AND e.expires_at > now())
