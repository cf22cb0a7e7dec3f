SELECT run_id, seq, attempt, lease_id, state = 'blocked' AS blocked,
       (SELECT json_agg(json_build_object('limit', l.name, 'key', l.key, 'of_run', l.of_run) ORDER BY l.name)::text
        FROM slots l WHERE l.run_id = s.run_id AND l.seq = s.seq) AS slots
FROM steps s WHERE run_id = ANY($1::uuid[])
