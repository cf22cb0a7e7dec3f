-- What the subject of the step that holds this lease keeps, by name, the newest first.
WITH held AS (
    SELECT s.run_id, s.tenant, s.subject FROM steps s JOIN sessions x ON x.id = s.session_id
    WHERE s.run_id = $1 AND s.seq = $2 AND s.attempt = $3 AND s.lease_id = $4 AND s.session_id = $5
      AND s.state = 'running' AND x.expires_at > now()
), kept AS (
    SELECT DISTINCT ON (i.name) i.name, i.created_at, i.body IS NOT NULL AS held
    FROM held h JOIN subject_items i ON i.tenant = h.tenant AND i.subject = h.subject AND i.kind = $6
    ORDER BY i.name, i.version DESC
), newest AS (
    SELECT name, created_at FROM kept WHERE held ORDER BY created_at DESC, name LIMIT $7
)
SELECT EXISTS (SELECT FROM held) AS held,
       coalesce((SELECT array_agg(name ORDER BY created_at DESC, name) FROM newest), '{}') AS names
