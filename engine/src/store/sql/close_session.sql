-- A session that says good-bye ends at once: what it still holds is swept with the next tick.
UPDATE sessions SET expires_at = '-infinity' WHERE id = $1
