-- Schedules with something to do: those that are due, and those with instants that wait. With each, what waits and which of its
-- runs were under way.
WITH due AS MATERIALIZED (
    SELECT id FROM schedules WHERE NOT paused AND next_at <= now() ORDER BY next_at LIMIT $1
), waiting AS MATERIALIZED (
    -- Those that only wait for a run that goes on are left alone: however many there are, they keep no other out.
    SELECT s.id
    FROM (SELECT schedule_id, bool_or(overlap <> 'queue') AS moves FROM schedule_fires WHERE state = 'waiting' GROUP BY schedule_id) AS w
    JOIN schedules s ON s.id = w.schedule_id AND NOT s.paused
    WHERE w.moves OR NOT EXISTS (
        SELECT FROM schedule_fires f LEFT JOIN runs r ON r.id = f.run_id
        WHERE f.schedule_id = w.schedule_id AND f.live AND (f.state = 'starting' OR r.id IS NOT NULL))
    LIMIT $1
)
SELECT s.id, s.turn, s.cron, s.at, s.zone, s.overlap, s.catch_up_s, s.next_at, now() AS now,
       w.ats AS waiting_ats, w.overlaps AS waiting_overlaps, l.ats AS live_ats, l.runs AS live_runs, l.states AS live_states
FROM (SELECT id FROM due UNION SELECT id FROM waiting) AS picked
CROSS JOIN LATERAL (SELECT * FROM schedules WHERE schedules.id = picked.id OFFSET 0) AS s
CROSS JOIN LATERAL (
    SELECT coalesce(array_agg(f.at ORDER BY f.at), '{}') AS ats, coalesce(array_agg(f.overlap ORDER BY f.at), '{}') AS overlaps
    FROM (SELECT at, overlap FROM schedule_fires WHERE schedule_id = s.id AND state = 'waiting' ORDER BY at LIMIT $2) AS f) AS w
CROSS JOIN LATERAL (
    -- `over`: it was started, and its run is among the live ones no more.
    SELECT coalesce(array_agg(f.at ORDER BY f.at), '{}') AS ats, coalesce(array_agg(f.run_id ORDER BY f.at), '{}') AS runs,
           coalesce(array_agg(CASE WHEN r.status IS NOT NULL THEN r.status WHEN f.state = 'starting' THEN f.state ELSE 'over' END
                              ORDER BY f.at), '{}') AS states
    FROM schedule_fires f LEFT JOIN runs r ON r.id = f.run_id WHERE f.schedule_id = s.id AND f.live) AS l
