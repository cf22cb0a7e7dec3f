SELECT run_id, revision, at, body FROM journal WHERE run_id = ANY($1::uuid[]) ORDER BY run_id, revision
