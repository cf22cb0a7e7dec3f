SELECT id FROM runs WHERE tenant = $1 AND subject = $2 ORDER BY id LIMIT $3
