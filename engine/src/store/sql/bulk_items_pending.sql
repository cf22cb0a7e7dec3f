-- The next runs of an operation, how each stands, and whether it was acted on already: by somebody who did not live to tell, but the
-- audit ($3: the operation's name there) knows.
SELECT i.position, i.run_id, i.tries, live.status, live.paused, acted.at IS NOT NULL AS acted
FROM (SELECT position, run_id, tries FROM bulk_items WHERE operation_id = $1 AND state = 'pending' ORDER BY position LIMIT $2) AS i
LEFT JOIN LATERAL (SELECT status, paused FROM runs r WHERE r.id = i.run_id OFFSET 0) AS live ON true
LEFT JOIN LATERAL (
    SELECT a.at FROM audit a WHERE a.target = 'run_' || replace(i.run_id::text, '-', '') AND a.request = $3 AND a.via = 'bulk' LIMIT 1
) AS acted ON true
ORDER BY i.position
