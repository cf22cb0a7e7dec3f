-- All that an engine asks while no schedule is due: how long until one is, whether some instant waits, whether a run that was to
-- start, of a schedule or an event, or to be told of one, was left by its engine, and whether a bulk operation is at work.
SELECT (SELECT extract(epoch FROM min(next_at) - now())::double precision FROM schedules
        WHERE NOT paused AND next_at IS NOT NULL) AS due_in_s,
       EXISTS (SELECT FROM schedule_fires f JOIN schedules s ON s.id = f.schedule_id AND NOT s.paused
               WHERE f.state = 'waiting') AS waits,
       EXISTS (SELECT FROM schedule_fires WHERE state = 'starting'
               AND moved_at NOT BETWEEN now() - $1 * interval '1 millisecond' AND now() + $1 * interval '1 millisecond')
           OR EXISTS (SELECT FROM event_runs WHERE state = 'starting'
                      AND moved_at NOT BETWEEN now() - $1 * interval '1 millisecond' AND now() + $1 * interval '1 millisecond')
           OR EXISTS (SELECT FROM event_wakes
                      WHERE since NOT BETWEEN now() - $1 * interval '1 millisecond' AND now() + $1 * interval '1 millisecond')
           AS was_left,
       EXISTS (SELECT FROM bulk_operations WHERE state = 'running') AS bulk
