-- Newest first, within a token's reach. The cursor is the last row's (at, id).
SELECT id, key, scope, subject, body, replay_of, at, created_by, woken FROM events
WHERE tenant = $1 AND ($2::text IS NULL OR key = $2) AND ($3::timestamptz IS NULL OR (at, id) < ($3, $4::uuid))
  AND ($5::text[] IS NULL OR subject = ANY ($5))
ORDER BY at DESC, id DESC LIMIT $6
