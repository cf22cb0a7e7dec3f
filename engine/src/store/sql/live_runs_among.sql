-- For a live session: which of these runs are not over. One empty row for a session to which none of them is.
SELECT r.id
FROM sessions x LEFT JOIN runs r ON r.id = ANY ($2) AND (x.tenant IS NULL OR r.tenant = x.tenant)
WHERE x.id = $1 AND x.kind = 'worker' AND x.expires_at > now()
