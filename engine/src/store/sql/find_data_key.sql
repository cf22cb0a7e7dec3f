SELECT id, master_key, wrapped,
       EXISTS (SELECT FROM erasures WHERE tenant = $1 AND subject = $2 AND erased_at IS NULL) AS erasing
FROM data_keys WHERE tenant = $1 AND subject = $2
