SELECT run_id, request_hash FROM idempotency WHERE tenant = $1 AND workflow = $2 AND key = $3
