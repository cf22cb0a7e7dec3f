-- The database grants: ready → running for the attempt that the ticket names, under the lease that the worker chose.
-- A repeated claim with the same lease finds its first answer. A session of one tenant is granted no other's step, none is granted
-- one whose labels it has not or that wants another, and nothing that a pause holds is granted. The input lies in the journal's chunk.
WITH input AS MATERIALIZED (
    SELECT * FROM unnest($1::uuid[], $2::int[], $3::int[], $4::uuid[], $5::uuid[])
        AS t(run_id, seq, attempt, lease_id, session_id)
), alive AS MATERIALIZED (
    SELECT x.id, x.tenant, x.labels, EXISTS (SELECT 1 FROM pauses_of_worker(x.id)) AS paused
    FROM sessions x WHERE x.id = ANY($5::uuid[]) AND x.expires_at > now()
), locked AS MATERIALIZED (
    SELECT s.run_id, s.seq FROM steps s
    WHERE (s.run_id, s.seq) IN (SELECT run_id, seq FROM input)
    ORDER BY s.run_id, s.seq FOR UPDATE OF s
), chosen AS MATERIALIZED (
    -- Two tickets of one step may be claimed in one batch: the lowest lease wins.
    SELECT DISTINCT ON (i.run_id, i.seq) i.*, a.tenant, a.labels, a.paused FROM input i JOIN alive a ON a.id = i.session_id
    ORDER BY i.run_id, i.seq, i.lease_id
), granted AS (
    UPDATE steps s SET state = 'running', lease_id = c.lease_id, session_id = c.session_id, granted_at = now(),
                       ticketed_at = NULL, missed = 0,
                       deadline = now() + s.timeout_ms * interval '1 millisecond',
                       silent_at = now() + s.silence_ms * interval '1 millisecond'
    FROM chosen c JOIN locked l USING (run_id, seq)
    WHERE s.run_id = c.run_id AND s.seq = c.seq AND s.attempt = c.attempt AND s.state = 'ready' AND NOT s.gated
      AND (c.tenant IS NULL OR c.tenant = s.tenant)
      AND (s.labels IS NULL OR c.labels @> s.labels) AND (s.wants IS NULL OR s.wants = c.session_id)
      AND NOT c.paused AND NOT EXISTS (SELECT 1 FROM pauses_of_step(s.tenant, s.workflow, s.queue, s.run_id))
    RETURNING s.run_id, s.seq, s.lease_id
)
-- IS TRUE makes it a look-up in a hash; a join that expects one row compares each with each.
SELECT i.run_id, i.seq, i.lease_id,
       (i.lease_id IN (SELECT lease_id FROM granted)) IS TRUE
           OR (s.lease_id = i.lease_id AND s.attempt = i.attempt AND s.state = 'running'
               AND (a.tenant IS NULL OR a.tenant = s.tenant)) AS granted,
       a.id IS NULL AS session_ended, coalesce(s.gated, false)
           OR s.run_id IS NOT NULL AND ((i.run_id, i.seq) IN (SELECT run_id, seq FROM granted)) IS NOT TRUE
              AND (coalesce(a.paused, false)
                   OR EXISTS (SELECT 1 FROM pauses_of_step(s.tenant, s.workflow, s.queue, s.run_id))) AS gated,
       s.tenant, s.subject, s.workflow, s.name, s.queue, s.timeout_ms, s.effect_once, s.silence_ms,
       s.progress, j.body
FROM input i
LEFT JOIN alive a ON a.id = i.session_id
LEFT JOIN steps s ON s.run_id = i.run_id AND s.seq = i.seq
LEFT JOIN journal j ON j.run_id = s.run_id AND j.revision = s.revision
