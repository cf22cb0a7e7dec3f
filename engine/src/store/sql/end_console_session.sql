DELETE FROM console_sessions WHERE hash = $1
