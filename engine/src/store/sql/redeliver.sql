-- Once more from the first attempt, under the same id.
WITH again AS (
    UPDATE notices SET next_at = now(), attempts = 0, delivered_at = NULL WHERE target = $1 AND id = $2 RETURNING kind
), audited AS (
    INSERT INTO audit (tenant, who, via, address, request, action, target, after)
    SELECT $3, $4, $5, $6, $7, $8, $9, jsonb_build_object('delivery', $2::uuid, 'kind', kind) FROM again
)
SELECT count(*) FROM again
