-- What is left of a removal that was cut off: partitions on their way out, and tables that are none any more.
SELECT c.relname::text, i.inhrelid IS NOT NULL AS detaching
FROM pg_class c LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r' AND c.relname ~ '^(journal|finished_runs)_w\d+$'
  AND (i.inhrelid IS NULL OR i.inhdetachpending)
