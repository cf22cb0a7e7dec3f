-- Keys for which steps wait and which may have something for them: what was asked for when slots were freed may be lost.
WITH waiting AS MATERIALIZED (
    SELECT tenant, name, key FROM slots WHERE NOT held GROUP BY tenant, name, key
), had AS MATERIALIZED (
    SELECT s.tenant, s.name, s.key, count(DISTINCT (s.run_id, CASE WHEN s.of_run THEN 0 ELSE s.seq END)) AS slots,
           bool_or(t.run_id IS NULL OR t.state IN ('blocked', 'backing_off', 'parked')) AS left_some
    FROM slots s LEFT JOIN steps t USING (run_id, seq) WHERE s.held GROUP BY s.tenant, s.name, s.key
)
SELECT tenant, name, key FROM (
    SELECT w.tenant, w.name, w.key FROM waiting w
    LEFT JOIN had h USING (tenant, name, key) LEFT JOIN limit_keys k USING (tenant, name, key)
    LEFT JOIN limits l ON l.tenant = w.tenant AND l.name = w.name
    WHERE (CASE WHEN l.hold = 'live' THEN (SELECT count(*) FROM runs_with_slot(w.tenant, w.name, w.key, true)) < l.most
               ELSE l.most IS NULL OR h.slots IS NULL OR h.slots < l.most OR h.left_some END
          -- Those who are to be cancelled may not have heard of it.
          OR l.when_full <> 'queue' OR l.quiet_ms IS NOT NULL)
      AND (k.cooled_until IS NULL OR k.cooled_until <= now())
    UNION
    SELECT tenant, name, key FROM had WHERE left_some
) AS keys
ORDER BY tenant, name, key LIMIT 1000
