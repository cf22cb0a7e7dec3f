-- The delivery of this id, or else the one that bore this signature.
SELECT delivery = $2 AS is_same, run_id, event_id, settled FROM incoming_deliveries
WHERE webhook_id = $1 AND (delivery = $2 OR proof = $3) ORDER BY 1 DESC LIMIT 1
