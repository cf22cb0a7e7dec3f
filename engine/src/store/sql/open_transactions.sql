-- Transactions of engines on this database that are under way, of those named if any are. Each holds the lock on its own virtual id
-- until its changes can be seen, and every role may see such locks.
SELECT l.virtualtransaction FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'virtualxid' AND l.mode = 'ExclusiveLock' AND l.granted AND l.pid <> pg_backend_pid()
  AND a.datname = current_database() AND a.application_name = 'valet-engine'
  AND ($1::text[] IS NULL OR l.virtualtransaction = ANY($1))
