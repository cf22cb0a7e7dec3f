SELECT revision, at, body FROM journal WHERE run_id = $1 AND revision >= $2 ORDER BY revision LIMIT $3
