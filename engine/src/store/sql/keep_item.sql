-- A new version of an item, from the step that holds this lease. None without the lease, none while its subject is being erased, and
-- none if another put was faster.
WITH held AS (
    SELECT s.run_id, s.tenant, s.subject FROM steps s JOIN sessions x ON x.id = s.session_id
    WHERE s.run_id = $1 AND s.seq = $2 AND s.attempt = $3 AND s.lease_id = $4 AND s.session_id = $5
      AND s.state = 'running' AND x.expires_at > now()
), added AS (
    INSERT INTO subject_items (tenant, subject, kind, name, version, body, created_by)
    SELECT h.tenant, h.subject, $6, $7, (
        SELECT coalesce(max(version), 0) + 1 FROM subject_items i
        WHERE i.tenant = h.tenant AND i.subject = h.subject AND i.kind = $6 AND i.name = $7), $8, $9
    FROM held h
    WHERE NOT EXISTS (
        SELECT FROM erasures e WHERE e.tenant = h.tenant AND e.subject = h.subject AND e.erased_at IS NULL)
    ON CONFLICT DO NOTHING RETURNING tenant, subject, version
), outdated AS (
    -- The state of a browser changes with every visit; of answers every version stays.
    UPDATE subject_items i SET body = NULL FROM added a
    WHERE $6 = 'browser_state' AND i.tenant = a.tenant AND i.subject = a.subject AND i.kind = $6 AND i.name = $7
      AND i.version <= a.version - 5 AND i.body IS NOT NULL
), audited AS (
    INSERT INTO audit (tenant, who, via, address, request, action, target, after)
    SELECT tenant, $10, $11, $12, $13, $14, $15, jsonb_build_object('version', version) FROM added
)
SELECT version FROM added
