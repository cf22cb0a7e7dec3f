SELECT id, request_hash FROM events WHERE tenant = $1 AND idempotency_key = $2
