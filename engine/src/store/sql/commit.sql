-- One commit: many runs' transitions, each as a whole or not at all. Locks are taken first and in order (idempotency
-- keys, runs by id, inbox rows, steps by run and seq); the rest joins the runs whose revision and fences hold, so that a
-- stale transition refuses only itself. Answers the runs that were committed.
-- What lies between `--[n …` and `--]` belongs to the forms n and above of the statement: a batch is sent in the lowest form that
-- has all it needs, because setting up and tearing down parts that find no rows took a quarter of the server's time.
WITH input AS MATERIALIZED (
    SELECT * FROM unnest($2::commit_run[])
--[1 starts
), creates AS MATERIALIZED (
    SELECT * FROM unnest($3::commit_start[])
--]
--[2 keys
), keyed AS MATERIALIZED (
    INSERT INTO idempotency (tenant, workflow, key, run_id, request_hash, expires_at)
    SELECT tenant, workflow, key, id, request_hash, now() + interval '7 days'
    FROM creates WHERE key IS NOT NULL ORDER BY tenant, workflow, key
    ON CONFLICT DO NOTHING RETURNING run_id
--]
), locked AS MATERIALIZED (
    SELECT r.id, r.status, r.paused FROM runs r JOIN input i ON i.id = r.id AND i.expect = r.revision ORDER BY r.id FOR UPDATE OF r
--[3 mail
), consumed AS MATERIALIZED (
    SELECT * FROM unnest($7::uuid[], $8::uuid[], $9::bigint[]) AS t(to_run, from_run, number)
), taken AS MATERIALIZED (
    SELECT b.ctid AS place, b.to_run, b.from_run, b.number FROM inbox b JOIN consumed c USING (to_run, from_run, number)
    ORDER BY 2, 3, 4 FOR UPDATE OF b
--]
), fences AS MATERIALIZED (
    SELECT * FROM unnest($4::commit_fence[])
), new_steps AS MATERIALIZED (
    SELECT * FROM unnest($5::commit_step[])
), touched AS MATERIALIZED (
    -- Every step row that is written below. OFFSET 0 keeps the planner from reading all steps for the few of a gated run.
    SELECT DISTINCT run_id, seq FROM (
        SELECT run_id, seq FROM fences
        UNION ALL SELECT * FROM unnest($10::uuid[], $11::int[]) AS d(run_id, seq)
--[2 changes
        UNION ALL SELECT * FROM unnest($12::uuid[], $13::int[]) AS d(run_id, seq)
        UNION ALL SELECT * FROM unnest($14::uuid[], $15::int[]) AS u(run_id, seq)
        UNION ALL SELECT g.run_id, a.seq FROM unnest($24::uuid[]) AS g(run_id)
                  CROSS JOIN LATERAL (SELECT s.seq FROM steps s WHERE s.run_id = g.run_id OFFSET 0) AS a
--]
    -- IS TRUE makes it a look-up in a hash. A join, planned for the few rows expected here, compares each with each.
    ) AS written WHERE (run_id IN (SELECT id FROM locked)) IS TRUE ORDER BY run_id, seq
), held AS MATERIALIZED (
    -- One look-up a row, locked in the order in which claims and heartbeats lock too.
    SELECT h.* FROM touched t CROSS JOIN LATERAL (
        SELECT s.run_id, s.seq, s.attempt, s.lease_id, s.missed, s.effect_begun_at IS NOT NULL AS begun,
               x.expires_at > now() AS lives, s.lease_id IS NOT NULL AND (x.expires_at IS NULL OR x.expires_at < now()
                   OR s.deadline < now() - interval '10 seconds' OR s.silent_at < now() - interval '5 seconds') AS lost
        FROM steps s LEFT JOIN sessions x ON x.id = s.session_id
        WHERE s.run_id = t.run_id AND s.seq = t.seq FOR UPDATE OF s) AS h
), broken AS MATERIALIZED (
    SELECT f.run_id AS id FROM fences f LEFT JOIN held h USING (run_id, seq)
    WHERE (CASE f.kind
               WHEN 'not_granted' THEN h.run_id IS NULL OR h.lease_id IS NULL
               WHEN 'lost' THEN h.lost AND h.begun = f.begun AND h.lease_id = f.lease_id AND h.attempt = f.attempt
               WHEN 'forgotten' THEN h.missed >= 2 AND h.begun = f.begun AND h.lease_id = f.lease_id
                   AND h.attempt = f.attempt
               WHEN 'not_begun' THEN NOT h.begun AND h.lease_id = f.lease_id AND h.attempt = f.attempt
               WHEN 'hands_over' THEN h.lives AND h.lease_id = f.lease_id AND h.attempt = f.attempt
               ELSE h.lease_id = f.lease_id AND h.attempt = f.attempt
           END) IS NOT TRUE
--[3 mail
    UNION ALL
    SELECT c.to_run FROM consumed c LEFT JOIN taken t USING (to_run, from_run, number) WHERE t.to_run IS NULL
--]
    UNION ALL
    -- A step that is handed over is granted: not while a pause holds it, or its worker.
    SELECT n.run_id FROM new_steps n
    WHERE n.lease_id IS NOT NULL AND (SELECT count(*) > 0 FROM pauses)
      AND (EXISTS (SELECT 1 FROM pauses_of_step(n.tenant, n.workflow, n.queue, n.run_id))
           OR EXISTS (SELECT 1 FROM pauses_of_worker(n.session_id)))
--[3 labels
    UNION ALL
    -- Nor to a worker that has not its labels.
    SELECT n.run_id FROM new_steps n
    WHERE n.lease_id IS NOT NULL AND n.labels IS NOT NULL
      AND NOT EXISTS (SELECT 1 FROM sessions x WHERE x.id = n.session_id AND x.labels @> n.labels::jsonb)
--]
    UNION ALL
    -- Never a row. A join whose one side is empty does not read the other: this locks `held` when nothing is fenced.
    SELECT NULL FROM (SELECT count(*) AS locked FROM held) AS all_held WHERE locked < 0
--[1 starts
), startable AS MATERIALIZED (
    SELECT c.*, i.status, i.paused, i.reason, i.status_line, i.build, i.error_code, i.at, i.ended,
           i.waits_for_build, i.figures, i.attributes_set, i.journal_from,
           coalesce(NULL::uuid
--[3 starts in another run's tree
               , CASE WHEN c.origin IS NOT NULL THEN coalesce(
                     (SELECT coalesce(o.root, o.id) FROM runs o WHERE o.id = c.origin),
                     (SELECT coalesce(o.root, o.id) FROM finished_runs o WHERE o.id = c.origin), c.origin) END
--]
           ) AS root
    FROM creates c JOIN input i USING (id)
    WHERE c.id NOT IN (SELECT id FROM broken)
--[2 keys
      AND (c.key IS NULL OR c.id IN (SELECT run_id FROM keyed))
--]
), started AS (
    INSERT INTO runs (id, tenant, subject, workflow, plan, attributes, parent_run, parent_seq, root, status, paused, revision,
                      build, waits_for_build, reason, status_line, error_code, figures, journal_from, created_at,
                      updated_at)
    SELECT id, tenant, subject, workflow, plan, with_attributes(attributes::jsonb, attributes_set), parent_run,
           parent_seq, root, status, paused, 1, build, waits_for_build, reason::json, status_line, error_code,
           figures::jsonb, journal_from, at, at
    FROM startable WHERE NOT ended
    ON CONFLICT (id) DO NOTHING RETURNING id
--]
--[3 starts that end at once
), ended_at_once AS (
    INSERT INTO finished_runs (id, tenant, subject, workflow, plan, attributes, parent_run, parent_seq, root, status, revision,
                               build, status_line, error_code, figures, journal_from, created_at, ended_at)
    SELECT id, tenant, subject, workflow, plan, with_attributes(attributes::jsonb, attributes_set), parent_run,
           parent_seq, root, status, 1, build, status_line, error_code, figures::jsonb, journal_from, at, at
    FROM startable WHERE ended
    ON CONFLICT (id) DO NOTHING RETURNING id
--]
), ok AS MATERIALIZED (
    SELECT id FROM locked WHERE id NOT IN (SELECT id FROM broken)
--[1 starts
    UNION ALL SELECT id FROM started
--]
--[3 starts that end at once
    UNION ALL SELECT id FROM ended_at_once
--]
), moved AS (
    UPDATE runs r SET revision = i.expect + 1, status = i.status, paused = i.paused, reason = i.reason::json,
                      status_line = i.status_line, build = i.build, waits_for_build = i.waits_for_build,
                      error_code = i.error_code, figures = i.figures::jsonb, journal_from = i.journal_from,
                      attributes = with_attributes(r.attributes, i.attributes_set), updated_at = i.at
    FROM input i JOIN ok USING (id) WHERE r.id = i.id AND i.expect > 0 AND NOT i.ended
--[1 ends
), gone AS (
    DELETE FROM runs r USING input i JOIN ok USING (id) WHERE r.id = i.id AND i.expect > 0 AND i.ended
    RETURNING r.id, r.tenant, r.subject, r.workflow, r.plan, with_attributes(r.attributes, i.attributes_set) AS attributes,
              r.parent_run, r.parent_seq, r.root, r.created_at,
              i.status, i.expect, i.build, i.status_line, i.error_code, i.figures, i.journal_from, i.at
), archived AS (
    INSERT INTO finished_runs (id, tenant, subject, workflow, plan, attributes, parent_run, parent_seq, root, status, revision,
                               build, status_line, error_code, figures, journal_from, created_at, ended_at)
    SELECT id, tenant, subject, workflow, plan, attributes, parent_run, parent_seq, root, status, expect + 1,
           build, status_line, error_code, figures::jsonb, journal_from, created_at, at
    FROM gone
--]
), journaled AS (
    INSERT INTO journal (run_id, revision, at, accepted, body)
    SELECT i.id, i.expect + 1, i.at, i.accepted, i.body FROM input i JOIN ok USING (id)
), removed AS (
    DELETE FROM steps s USING unnest($10::uuid[], $11::int[]) AS d(run_id, seq), ok
    WHERE s.run_id = d.run_id AND s.seq = d.seq AND ok.id = d.run_id
--[2 changes
), stopped AS (
    UPDATE steps s SET state = 'stopping'
    FROM unnest($12::uuid[], $13::int[]) AS d(run_id, seq), ok
    WHERE s.run_id = d.run_id AND s.seq = d.seq AND ok.id = d.run_id AND s.lease_id IS NOT NULL
), again AS (
    UPDATE steps s SET state = u.state, attempt = u.attempt, revision = u.revision, available_at = u.available_at,
                       gated = u.gated,
                       lease_id = NULL, session_id = NULL, granted_at = NULL, deadline = NULL, silent_at = NULL,
                       effect_begun_at = NULL, queue = u.queue, wants = u.wants,
                       missed = 0, ticketed_at = CASE WHEN u.ticketed THEN now() END
    FROM unnest($14::uuid[], $15::int[], $16::text[], $17::int[], $18::timestamptz[], $19::bool[], $20::bool[],
                $21::int[], $22::text[], $23::uuid[])
             AS u(run_id, seq, state, attempt, available_at, gated, ticketed, revision, queue, wants), ok
    WHERE s.run_id = u.run_id AND s.seq = u.seq AND ok.id = u.run_id
--]
), added AS (
    INSERT INTO steps (run_id, seq, shard, tenant, subject, workflow, name, queue, priority, state, attempt, revision,
                       gated, effect_once, timeout_ms, available_at, ticketed_at, lease_id, session_id, granted_at,
                       deadline, labels, wants, silence_ms, silent_at
--[4 preferences
                       , prefers
--]
                       )
    SELECT n.run_id, n.seq, n.shard, n.tenant, n.subject, n.workflow, n.name, n.queue, n.priority, n.state, n.attempt,
           n.revision, n.gated, n.effect_once, n.timeout_ms, n.available_at, CASE WHEN n.ticketed THEN now() END,
           n.lease_id, n.session_id, CASE WHEN n.lease_id IS NOT NULL THEN now() END,
           CASE WHEN n.lease_id IS NOT NULL THEN now() + n.timeout_ms * interval '1 millisecond' END,
           n.labels::jsonb, n.wants, n.silence_ms,
           CASE WHEN n.lease_id IS NOT NULL THEN now() + n.silence_ms * interval '1 millisecond' END
--[4 preferences
           , (SELECT p.queues FROM unnest($71::commit_preference[]) AS p WHERE p.run_id = n.run_id AND p.seq = n.seq)
--]
    FROM new_steps n
    JOIN ok ON ok.id = n.run_id
--[4 limits
), needed AS (
    -- Turns of one share follow each other; they begin where the key has come to.
    INSERT INTO slots (run_id, seq, name, tenant, key, of_run, priority, share, turn, since, held)
    SELECT n.run_id, n.seq, n.name, n.tenant, n.key, n.of_run, n.priority, n.share,
           CASE WHEN n.share IS NULL THEN 0 ELSE greatest(
               coalesce((SELECT k.turn FROM limit_keys k WHERE k.tenant = n.tenant AND k.name = n.name AND k.key = n.key), 0),
               coalesce((SELECT max(f.turn) FROM slots f
                         WHERE f.tenant = n.tenant AND f.name = n.name AND f.key = n.key AND f.share = n.share), 0))
               + n.turn * row_number() OVER (PARTITION BY n.tenant, n.name, n.key, n.share ORDER BY n.run_id, n.seq) END,
           i.at, n.held
    FROM unnest($67::commit_slot[]) AS n JOIN ok ON ok.id = n.run_id JOIN input i ON i.id = n.run_id
--]
--[4 waits for events
), awaited AS (
    INSERT INTO event_waits (run_id, seq, tenant, subject, workflow, key, key_like, scope, since)
    SELECT w.run_id, w.seq, w.tenant, w.subject, w.workflow, w.key, w.key_like, w.scope, i.at
    FROM unnest($68::commit_event_wait[]) AS w JOIN ok ON ok.id = w.run_id JOIN input i ON i.id = w.run_id
), awaited_no_more AS (
    DELETE FROM event_waits w USING unnest($69::uuid[], $70::int[]) AS d(run_id, seq), ok
    WHERE w.run_id = d.run_id AND w.seq = d.seq AND ok.id = d.run_id
--]
--[2 changes
), gate AS (
    UPDATE steps s SET gated = g.gated, ticketed_at = CASE WHEN g.gated THEN NULL ELSE s.ticketed_at END
    FROM unnest($24::uuid[], $25::bool[]) AS g(run_id, gated), ok
    WHERE s.run_id = g.run_id AND ok.id = g.run_id
      AND NOT EXISTS (SELECT 1 FROM unnest($10::uuid[], $11::int[]) AS d(run_id, seq)
                      WHERE d.run_id = s.run_id AND d.seq = s.seq)
      AND NOT EXISTS (SELECT 1 FROM unnest($12::uuid[], $13::int[]) AS d(run_id, seq)
                      WHERE d.run_id = s.run_id AND d.seq = s.seq)
      AND NOT EXISTS (SELECT 1 FROM unnest($14::uuid[], $15::int[]) AS d(run_id, seq)
                      WHERE d.run_id = s.run_id AND d.seq = s.seq)
--]
--[2 waits
), timers_set AS (
    INSERT INTO timers (run_id, seq, shard, fires_at, queue, unserved_ms, session_id)
    SELECT t.run_id, t.seq, t.shard, t.fires_at, t.queue, t.unserved_ms, t.session_id
    FROM unnest($26::uuid[], $27::int[], $28::smallint[], $29::timestamptz[], $30::text[], $31::bigint[],
                $32::uuid[])
        AS t(run_id, seq, shard, fires_at, queue, unserved_ms, session_id)
    JOIN ok ON ok.id = t.run_id
    ON CONFLICT (run_id, seq) DO UPDATE SET fires_at = EXCLUDED.fires_at, queue = EXCLUDED.queue,
                                            unserved_ms = EXCLUDED.unserved_ms, session_id = EXCLUDED.session_id
), timers_cleared AS (
    DELETE FROM timers t USING unnest($33::uuid[], $34::int[]) AS d(run_id, seq), ok
    WHERE t.run_id = d.run_id AND t.seq = d.seq AND ok.id = d.run_id
), tasks_opened AS (
    INSERT INTO human_tasks (id, run_id, seq, tenant, subject, workflow, state, reason, body, deadline, opened_at)
    SELECT t.id, t.run_id, t.seq, t.tenant, t.subject, t.workflow, 'open', t.reason, t.body, t.deadline, t.at
    FROM unnest($35::uuid[], $36::uuid[], $37::int[], $38::text[], $39::text[], $40::text[], $41::text[], $42::bytea[],
                $43::timestamptz[], $44::timestamptz[])
             AS t(id, run_id, seq, tenant, subject, workflow, reason, body, deadline, at)
    JOIN ok ON ok.id = t.run_id
), tasks_closed AS (
    UPDATE human_tasks h SET state = t.state, ended_by = t.ended_by, ended_at = t.at
    FROM unnest($45::uuid[], $46::int[], $47::text[], $48::text[], $49::timestamptz[])
             AS t(run_id, seq, state, ended_by, at), ok
    WHERE h.run_id = t.run_id AND h.seq = t.seq AND ok.id = t.run_id AND h.ended_at IS NULL
--]
--[3 mail
), sent AS (
    INSERT INTO inbox (to_run, from_run, number, shard, tenant, subject, body, sent_at)
    SELECT m.to_run, m.from_run, m.number, m.shard, m.tenant, m.subject, m.body, now()
    FROM unnest($50::uuid[], $51::uuid[], $52::bigint[], $53::smallint[], $54::text[], $55::text[], $56::bytea[])
             AS m(to_run, from_run, number, shard, tenant, subject, body)
    JOIN ok ON ok.id = m.from_run
    ON CONFLICT DO NOTHING
), received AS (
    DELETE FROM inbox b USING taken t, ok
    -- By its place: the row is locked, and a message is never changed.
    WHERE b.ctid = t.place AND ok.id = t.to_run
--]
--[3 notices
), told AS (
    INSERT INTO notices (id, target, kind, tenant, subject, workflow, run_id, task_id, body, at, next_at)
    SELECT n.id, n.target, n.kind, n.tenant, n.subject, n.workflow, n.run_id, n.task_id, n.body, n.at, now()
    FROM unnest($57::uuid[], $58::text[], $59::text[], $60::text[], $61::text[], $62::text[], $63::uuid[], $64::uuid[],
                $65::bytea[], $66::timestamptz[])
             AS n(id, target, kind, tenant, subject, workflow, run_id, task_id, body, at)
    JOIN ok ON ok.id = n.run_id
    ON CONFLICT (id) DO NOTHING
--]
--[1 deeds
), audited AS (
    INSERT INTO audit (tenant, who, via, address, request, action, target, before, after)
    SELECT a.tenant, a.who, a.via, a.address, a.request, a.action, a.target,
           CASE WHEN a.task IS NOT NULL THEN jsonb_build_object('state', h.state)
                WHEN l.id IS NOT NULL THEN jsonb_build_object('status', l.status, 'paused', l.paused) END,
           CASE WHEN a.task IS NOT NULL THEN jsonb_build_object('state', coalesce(c.state, h.state))
                ELSE jsonb_build_object('status', i.status, 'paused', i.paused) END
    FROM unnest($6::commit_deed[]) AS a
    JOIN ok ON ok.id = a.run_id
    JOIN input i ON i.id = a.run_id
    LEFT JOIN locked l ON l.id = a.run_id
    LEFT JOIN human_tasks h ON h.id = a.task
    LEFT JOIN unnest($45::uuid[], $46::int[], $47::text[]) AS c(run_id, seq, state)
           ON c.run_id = h.run_id AND c.seq = h.seq
--]
), noted AS (
    INSERT INTO batches (id, committed) SELECT $1::uuid, coalesce(array_agg(id), '{}') FROM ok
)
SELECT id FROM ok
