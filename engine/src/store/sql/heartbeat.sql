-- One heartbeat renews all the session's leases. Attempts that must give signs of life get their time anew by progress, by a
-- refresh, or by the word that they live ($9); the others are not touched for that word. A session that ended stays ended.
-- Answers the leases that are live and not told to stop; a grant that the worker did not list is marked, so that the sweep takes it back after two misses.
-- IN … IS TRUE is a look-up in a hash: with ANY each of a thousand leases is compared with each.
WITH renewed AS MATERIALIZED (
    UPDATE sessions SET seen_at = now(), expires_at = now() + $2 * interval '1 millisecond', free_slots = $3,
                        draining = $4
    WHERE id = $1 AND expires_at > now() RETURNING id
), locked AS MATERIALIZED (
    -- In the order in which commits and claims lock.
    SELECT s.run_id, s.seq, s.lease_id FROM steps s
    WHERE s.session_id = $1 AND s.lease_id IS NOT NULL
      AND ((s.lease_id IN (SELECT unnest($6::uuid[]))) IS TRUE OR (s.lease_id IN (SELECT unnest($8::uuid[]))) IS TRUE
           OR (s.lease_id IN (SELECT unnest($9::uuid[]))) IS TRUE AND s.silence_ms IS NOT NULL
           OR CASE WHEN (s.lease_id IN (SELECT unnest($5::uuid[]))) IS TRUE THEN s.missed > 0
               ELSE s.missed < 3 AND s.granted_at < now() - interval '2 seconds' END)
    ORDER BY s.run_id, s.seq FOR UPDATE
), missed AS (
    UPDATE steps s SET missed = CASE WHEN (s.lease_id IN (SELECT unnest($5::uuid[]))) IS TRUE THEN 0 ELSE s.missed + 1 END,
                       deadline = CASE WHEN (s.lease_id IN (SELECT unnest($8::uuid[]))) IS TRUE
                                       THEN now() + s.timeout_ms * interval '1 millisecond' ELSE s.deadline END,
                       silent_at = CASE WHEN (s.lease_id IN (SELECT unnest($8::uuid[]))) IS TRUE
                                            OR (s.lease_id IN (SELECT unnest($9::uuid[]))) IS TRUE
                                        THEN now() + s.silence_ms * interval '1 millisecond' ELSE s.silent_at END
    FROM locked l WHERE s.run_id = l.run_id AND s.seq = l.seq AND (l.lease_id IN (SELECT unnest($6::uuid[]))) IS NOT TRUE
), progressed AS (
    UPDATE steps s SET progress = p.body,
                       deadline = CASE WHEN (s.lease_id IN (SELECT unnest($8::uuid[]))) IS TRUE
                                       THEN now() + s.timeout_ms * interval '1 millisecond' ELSE s.deadline END,
                       silent_at = now() + s.silence_ms * interval '1 millisecond'
    FROM locked l JOIN unnest($6::uuid[], $7::bytea[]) AS p(lease_id, body) USING (lease_id)
    WHERE s.run_id = l.run_id AND s.seq = l.seq
)
SELECT EXISTS (SELECT 1 FROM renewed) AS alive, EXISTS (SELECT 1 FROM pauses_of_worker($1)) AS paused,
       coalesce((SELECT array_agg(s.lease_id) FROM steps s
                 WHERE s.session_id = $1 AND s.state = 'running' AND (s.lease_id IN (SELECT unnest($5::uuid[]))) IS TRUE), '{}') AS keep
