UPDATE data_keys SET master_key = $3, wrapped = $4 WHERE id = $1 AND master_key = $2
