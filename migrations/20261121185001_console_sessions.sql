-- Sessions of the console. Of a session's secret, and of the token that it was opened with, only the hashes are here. No reference
-- to `tokens`: the token of a file has no row there.
CREATE TABLE console_sessions (
    hash       bytea PRIMARY KEY CHECK (length(hash) = 32),
    token_hash bytea NOT NULL CHECK (length(token_hash) = 32),
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL
);
CREATE INDEX console_sessions_by_token ON console_sessions (token_hash, created_at);
CREATE INDEX console_sessions_by_end ON console_sessions (expires_at);
