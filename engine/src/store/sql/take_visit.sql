-- Gives the browser a time to visit, unless the site has changed since revision $12 was read. Not held: somebody else has the step.
WITH held AS (
    SELECT s.run_id, s.tenant, s.subject FROM steps s JOIN sessions x ON x.id = s.session_id
    WHERE s.run_id = $1 AND s.seq = $2 AND s.attempt = $3 AND s.lease_id = $4 AND s.session_id = $5
      AND s.state = 'running' AND x.expires_at > now()
), site AS (
    INSERT INTO tier_sites AS t (tenant, site, last_visit_at, visits) SELECT tenant, $6, $10, $11 FROM held
    ON CONFLICT (tenant, site) DO UPDATE
        SET revision = t.revision + 1, last_visit_at = EXCLUDED.last_visit_at, visits = EXCLUDED.visits
        WHERE t.revision = $12
    RETURNING revision
), visit AS (
    INSERT INTO tier_visits (run_id, browser, tenant, subject, tier, site, policy, begins_at)
    SELECT h.run_id, $7, h.tenant, h.subject, $8, $6, $9, $10 FROM held h CROSS JOIN site
    ON CONFLICT (run_id, browser) DO NOTHING
)
SELECT EXISTS (SELECT FROM held) AS held, EXISTS (SELECT FROM site) AS taken
