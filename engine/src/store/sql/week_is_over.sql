-- Whether no run with an id from $1 to below $2 is needed any more: all trees that have a part there ended before the instant,
-- and lie there as a whole or have nothing left elsewhere.
SELECT NOT EXISTS (SELECT 1 FROM runs WHERE id >= $1 AND id < $2)
   AND NOT EXISTS (SELECT 1 FROM runs WHERE root >= $1 AND root < $2)
   AND NOT EXISTS (SELECT 1 FROM inbox WHERE from_run >= $1 AND from_run < $2)
   AND NOT EXISTS (SELECT 1 FROM finished_runs WHERE root >= $1 AND root < $2 AND ended_at >= $3)
   AND NOT EXISTS (SELECT 1 FROM finished_runs f JOIN runs r ON r.id = f.root WHERE f.id >= $1 AND f.id < $2 AND f.root IS NOT NULL)
   AND NOT EXISTS (SELECT 1 FROM finished_runs f JOIN finished_runs r ON r.id = f.root
                   WHERE f.id >= $1 AND f.id < $2 AND NOT (f.root >= $1 AND f.root < $2))
   AND NOT EXISTS (SELECT 1 FROM finished_runs WHERE id >= $1 AND id < $2 AND ended_at >= $3)
