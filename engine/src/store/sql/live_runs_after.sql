SELECT id FROM runs WHERE ($1::text IS NULL OR workflow = $1) AND ($2::uuid IS NULL OR id > $2) ORDER BY id LIMIT $3
