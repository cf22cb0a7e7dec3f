SELECT x.id, x.name, x.queues, x.slots, x.free_slots, x.seen_at, x.draining,
       (SELECT count(*) FROM steps s WHERE s.session_id = x.id AND s.lease_id IS NOT NULL) AS running
FROM sessions x WHERE x.kind = 'worker' AND x.expires_at > now() AND (x.tenant IS NULL OR x.tenant = $1) ORDER BY x.name, x.id LIMIT 1000
