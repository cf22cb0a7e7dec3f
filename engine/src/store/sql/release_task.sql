-- Whoever has it hands it back; $4: or somebody who may take it from others.
WITH before AS (
    SELECT id, state, claimed_by FROM human_tasks WHERE id = $1 AND tenant = $2
), released AS (
    UPDATE human_tasks SET state = 'open', claimed_by = NULL, claimed_at = NULL
    WHERE id = $1 AND tenant = $2 AND state = 'claimed' AND (claimed_by = $3 OR $4)
    RETURNING id, state
), audited AS (
    INSERT INTO audit (tenant, who, via, address, request, action, target, before, after)
    SELECT $2, $3, $5, $6, $7, $8, $9, jsonb_build_object('state', b.state, 'claimed_by', b.claimed_by), jsonb_build_object('state', r.state)
    FROM released r JOIN before b USING (id)
)
SELECT id FROM released
