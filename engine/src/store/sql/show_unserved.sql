-- Runs whose step requires labels that no live worker has say so, after two seconds; and no longer once one has them, or the step
-- waits no more. As elsewhere the revision stays: a commit writes the reason anew, and a run that is locked by one is left to it.
-- Cost grows with the queues of labels, and with the runs that wait in those that nobody pulls: 1,000 of each.
WITH RECURSIVE q AS (
    (SELECT s.queue FROM steps s WHERE s.state = 'ready' AND s.labels IS NOT NULL AND s.wants IS NULL ORDER BY s.queue LIMIT 1)
    UNION ALL
    SELECT (SELECT s.queue FROM steps s WHERE s.state = 'ready' AND s.labels IS NOT NULL AND s.wants IS NULL AND s.queue > q.queue
            ORDER BY s.queue LIMIT 1)
    FROM q WHERE q.queue IS NOT NULL
), lone AS MATERIALIZED (
    SELECT q.queue FROM q
    WHERE q.queue IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM sessions x WHERE x.kind = 'worker' AND x.expires_at > now() AND q.queue = ANY (x.queues))
), due AS MATERIALIZED (
    SELECT r.id, s.seq, s.name, s.labels FROM lone l
    CROSS JOIN LATERAL (
        SELECT w.run_id, w.seq, w.name, w.labels FROM steps w
        WHERE w.queue = l.queue AND w.state = 'ready' AND w.labels IS NOT NULL AND w.wants IS NULL
          AND w.available_at < now() - interval '2 seconds'
        ORDER BY w.available_at LIMIT 1000) AS s
    JOIN runs r ON r.id = s.run_id
    WHERE r.status IN ('running', 'closing') AND r.reason ->> 'kind' = 'step' AND (r.reason ->> 'seq')::int = s.seq
    ORDER BY r.id FOR UPDATE OF r SKIP LOCKED
), over AS MATERIALIZED (
    SELECT r.id FROM runs r
    WHERE r.unserved_seq IS NOT NULL AND r.id NOT IN (SELECT id FROM due)
      AND NOT EXISTS (SELECT 1 FROM steps s JOIN lone l ON l.queue = s.queue
                      WHERE s.run_id = r.id AND s.seq = r.unserved_seq AND s.state = 'ready')
    ORDER BY r.id LIMIT 1000 FOR UPDATE OF r SKIP LOCKED
), taken_back AS (
    UPDATE runs r SET unserved_seq = NULL,
                      reason = CASE WHEN r.reason ->> 'kind' = 'no_worker'
                                    THEN json_build_object('kind', 'step', 'name', r.reason ->> 'name',
                                                           'seq', (r.reason ->> 'seq')::int)
                                    ELSE r.reason END
    FROM over WHERE r.id = over.id
)
UPDATE runs r SET unserved_seq = due.seq,
                  reason = json_build_object('kind', 'no_worker', 'name', due.name, 'seq', due.seq, 'labels', due.labels)
FROM due WHERE r.id = due.id
