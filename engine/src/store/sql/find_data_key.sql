SELECT id, master_key, wrapped FROM data_keys WHERE tenant = $1 AND subject = $2
