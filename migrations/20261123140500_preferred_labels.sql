-- Steps that would rather go to some workers than to others. NULL for all other steps: they pay nothing.

-- The queues at which its preferred workers listen, the best first. Only who writes tickets looks at it.
ALTER TABLE steps ADD COLUMN prefers text[];

-- A row of what one commit begins (`commit.sql`).
CREATE TYPE commit_preference AS (run_id uuid, seq int, queues text[]);
