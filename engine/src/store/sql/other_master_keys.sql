-- Keys that are not wrapped by the current master key.
SELECT id, master_key, wrapped FROM data_keys WHERE master_key <> $1 ORDER BY id LIMIT $2
