-- After an outage no worker could reach an engine: silence is nobody's fault, and leases begin anew before any sweep.
-- The outage began when an engine was last seen that lived long enough for workers to reach it: one that dies again and
-- again at its start ends no outage. Sessions that had ended before stay ended, and so do those whose steps a sweep gave to others.
WITH outage AS (
    SELECT coalesce(max(seen_at), '-infinity') AS began FROM sessions WHERE kind = 'engine' AND seen_at > opened_at + interval '3 seconds'
)
-- Signs of life could not be given either.
, spoken AS (
    UPDATE steps s SET silent_at = greatest(s.silent_at, now() + s.silence_ms * interval '1 millisecond')
    FROM outage WHERE s.lease_id IS NOT NULL AND s.silent_at IS NOT NULL AND outage.began < now() - interval '3 seconds'
)
UPDATE sessions SET expires_at = greatest(expires_at, now() + $1 * interval '1 millisecond')
FROM outage
WHERE kind = 'worker' AND NOT swept AND expires_at > outage.began AND outage.began < now() - interval '3 seconds'
