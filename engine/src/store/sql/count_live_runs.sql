-- Live runs by status, however old; of the newest $9.
SELECT status, count(*) AS runs FROM (
    SELECT * FROM runs AS live WHERE tenant = $1 ORDER BY created_at DESC, id DESC LIMIT $9
) AS seen
WHERE ($2::text IS NULL OR workflow = $2) AND ($3::text IS NULL OR subject = $3) AND ($4::jsonb IS NULL OR attributes @> $4)
  AND ($5::text IS NULL OR error_code = $5) AND ($6::uuid IS NULL OR parent_run = $6)
  AND ($7::text[] IS NULL OR workflow = ANY($7)) AND ($8::text[] IS NULL OR subject = ANY($8))
GROUP BY status
