WITH added AS (
    INSERT INTO blobs (id, kind, tenant, subject, run_id, seq, content_type, size_bytes, sha256, meta)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING created_at
), audited AS (
    -- What a step leaves is in the journal's hands.
    INSERT INTO audit (tenant, who, via, address, request, action, target, after)
    SELECT $3, $11, $12, $13, $14, $15, $16, jsonb_build_object('size_bytes', $8::bigint, 'sha256', $9::text)
    FROM added WHERE $11::text IS NOT NULL
)
SELECT created_at FROM added
