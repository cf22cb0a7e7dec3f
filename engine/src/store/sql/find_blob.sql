SELECT id, kind, subject, run_id, seq, content_type, size_bytes, sha256, meta, created_at FROM blobs WHERE id = $1 AND tenant = $2
