SELECT tenant FROM runs WHERE id = $1 UNION ALL SELECT tenant FROM finished_runs WHERE id = $1
