SELECT EXISTS (SELECT 1 FROM sessions WHERE id = $1 AND kind = 'worker' AND tenant = $2)
