-- The hash of the token that a session was opened with.
SELECT token_hash FROM console_sessions WHERE hash = $1 AND expires_at > now()
