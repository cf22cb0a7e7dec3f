-- Right before an outward effect: lease, session, pause and cancel are checked in the statement that notes the beginning. A worker's
-- own pause lets it finish what it has.
-- Repeating it with the same lease answers the same.
UPDATE steps s SET effect_begun_at = coalesce(s.effect_begun_at, now())
FROM sessions x
WHERE s.run_id = $1 AND s.seq = $2 AND s.attempt = $3 AND s.lease_id = $4 AND s.session_id = $5
  AND s.state = 'running' AND NOT s.gated AND x.id = s.session_id AND x.expires_at > now() AND s.deadline > now()
  AND NOT EXISTS (SELECT 1 FROM pauses_of_step(s.tenant, s.workflow, s.queue, s.run_id))
RETURNING s.seq
