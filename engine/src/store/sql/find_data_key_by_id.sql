SELECT master_key, wrapped FROM data_keys WHERE id = $1
