DELETE FROM idempotency WHERE tenant = $1 AND workflow = $2 AND key = $3 AND run_id = $4
