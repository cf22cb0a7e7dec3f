-- Paused or not; whoever resumes says where it goes on. Nothing if it is so already.
WITH changed AS (
    UPDATE schedules SET paused = $2, next_at = coalesce($3, next_at), turn = turn + 1, changed_at = now()
    WHERE id = $1 AND paused <> $2 RETURNING tenant
), audited AS (
    INSERT INTO audit (tenant, who, via, address, request, action, target, before, after)
    SELECT tenant, $4, $5, $6, $7, $8, $9, jsonb_build_object('paused', NOT $2), jsonb_build_object('paused', $2) FROM changed
)
SELECT count(*) FROM changed
