-- The run that a key names, and whether retention has removed it.
SELECT k.run_id, k.request_hash,
       NOT EXISTS (SELECT 1 FROM runs r WHERE r.id = k.run_id)
       AND NOT EXISTS (SELECT 1 FROM finished_runs f WHERE f.id = k.run_id) AS is_gone
FROM idempotency k WHERE k.tenant = $1 AND k.workflow = $2 AND k.key = $3
