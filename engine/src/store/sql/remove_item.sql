-- Every version's body; the rows stay, for the runs that used them.
WITH gone AS (
    UPDATE subject_items SET body = NULL
    WHERE tenant = $1 AND subject = $2 AND kind = $3 AND name = $4 AND body IS NOT NULL RETURNING version
), audited AS (
    INSERT INTO audit (tenant, who, via, address, request, action, target, before)
    SELECT $1, $5, $6, $7, $8, $9, $10, jsonb_build_object('version', max(version)) FROM gone HAVING count(*) > 0
)
SELECT count(*) FROM gone
