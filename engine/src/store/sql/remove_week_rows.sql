-- One bite of what was kept for the runs of a week elsewhere than in its partitions; answers how much it was.
WITH asked AS (
    DELETE FROM human_tasks WHERE id IN (SELECT id FROM human_tasks WHERE run_id >= $1 AND run_id < $2 LIMIT $3) RETURNING 1
), used AS (
    DELETE FROM subject_uses WHERE (run_id, kind, name, version) IN (
        SELECT run_id, kind, name, version FROM subject_uses WHERE run_id >= $1 AND run_id < $2 LIMIT $3) RETURNING 1
), told AS (
    DELETE FROM notices WHERE id IN (SELECT id FROM notices WHERE run_id >= $1 AND run_id < $2 LIMIT $3) RETURNING 1
)
SELECT (SELECT count(*) FROM asked) + (SELECT count(*) FROM used) + (SELECT count(*) FROM told)
