-- What was sealed before this instant opens no more. A key that came after it belongs to whoever came back.
DELETE FROM data_keys WHERE tenant = $1 AND subject = $2 AND created_at <= $3
