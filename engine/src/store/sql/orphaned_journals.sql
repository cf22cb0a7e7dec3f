-- Weeks whose runs are gone and whose journals are not: a removal was cut off between the two.
SELECT substring(c.relname FROM '^journal_w(\d+)$')::int AS week
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'journal'::regclass AND c.relname ~ '^journal_w\d+$'
  AND NOT EXISTS (SELECT 1 FROM pg_inherits f JOIN pg_class r ON r.oid = f.inhrelid
                  WHERE f.inhparent = 'finished_runs'::regclass AND r.relname = replace(c.relname::text, 'journal', 'finished_runs'))
