-- The last row of a window of $8 rows behind the cursor ($2, $3); none where there are fewer. Only the index is read.
-- Where they are looked for is put in the place of `runs AS live` and `finished_runs AS ended` (run_search.rs).
SELECT created_at, id FROM (
    (SELECT created_at, id FROM runs AS live
     WHERE tenant = $1
       AND (created_at, id) < (coalesce($2, 'infinity'::timestamptz), coalesce($3, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid))
       AND created_at >= coalesce($4, '-infinity'::timestamptz) AND created_at < coalesce($5, 'infinity'::timestamptz)
       AND ($6::text IS NULL OR subject = $6) AND ($7::uuid IS NULL OR parent_run = $7)
     ORDER BY created_at DESC, id DESC LIMIT $8)
    UNION ALL
    (SELECT created_at, id FROM finished_runs AS ended
     WHERE tenant = $1
       AND (created_at, id) < (coalesce($2, 'infinity'::timestamptz), coalesce($3, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid))
       AND created_at >= coalesce($4, '-infinity'::timestamptz) AND created_at < coalesce($5, 'infinity'::timestamptz)
       AND ($6::text IS NULL OR subject = $6) AND ($7::uuid IS NULL OR parent_run = $7)
     ORDER BY created_at DESC, id DESC LIMIT $8)
) AS seen
ORDER BY created_at DESC, id DESC OFFSET $8 - 1 LIMIT 1
