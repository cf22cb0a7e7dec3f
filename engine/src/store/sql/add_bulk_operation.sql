-- A bulk operation, unless its tenant has as many that have not ended as it may ($12), or its key is known.
WITH added AS (
    INSERT INTO bulk_operations (id, tenant, action, filter, options, reach_workflows, reach_subjects, rate, idempotency_key, request_hash,
                                 created_at, created_by)
    SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $13
    WHERE (SELECT count(*) FROM bulk_operations WHERE tenant = $2 AND ended_at IS NULL) < $12
    ON CONFLICT DO NOTHING RETURNING tenant, action, filter, rate
), audited AS (
    INSERT INTO audit (tenant, who, via, address, request, action, target, after)
    SELECT a.tenant, $13, $14, $15, $16, $17, $18, to_jsonb(a) - 'tenant' FROM added a
)
SELECT count(*) FROM added
