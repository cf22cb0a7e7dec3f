-- By one person: the second finds who was first.
WITH before AS (
    SELECT id, state FROM human_tasks WHERE id = $1 AND tenant = $2
), claimed AS (
    UPDATE human_tasks SET state = 'claimed', claimed_by = $3, claimed_at = coalesce(claimed_at, now())
    WHERE id = $1 AND tenant = $2 AND (state = 'open' OR (state = 'claimed' AND claimed_by = $3))
    RETURNING id, state
), audited AS (
    INSERT INTO audit (tenant, who, via, address, request, action, target, before, after)
    SELECT $2, $3, $4, $5, $6, $7, $8, jsonb_build_object('state', b.state), jsonb_build_object('state', c.state)
    FROM claimed c JOIN before b USING (id)
)
SELECT id FROM claimed
