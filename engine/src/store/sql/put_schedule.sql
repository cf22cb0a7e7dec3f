-- A schedule as it shall be from now on. None if the tenant has too many; nothing changes if it is so already.
WITH before AS MATERIALIZED (
    SELECT workflow, cron, at, zone, overlap, catch_up_s, request_hash = $12 AS same FROM schedules
    WHERE tenant = $2 AND name = $3
), put AS (
    INSERT INTO schedules AS s (id, tenant, name, workflow, subject, cron, at, zone, overlap, catch_up_s, body, request_hash,
                                next_at, created_by)
    SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14
    WHERE NOT EXISTS (SELECT FROM before WHERE same)
      AND (EXISTS (SELECT FROM before) OR (SELECT count(*) FROM schedules WHERE tenant = $2) < $15)
    ON CONFLICT (tenant, name) DO UPDATE
    SET workflow = EXCLUDED.workflow, subject = EXCLUDED.subject, cron = EXCLUDED.cron, at = EXCLUDED.at, zone = EXCLUDED.zone,
        overlap = EXCLUDED.overlap, catch_up_s = EXCLUDED.catch_up_s, body = EXCLUDED.body,
        request_hash = EXCLUDED.request_hash, next_at = EXCLUDED.next_at, turn = s.turn + 1, missed_from = NULL,
        missed_until = NULL, changed_at = now()
    RETURNING workflow, cron, at, zone, overlap, catch_up_s, xmax = 0 AS created
), audited AS (
    INSERT INTO audit (tenant, who, via, address, request, action, target, before, after)
    SELECT $2, $14, $16, $17, $18, $19, $20, (SELECT to_jsonb(b) - 'same' FROM before b), to_jsonb(p) - 'created' FROM put p
)
SELECT created FROM put
UNION ALL
SELECT false FROM before WHERE same
