-- The opposite ($2 by the action $3) of what $1 did, once, after it has ended and its last turn with it, unless its tenant has as many
-- that have not ended as it may ($5).
WITH before AS MATERIALIZED (
    SELECT * FROM bulk_operations
    WHERE id = $1 AND ended_at IS NOT NULL AND undone_by IS NULL AND (lease_until IS NULL OR lease_until <= now()) FOR UPDATE
), added AS (
    INSERT INTO bulk_operations (id, tenant, action, filter, options, reach_workflows, reach_subjects, rate, undo_of, created_at, created_by)
    SELECT $2, b.tenant, $3, b.filter, '{}', b.reach_workflows, b.reach_subjects, b.rate, b.id, $4, $6 FROM before b
    WHERE (SELECT count(*) FROM bulk_operations o WHERE o.tenant = b.tenant AND o.ended_at IS NULL) < $5
    RETURNING id, tenant, action, undo_of
), marked AS (
    UPDATE bulk_operations o SET undone_by = a.id FROM added a WHERE o.id = a.undo_of
), audited AS (
    INSERT INTO audit (tenant, who, via, address, request, action, target, after)
    SELECT a.tenant, $6, $7, $8, $9, $10, $11, jsonb_build_object('action', a.action, 'by', 'bulk_' || replace(a.id::text, '-', ''))
    FROM added a
)
SELECT count(*) FROM added
