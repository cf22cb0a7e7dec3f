-- Ended runs that began from $9 and before $10, by status and by how many $11 seconds after $9 they began; of the newest $12.
-- Where they are looked for is put in the place of `finished_runs AS ended` (run_search.rs).
SELECT floor(extract(epoch FROM created_at - $9::timestamptz) / $11::float8)::int AS bucket, status, count(*) AS runs FROM (
    SELECT * FROM finished_runs AS ended
    WHERE tenant = $1 AND created_at >= $9 AND created_at < $10
    ORDER BY created_at DESC, id DESC LIMIT $12
) AS seen
WHERE ($2::text IS NULL OR workflow = $2) AND ($3::text IS NULL OR subject = $3) AND ($4::jsonb IS NULL OR attributes @> $4)
  AND ($5::text IS NULL OR error_code = $5) AND ($6::uuid IS NULL OR parent_run = $6)
  AND ($7::text[] IS NULL OR workflow = ANY($7)) AND ($8::text[] IS NULL OR subject = ANY($8))
GROUP BY 1, 2 ORDER BY 1, 2
