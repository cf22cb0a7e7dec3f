-- An attempt came to its end: the receiver's status, and why it is no delivery (NULL: it is one). The end of an attempt that was given up
-- changes nothing, unless it was a delivery. $4: the attempt; $5: attempts in all.
UPDATE notices SET status = $2, last_error = $3, delivered_at = CASE WHEN $3::text IS NULL THEN now() END,
    next_at = CASE WHEN $3::text IS NULL OR attempts >= $5 THEN NULL
                   ELSE now() + least(10 * power(2, attempts - 1), 3600) * (0.8 + 0.4 * random()) * interval '1 second' END
WHERE id = $1 AND ($3::text IS NULL OR attempts = $4)
