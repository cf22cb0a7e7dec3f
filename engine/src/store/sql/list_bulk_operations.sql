-- One page of those within this reach, newest first, from behind the cursor ($2, $3).
SELECT id, action, filter, options, state, rate, collected, limited, total, done, skipped, failed, busy_s, undo_of,
       undone_by, created_at, created_by, ended_at,
       ended_at IS NULL OR coalesce(lease_until > now(), false) AS is_at_work
FROM bulk_operations
WHERE tenant = $1
  AND (created_at, id) < (coalesce($2, 'infinity'::timestamptz), coalesce($3, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid))
  AND ($4::text[] IS NULL OR reach_workflows <@ $4) AND ($5::text[] IS NULL OR reach_subjects <@ $5)
ORDER BY created_at DESC, id DESC LIMIT $6
