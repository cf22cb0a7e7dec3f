-- Within this reach.
SELECT id, action, filter, options, state, rate, collected, limited, total, done, skipped, failed, busy_s, undo_of,
       undone_by, created_at, created_by, ended_at,
       ended_at IS NULL OR coalesce(lease_until > now(), false) AS is_at_work
FROM bulk_operations
WHERE tenant = $1 AND id = $2 AND ($3::text[] IS NULL OR reach_workflows <@ $3) AND ($4::text[] IS NULL OR reach_subjects <@ $4)
