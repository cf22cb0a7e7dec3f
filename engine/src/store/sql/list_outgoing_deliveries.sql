-- Latest first. The cursor is the last row's (at, id).
SELECT id, kind, run_id, task_id, at, attempts, status, last_error, delivered_at, next_at FROM notices
WHERE target = $1 AND ($2::timestamptz IS NULL OR (at, id) < ($2, $3::uuid))
  AND ($4::text IS NULL OR $4 = CASE WHEN delivered_at IS NOT NULL THEN 'delivered' WHEN next_at IS NULL THEN 'failed' ELSE 'waiting' END)
ORDER BY at DESC, id DESC LIMIT $5
