SELECT coalesce(s.queue, w.queue) AS name, coalesce(s.ready, 0) AS ready, coalesce(s.running, 0) AS running,
       coalesce(s.backing_off, 0) AS backing_off, coalesce(w.workers, 0) AS workers, coalesce(w.free, 0) AS free_slots
FROM (SELECT queue, count(*) FILTER (WHERE state = 'ready') AS ready,
             count(*) FILTER (WHERE state IN ('running', 'stopping')) AS running,
             count(*) FILTER (WHERE state = 'backing_off') AS backing_off
      FROM steps WHERE tenant = $1 GROUP BY queue) AS s
FULL JOIN (SELECT q.queue, count(*) AS workers, sum(x.free_slots)::bigint AS free
           FROM sessions x, unnest(x.queues) AS q(queue)
           WHERE x.kind = 'worker' AND x.expires_at > now() GROUP BY q.queue) AS w ON w.queue = s.queue
ORDER BY 1
