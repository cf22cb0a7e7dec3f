SELECT seq, state, attempt, available_at, granted_at FROM steps WHERE run_id = $1 ORDER BY seq
