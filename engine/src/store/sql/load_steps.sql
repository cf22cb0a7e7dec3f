SELECT run_id, seq, attempt, lease_id FROM steps WHERE run_id = ANY($1::uuid[])
