-- What became of instants that were to start their runs.
UPDATE schedule_fires f SET state = t.state, reason = t.reason, live = t.state = 'started', moved_at = now()
FROM unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::text[]) AS t(schedule_id, at, state, reason)
WHERE f.schedule_id = t.schedule_id AND f.at = t.at AND f.state = 'starting'
