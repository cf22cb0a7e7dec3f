SELECT id FROM blobs WHERE run_id >= $1 AND run_id < $2 LIMIT $3
