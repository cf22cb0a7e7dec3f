-- How a browser came off, told once. What the site did to it is counted for the site ($11, $12: good, bad), what became of the browser
-- itself for the tier everywhere ($11, $13). $14: half-life in seconds.
WITH held AS (
    SELECT s.run_id, s.tenant, s.subject FROM steps s JOIN sessions x ON x.id = s.session_id
    WHERE s.run_id = $1 AND s.seq = $2 AND s.attempt = $3 AND s.lease_id = $4 AND s.session_id = $5
      AND s.state = 'running' AND x.expires_at > now()
), noted AS (
    INSERT INTO tier_visits AS v (run_id, browser, tenant, subject, tier, site, policy, begins_at, outcome, ended_at)
    SELECT h.run_id, $7, h.tenant, h.subject, $8, $6, $9, now(), $10, now() FROM held h
    ON CONFLICT (run_id, browser) DO UPDATE SET outcome = EXCLUDED.outcome, ended_at = EXCLUDED.ended_at, tier = EXCLUDED.tier
        WHERE v.outcome IS NULL
    RETURNING tenant
), counted AS (
    -- In one order, so that two that count at once never wait for each other.
    SELECT n.tenant, c.site, c.good, c.bad
    FROM noted n CROSS JOIN (VALUES ('', $11::float8, $13::float8), ($6, $11::float8, $12::float8)) AS c (site, good, bad)
    WHERE c.good + c.bad > 0 ORDER BY c.site
), tallied AS (
    INSERT INTO tier_tallies AS t (tenant, tier, site, good, bad, at)
    SELECT tenant, $8, site, good, bad, now() FROM counted
    ON CONFLICT (tenant, site, tier) DO UPDATE
        SET good = t.good * power(0.5, greatest(extract(epoch FROM now() - t.at), 0) / $14::float8)::float8 + EXCLUDED.good,
            bad = t.bad * power(0.5, greatest(extract(epoch FROM now() - t.at), 0) / $14::float8)::float8 + EXCLUDED.bad,
            at = greatest(t.at, EXCLUDED.at)
)
SELECT EXISTS (SELECT FROM held) AS held
