-- What is left of an erased subject besides ids and states.
WITH items AS (
    DELETE FROM subject_items WHERE tenant = $1 AND subject = $2 AND created_at <= $3
), uses AS (
    DELETE FROM subject_uses WHERE tenant = $1 AND subject = $2 AND used_at <= $3
), lines AS (
    UPDATE finished_runs SET status_line = NULL, attributes = '{}' WHERE tenant = $1 AND subject = $2 AND ended_at <= $3
), told AS (
    DELETE FROM notices WHERE tenant = $1 AND subject = $2 AND at <= $3
), told_events AS (
    DELETE FROM events WHERE tenant = $1 AND subject = $2 AND at <= $3 RETURNING id
), told_runs AS (
    DELETE FROM event_runs r USING told_events e WHERE r.event_id = e.id
), told_wakes AS (
    DELETE FROM event_wakes w USING told_events e WHERE w.event_id = e.id
), planned AS (
    DELETE FROM schedules WHERE tenant = $1 AND subject = $2 AND created_at <= $3 RETURNING id
), fires AS (
    DELETE FROM schedule_fires f USING planned p WHERE f.schedule_id = p.id
)
UPDATE erasures SET erased_at = now() WHERE tenant = $1 AND subject = $2 AND erased_at IS NULL
