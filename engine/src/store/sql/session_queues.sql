-- No row: the session ended, or never was.
SELECT queues, labels::text FROM sessions WHERE id = $1 AND kind = 'worker' AND expires_at > now()
