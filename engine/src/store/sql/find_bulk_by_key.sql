SELECT id, request_hash FROM bulk_operations WHERE tenant = $1 AND idempotency_key = $2
