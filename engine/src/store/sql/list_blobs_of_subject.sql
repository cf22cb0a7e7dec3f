SELECT id, kind, subject, run_id, seq, content_type, size_bytes, sha256, meta, created_at FROM blobs
WHERE tenant = $1 AND subject = $2 AND ($3::uuid IS NULL OR id > $3) ORDER BY id LIMIT $4
