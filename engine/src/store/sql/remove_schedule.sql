-- With all that became of it; runs that it started go on.
WITH removed AS (
    DELETE FROM schedules WHERE id = $1 RETURNING id, tenant, workflow, cron, at, zone, overlap, catch_up_s
), fires AS (
    DELETE FROM schedule_fires f USING removed r WHERE f.schedule_id = r.id
), audited AS (
    INSERT INTO audit (tenant, who, via, address, request, action, target, before)
    SELECT tenant, $2, $3, $4, $5, $6, $7, to_jsonb(r) - 'id' - 'tenant' FROM removed r
)
SELECT count(*) FROM removed
