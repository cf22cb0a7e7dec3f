-- Live workers, each with the oldest 20 of the steps at work that the caller may see.
SELECT x.id, x.name, x.queues, x.labels, x.slots, x.free_slots, x.seen_at, x.draining,
       (SELECT count(*) FROM steps s WHERE s.session_id = x.id AND s.lease_id IS NOT NULL) AS running, w.at_work
FROM sessions x
CROSS JOIN LATERAL (
    SELECT coalesce(jsonb_agg(to_jsonb(s) ORDER BY s.granted_at, s.run_id, s.seq), '[]') AS at_work
    FROM (SELECT run_id, seq, workflow, name, granted_at FROM steps
          WHERE session_id = x.id AND lease_id IS NOT NULL AND tenant = $1
            AND ($2::text[] IS NULL OR workflow = ANY ($2)) AND ($3::text[] IS NULL OR subject = ANY ($3))
          ORDER BY granted_at, run_id, seq LIMIT 20) AS s) AS w
WHERE x.kind = 'worker' AND x.expires_at > now() AND (x.tenant IS NULL OR x.tenant = $1) ORDER BY x.name, x.id LIMIT 1000
