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
          -- Who has the key's slot as a run may lack it for one of its steps: paused, or in nobody's hand, when it was given out.
          OR EXISTS (SELECT FROM (SELECT o.run_id FROM slots o
                                  WHERE o.tenant = w.tenant AND o.name = w.name AND o.key = w.key AND o.held AND o.of_run
                                  UNION
                                  SELECT o.run_id FROM slots_of_life o
                                  WHERE o.tenant = w.tenant AND o.name = w.name AND o.key = w.key AND l.hold = 'live' OFFSET 0) o
                     JOIN slots b ON b.run_id = o.run_id AND b.name = w.name AND b.key = w.key AND NOT b.held
                     JOIN steps t ON t.run_id = b.run_id AND t.seq = b.seq
                     WHERE t.state = 'blocked' AND NOT t.gated)
          -- Those who are to be cancelled may not have heard of it.
          OR l.when_full <> 'queue' OR l.quiet_ms IS NOT NULL)
      AND (k.cooled_until IS NULL OR k.cooled_until <= now())
    UNION
    SELECT tenant, name, key FROM had WHERE left_some
) AS keys
ORDER BY tenant, name, key LIMIT 1000
