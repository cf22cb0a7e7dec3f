-- One tick of one engine: renews its session and its shards, takes shards whose owner is gone up to a fair share, makes
-- backed-off steps ready, and answers everything that is due. Nothing else polls.
WITH me AS MATERIALIZED (
    UPDATE sessions SET seen_at = now(), expires_at = now() + $2 * interval '1 millisecond' WHERE id = $1 RETURNING id
), engines AS MATERIALIZED (
    SELECT greatest(count(*), 1) AS live FROM sessions WHERE kind = 'engine' AND (expires_at > now() OR id = $1)
), share AS MATERIALIZED (
    SELECT ceil(64.0 / live)::int AS most FROM engines
), mine AS MATERIALIZED (
    SELECT shard FROM shards WHERE owner = $1 OR expires_at < now()
    ORDER BY (owner IS NOT DISTINCT FROM $1) DESC, shard
    LIMIT (SELECT most FROM share) FOR UPDATE SKIP LOCKED
), owned AS (
    UPDATE shards s SET owner = $1, expires_at = now() + $2 * interval '1 millisecond'
    FROM mine WHERE s.shard = mine.shard AND EXISTS (SELECT 1 FROM me)
), let_go AS (
    UPDATE shards s SET expires_at = now()
    WHERE s.shard IN (SELECT shard FROM shards WHERE owner = $1 AND shard NOT IN (SELECT shard FROM mine)
                      FOR UPDATE SKIP LOCKED)
), backed_off AS MATERIALIZED (
    SELECT b.ctid AS place FROM steps b
    WHERE b.state = 'backing_off' AND b.shard IN (SELECT shard FROM mine) AND b.available_at <= now()
    ORDER BY b.run_id, b.seq LIMIT 1000 FOR UPDATE SKIP LOCKED
), ready AS (
    -- What needs slots left them, and waits for others.
    UPDATE steps s SET ticketed_at = NULL,
                       state = CASE WHEN EXISTS (SELECT FROM slots l WHERE l.run_id = s.run_id AND l.seq = s.seq) THEN 'blocked'
                                    ELSE 'ready' END
    FROM backed_off o WHERE s.ctid = o.place
    RETURNING s.queue, s.run_id, s.seq, s.state
), suspected AS MATERIALIZED (
    SELECT s.run_id, s.seq, s.attempt, s.lease_id, s.session_id, s.effect_begun_at IS NOT NULL AS begun, x.expires_at < now() AS ended,
           x.expires_at > now() AND s.missed >= 2 AND s.deadline >= now() - interval '10 seconds'
               AND (s.silent_at IS NULL OR s.silent_at >= now() - interval '5 seconds') AS unknown
    FROM steps s LEFT JOIN sessions x ON x.id = s.session_id
    WHERE s.lease_id IS NOT NULL AND s.shard IN (SELECT shard FROM mine)
      AND (x.expires_at IS NULL OR x.expires_at < now() OR s.deadline < now() - interval '10 seconds' OR s.missed >= 2
           OR s.silent_at < now() - interval '5 seconds')
    LIMIT 1000
), swept AS (
    -- One that was given a new lease since it was read is none.
    UPDATE sessions SET swept = true
    WHERE id IN (SELECT e.id FROM sessions e WHERE e.id IN (SELECT session_id FROM suspected WHERE ended) AND e.expires_at < now()
                 ORDER BY e.id FOR UPDATE SKIP LOCKED)
    RETURNING id
), lost AS (
    SELECT * FROM suspected WHERE ended IS NOT TRUE OR session_id IN (SELECT id FROM swept)
)
SELECT 'engine' AS kind, NULL::uuid AS run_id, 0 AS seq, 0 AS attempt, NULL::uuid AS lease_id, false AS flag,
       NULL::text AS text, (SELECT count(*) FROM mine) AS number WHERE EXISTS (SELECT 1 FROM me)
UNION ALL
(SELECT 'timer', t.run_id, t.seq, 0, NULL, false, NULL, 0 FROM timers t
 WHERE t.shard IN (SELECT shard FROM mine) AND t.fires_at <= now()
   AND (t.queue IS NULL OR NOT EXISTS (
        SELECT 1 FROM sessions w WHERE w.kind = 'worker' AND t.queue = ANY (w.queues)
           AND (t.session_id IS NULL OR w.id = t.session_id)
           AND (w.expires_at > now() OR w.seen_at > now() - t.unserved_ms * interval '1 millisecond')))
 ORDER BY t.fires_at LIMIT 5000)
UNION ALL
SELECT CASE WHEN unknown THEN 'unknown' ELSE 'lost' END, run_id, seq, attempt, lease_id, begun, NULL, 0 FROM lost
UNION ALL
(SELECT 'inbox', b.to_run, 0, 0, b.from_run, false, NULL, b.number FROM inbox b
 WHERE b.shard IN (SELECT shard FROM mine) AND b.sent_at < now() - interval '1 second' ORDER BY b.sent_at, b.number LIMIT 1000)
UNION ALL
-- Stuck runs that this build may try: a few at a time, each is loaded and replayed.
(SELECT 'build', r.id, 0, 0, NULL, false, NULL, 0 FROM runs r
 WHERE r.waits_for_build <= $3 AND r.status = 'stuck' ORDER BY r.waits_for_build, r.id LIMIT 20)
UNION ALL
-- Runs with something to deliver that an older build or a pause held up.
(SELECT 'build', r.id, 0, 0, NULL, false, NULL, 0 FROM runs r
 WHERE r.waits_for_build <= $3 AND r.status <> 'stuck'
   AND NOT EXISTS (SELECT 1 FROM pauses p WHERE p.tenant IN ('*', r.tenant)
                     AND (p.scope IN ('engine', 'tenant') OR p.scope = 'workflow' AND p.name = r.workflow))
 ORDER BY r.waits_for_build, r.id LIMIT 100)
UNION ALL
SELECT 'pause', NULL, 0, 0, NULL, false, json_build_array(p.scope, p.tenant, p.name)::text, 0 FROM pauses p
UNION ALL
SELECT DISTINCT 'backlog', NULL::uuid, 0, 0, NULL::uuid, false, queue, 0 FROM ready WHERE state = 'ready'
UNION ALL
SELECT 'again', run_id, seq, 0, NULL, false, NULL, 0 FROM ready
UNION ALL
-- Keys whose slots they left.
SELECT DISTINCT 'slot', NULL::uuid, 0, 0, NULL::uuid, false, json_build_array(l.tenant, l.name, l.key)::text, 0
FROM ready r JOIN slots l USING (run_id, seq) WHERE r.state = 'blocked'
UNION ALL
-- By which it is seen that limits changed, or that steps wait for slots of some, or that runs have some for life.
SELECT 'limits', NULL, (SELECT count(*)::int FROM limits), 0, NULL, EXISTS (SELECT FROM slots_of_life), NULL, coalesce((SELECT max(version) FROM limits), 0)
WHERE EXISTS (SELECT FROM limits) OR EXISTS (SELECT FROM slots WHERE NOT held)
UNION ALL
SELECT 'queue', NULL, count(*)::int, coalesce(sum(x.slots), 0)::int, NULL, false, q.queue, coalesce(sum(x.free_slots), 0)
FROM sessions x, unnest(x.queues) AS q(queue)
WHERE x.kind = 'worker' AND x.expires_at > now() AND NOT x.draining GROUP BY q.queue
UNION ALL
-- The own queues of workers that steps want.
SELECT 'queue', NULL, 1, x.slots, NULL, false, q.queue, x.free_slots
FROM (SELECT DISTINCT w.queue, w.wants FROM steps w WHERE w.state = 'ready' AND w.wants IS NOT NULL) AS q
JOIN sessions x ON x.id = q.wants AND x.expires_at > now() AND NOT x.draining
UNION ALL
-- Some run may wait for a worker with its labels, or shows that it does.
SELECT 'labelled', NULL, 0, 0, NULL, false, NULL, 0
WHERE EXISTS (SELECT 1 FROM steps l WHERE l.state = 'ready' AND l.labels IS NOT NULL AND l.wants IS NULL)
   OR EXISTS (SELECT 1 FROM runs u WHERE u.unserved_seq IS NOT NULL)
