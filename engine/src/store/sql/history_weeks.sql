-- Weeks that have a partition, oldest first.
SELECT substring(c.relname FROM '^finished_runs_w(\d+)$')::int AS week
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'finished_runs'::regclass AND c.relname ~ '^finished_runs_w\d+$' ORDER BY week
