-- A message to a run that has ended has nobody to read it.
DELETE FROM inbox b USING finished_runs f WHERE b.to_run = $1 AND b.from_run = $2 AND b.number = $3 AND f.id = b.to_run
