-- The oldest make room.
WITH added AS (
    INSERT INTO incoming_failures (id, webhook_id, reason, address) VALUES ($1, $2, $3, $4)
)
DELETE FROM incoming_failures WHERE id IN (
    SELECT id FROM incoming_failures WHERE webhook_id = $2 ORDER BY at DESC, id DESC OFFSET $5)
