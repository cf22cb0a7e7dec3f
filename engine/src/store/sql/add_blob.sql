INSERT INTO blobs (id, kind, tenant, subject, run_id, seq, content_type, size_bytes, sha256, meta)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING created_at
