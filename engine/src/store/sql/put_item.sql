-- A new version of an item. None while its subject is being erased, and none if another put was faster.
WITH next AS (
    SELECT coalesce(max(version), 0) + 1 AS version FROM subject_items
    WHERE tenant = $1 AND subject = $2 AND kind = $3 AND name = $4
), added AS (
    INSERT INTO subject_items (tenant, subject, kind, name, version, body, created_by)
    SELECT $1, $2, $3, $4, version, $5, $6 FROM next
    WHERE NOT EXISTS (SELECT FROM erasures WHERE tenant = $1 AND subject = $2 AND erased_at IS NULL)
    ON CONFLICT DO NOTHING RETURNING version
), audited AS (
    INSERT INTO audit (tenant, who, via, address, request, action, target, after)
    SELECT $1, $6, $7, $8, $9, $10, $11, jsonb_build_object('version', version) FROM added
)
SELECT version FROM added
