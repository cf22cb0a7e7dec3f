-- Nothing if its id or its signature is known.
INSERT INTO incoming_deliveries (webhook_id, delivery, proof, run_id, event_id) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING
