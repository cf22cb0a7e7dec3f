-- For the step that holds this lease, and noted for its run.
WITH held AS (
    SELECT s.run_id, s.tenant, s.subject FROM steps s JOIN sessions x ON x.id = s.session_id
    WHERE s.run_id = $1 AND s.seq = $2 AND s.attempt = $3 AND s.lease_id = $4 AND s.session_id = $5
      AND s.state = 'running' AND x.expires_at > now()
), item AS (
    SELECT h.run_id, h.tenant, h.subject, i.version, i.body
    FROM held h CROSS JOIN LATERAL (
        SELECT version, body FROM subject_items i
        WHERE i.tenant = h.tenant AND i.subject = h.subject AND i.kind = $6 AND i.name = $7 AND i.body IS NOT NULL
        ORDER BY version DESC LIMIT 1) AS i
), used AS (
    INSERT INTO subject_uses (run_id, kind, name, version, tenant, subject)
    SELECT run_id, $6, $7, version, tenant, subject FROM item ON CONFLICT DO NOTHING
)
SELECT EXISTS (SELECT FROM held) AS held, i.version, i.body FROM (SELECT 1) AS one LEFT JOIN item i ON true
