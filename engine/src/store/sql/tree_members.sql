SELECT id FROM finished_runs WHERE root = ANY($1::uuid[]) LIMIT $2
