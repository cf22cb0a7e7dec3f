-- What the keys of a limit have; of one key if $3 names it.
WITH used AS MATERIALIZED (
    SELECT s.key,
           count(DISTINCT (s.run_id, CASE WHEN s.of_run THEN 0 ELSE s.seq END))
               FILTER (WHERE s.held AND t.state IN ('ready', 'running', 'stopping')) AS running,
           count(*) FILTER (WHERE t.state = 'blocked') AS waiting, min(s.since) FILTER (WHERE t.state = 'blocked') AS oldest
    FROM slots s JOIN steps t USING (run_id, seq)
    WHERE s.tenant = $1 AND s.name = $2 AND ($3::text IS NULL OR s.key = $3) GROUP BY s.key
), live AS MATERIALIZED (
    SELECT s.key, count(*) AS running FROM slots_of_life s JOIN runs r ON r.id = s.run_id
    WHERE s.tenant = $1 AND s.name = $2 AND ($3::text IS NULL OR s.key = $3) GROUP BY s.key
), known AS MATERIALIZED (
    SELECT k.key, nullif(greatest(k.cooled_until, now()), now()) AS cooled_until, k.full_at FROM limit_keys k
    WHERE k.tenant = $1 AND k.name = $2 AND ($3::text IS NULL OR k.key = $3)
)
SELECT coalesce(u.key, v.key, k.key) AS key, coalesce(CASE WHEN l.hold = 'live' THEN v.running ELSE u.running END, 0) AS running, coalesce(u.waiting, 0) AS waiting,
       u.oldest, k.cooled_until,
       CASE WHEN l.rate IS NOT NULL
            THEN nullif(greatest(k.full_at - (l.burst - 1) * (l.per_ms * interval '1 millisecond' / l.rate), now()), now()) END
           AS next_token_at
FROM used u FULL JOIN live v USING (key) FULL JOIN known k USING (key) JOIN limits l ON l.tenant = $1 AND l.name = $2
WHERE u.key IS NOT NULL OR v.key IS NOT NULL OR k.cooled_until IS NOT NULL OR k.full_at > now()
ORDER BY 3 DESC, 2 DESC, 1 LIMIT $4
