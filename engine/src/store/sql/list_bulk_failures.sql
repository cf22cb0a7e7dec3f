SELECT run_id, reason FROM bulk_items WHERE operation_id = $1 AND state = 'failed' ORDER BY position LIMIT $2
