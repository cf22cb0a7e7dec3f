-- Finished runs of one week (ids from $2 to below $3, which names the partition), with all that was kept for them.
WITH asked AS (
    DELETE FROM human_tasks WHERE run_id = ANY($1::uuid[])
), used AS (
    DELETE FROM subject_uses WHERE run_id = ANY($1::uuid[])
), told AS (
    DELETE FROM notices WHERE run_id = ANY($1::uuid[])
), written AS (
    DELETE FROM journal WHERE run_id >= $2 AND run_id < $3 AND run_id = ANY($1::uuid[])
)
DELETE FROM finished_runs WHERE id >= $2 AND id < $3 AND id = ANY($1::uuid[])
