-- By one person: the second finds who was first.
UPDATE human_tasks SET state = 'claimed', claimed_by = $3, claimed_at = coalesce(claimed_at, now())
WHERE id = $1 AND tenant = $2 AND (state = 'open' OR (state = 'claimed' AND claimed_by = $3))
RETURNING id
