UPDATE incoming_deliveries SET settled = true WHERE webhook_id = $1 AND delivery = $2
