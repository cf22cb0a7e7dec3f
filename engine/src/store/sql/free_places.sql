-- Workers at one of these queues that pull tickets, with the places that they have now: what they are granted counts at once, where
-- their own word is a heartbeat old. Who serves one tenant alone pulls none.
SELECT x.queues, x.slots - (SELECT count(*) FROM steps s WHERE s.session_id = x.id AND s.lease_id IS NOT NULL)::int AS free
FROM sessions x
WHERE x.kind = 'worker' AND x.expires_at > now() AND NOT x.draining AND x.tenant IS NULL AND x.queues && $1::text[]
  AND NOT EXISTS (SELECT 1 FROM pauses_of_worker(x.id))
ORDER BY x.id LIMIT 1000
