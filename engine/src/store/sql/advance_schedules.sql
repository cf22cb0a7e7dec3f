-- Carries plans out: moves each schedule's next instant and says what becomes of the instants before it, both or neither, and only
-- where the schedule is as it was when the plan was made. Answers the instants whose runs are to be started, and by whom.
WITH input AS MATERIALIZED (
    SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::timestamptz[], $4::timestamptz[], $5::timestamptz[])
        AS t(id, turn, next_at, missed_from, missed_until)
), locked AS MATERIALIZED (
    SELECT s.id, s.tenant, s.name, s.workflow, s.body FROM schedules s JOIN input i ON i.id = s.id AND i.turn = s.turn
    WHERE NOT s.paused ORDER BY s.id FOR UPDATE OF s
), moved AS (
    UPDATE schedules s SET turn = s.turn + 1, next_at = i.next_at, missed_from = coalesce(i.missed_from, s.missed_from),
                           missed_until = coalesce(i.missed_until, s.missed_until)
    FROM input i JOIN locked USING (id) WHERE s.id = i.id
), fires AS MATERIALIZED (
    SELECT f.* FROM unnest($6::uuid[], $7::timestamptz[], $8::text[], $9::text[], $10::text[], $11::uuid[], $12::boolean[])
        AS f(schedule_id, at, overlap, state, reason, run_id, is_new)
    JOIN locked ON locked.id = f.schedule_id
), noted AS (
    INSERT INTO schedule_fires (schedule_id, at, origin, overlap, state, reason, run_id, live)
    SELECT schedule_id, at, 'time', overlap, state, reason, run_id, state = 'starting' FROM fires WHERE is_new
    ON CONFLICT DO NOTHING RETURNING schedule_id, at, state, run_id
), changed AS (
    UPDATE schedule_fires w SET state = f.state, reason = f.reason, run_id = f.run_id, live = f.state = 'starting', moved_at = now()
    FROM fires f WHERE NOT f.is_new AND w.schedule_id = f.schedule_id AND w.at = f.at AND w.state = 'waiting'
    RETURNING w.schedule_id, w.at, w.state, w.run_id
), ended AS (
    UPDATE schedule_fires w SET live = false
    FROM unnest($13::uuid[], $14::timestamptz[]) AS o(schedule_id, at) JOIN locked ON locked.id = o.schedule_id
    WHERE w.schedule_id = o.schedule_id AND w.at = o.at
)
SELECT f.schedule_id, f.at, f.run_id, l.tenant, l.name, l.workflow, l.body
FROM (SELECT * FROM noted UNION ALL SELECT * FROM changed) AS f JOIN locked l ON l.id = f.schedule_id
WHERE f.state = 'starting'
