-- After a resume: steps whose tickets were refused meanwhile get new ones at once, in a bounded bite; the rest follows as lost tickets.
-- $1: tenant, $2: scope, $3: name.
WITH picked AS MATERIALIZED (
    SELECT b.ctid AS place FROM steps b
    WHERE b.state = 'ready' AND b.ticketed_at IS NOT NULL AND $1 IN ('*', b.tenant)
      AND CASE $2 WHEN 'workflow' THEN b.workflow = $3
                  WHEN 'queue' THEN is_queue_or_beside(b.queue, $3)
                  ELSE true END
    ORDER BY b.ticketed_at LIMIT 2000 FOR UPDATE SKIP LOCKED
)
UPDATE steps s SET ticketed_at = NULL FROM picked p WHERE s.ctid = p.place
