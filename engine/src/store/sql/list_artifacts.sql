SELECT id, kind, subject, run_id, seq, content_type, size_bytes, sha256, meta, created_at
FROM blobs WHERE run_id = $1 AND tenant = $2 ORDER BY created_at, id LIMIT 1000
