INSERT INTO data_keys (tenant, subject, master_key, wrapped) VALUES ($1, $2, $3, $4)
ON CONFLICT (tenant, subject) DO NOTHING
