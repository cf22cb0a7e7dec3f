-- What the subject of the step that holds this lease keeps under a name; no row if no step holds it.
WITH held AS (
    SELECT s.run_id, s.tenant, s.subject FROM steps s JOIN sessions x ON x.id = s.session_id
    WHERE s.run_id = $1 AND s.seq = $2 AND s.attempt = $3 AND s.lease_id = $4 AND s.session_id = $5
      AND s.state = 'running' AND x.expires_at > now()
)
SELECT h.tenant, h.subject, i.version, i.body
FROM held h LEFT JOIN LATERAL (
    SELECT version, body FROM subject_items i
    WHERE i.tenant = h.tenant AND i.subject = h.subject AND i.kind = $6 AND i.name = $7
    ORDER BY version DESC LIMIT 1) AS i ON true
