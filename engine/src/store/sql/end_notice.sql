-- A notice was delivered ($2 NULL), or was not.
UPDATE notices SET delivered_at = CASE WHEN $2::text IS NULL THEN now() END,
    next_at = CASE WHEN $2::text IS NULL THEN NULL ELSE next_at END, last_error = $2
WHERE id = $1
