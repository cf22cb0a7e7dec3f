SELECT at, reason, address FROM incoming_failures WHERE webhook_id = $1 ORDER BY at DESC, id DESC LIMIT $2
