SELECT id FROM blobs WHERE run_id = ANY($1::uuid[]) LIMIT $2
