-- Leaves a site alone for $7 milliseconds; never shorter than was said before.
WITH held AS (
    SELECT s.tenant FROM steps s JOIN sessions x ON x.id = s.session_id
    WHERE s.run_id = $1 AND s.seq = $2 AND s.attempt = $3 AND s.lease_id = $4 AND s.session_id = $5
      AND s.state = 'running' AND x.expires_at > now()
), cooled AS (
    INSERT INTO tier_sites AS t (tenant, site, cool_until, cool_why)
    SELECT tenant, $6, now() + $7::float8 * interval '1 millisecond', $8 FROM held
    ON CONFLICT (tenant, site) DO UPDATE
        SET revision = t.revision + 1, cool_until = EXCLUDED.cool_until, cool_why = EXCLUDED.cool_why
        WHERE t.cool_until IS NULL OR t.cool_until < EXCLUDED.cool_until
)
SELECT EXISTS (SELECT FROM held) AS held
