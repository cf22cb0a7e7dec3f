SELECT run_id, kind, name, version, used_at FROM subject_uses
WHERE tenant = $1 AND subject = $2 ORDER BY used_at DESC, run_id, kind, name, version LIMIT $3
