-- How browsers of the last $2 days came off, by the policy that they came under.
SELECT policy, tier, count(*) FILTER (WHERE outcome = 'good') AS good, count(*) FILTER (WHERE outcome = 'detected') AS detected,
       count(*) FILTER (WHERE outcome = 'failed') AS failed, count(*) FILTER (WHERE outcome = 'lost') AS lost
FROM tier_visits WHERE tenant = $1 AND begins_at > now() - $2::float8 * interval '1 day' AND outcome IS NOT NULL
GROUP BY policy, tier ORDER BY policy NULLS FIRST, tier LIMIT $3
