-- Instants that somebody asks for; those that are known, or whose key is, stay as they are.
WITH added AS (
    INSERT INTO schedule_fires (schedule_id, at, origin, overlap, state, key)
    SELECT s.id, asked.at, $3, $4, 'waiting', $5 FROM schedules s, unnest($2::timestamptz[]) AS asked (at) WHERE s.id = $1
    ON CONFLICT DO NOTHING RETURNING at
), audited AS (
    INSERT INTO audit (tenant, who, via, address, request, action, target, after)
    SELECT s.tenant, $6, $7, $8, $9, $10, $11, jsonb_build_object('fires', (SELECT count(*) FROM added))
    FROM schedules s WHERE s.id = $1 AND EXISTS (SELECT FROM added)
)
SELECT count(*) FROM added
