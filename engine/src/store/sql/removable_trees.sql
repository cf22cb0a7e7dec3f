-- Which of these runs of a tenant are roots of trees that may go: all of the tree has ended, and none of it still has word for another
-- (it may begin a child). For the others, why not.
WITH speaking AS MATERIALIZED (
    SELECT s.root FROM inbox b CROSS JOIN LATERAL (
        SELECT coalesce(f.root, f.id) AS root FROM finished_runs f WHERE f.id = b.from_run OFFSET 0) AS s
)
SELECT a.id, CASE
    WHEN EXISTS (SELECT 1 FROM runs r WHERE r.id = a.id) THEN 'run_lives'
    WHEN f.id IS NULL THEN 'gone'
    WHEN CASE WHEN f.root IS NULL THEN f.parent_run IS NOT NULL ELSE
              EXISTS (SELECT 1 FROM runs r WHERE r.id = f.root) OR EXISTS (SELECT 1 FROM finished_runs r WHERE r.id = f.root) END
        THEN 'part_of_another'
    WHEN EXISTS (SELECT 1 FROM runs r WHERE r.root = a.id) OR a.id IN (SELECT root FROM speaking) THEN 'tree_lives'
    ELSE 'removable' END AS verdict
FROM unnest($2::uuid[]) AS a(id)
LEFT JOIN LATERAL (SELECT id, root, parent_run FROM finished_runs f WHERE f.id = a.id AND f.tenant = $1 OFFSET 0) AS f ON true
