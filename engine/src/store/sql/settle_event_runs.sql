UPDATE event_runs r SET state = t.state, reason = t.reason, body = NULL, moved_at = now()
FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[]) AS t(event_id, trigger_id, state, reason)
WHERE r.event_id = t.event_id AND r.trigger_id = t.trigger_id AND r.state = 'starting'
