-- One page of runs, newest first, live and finished alike, from behind the cursor ($2, $3) to the window's end ($4, $5).
-- Where they are looked for is put in the place of `runs AS live` and `finished_runs AS ended` (run_search.rs).
SELECT * FROM (
    (SELECT id, tenant, subject, workflow, plan, attributes, status, paused, reason::jsonb AS reason, status_line, error_code, revision,
            created_at, updated_at, NULL::timestamptz AS ended_at, parent_run, figures
     FROM runs AS live
     WHERE tenant = $1 AND (created_at, id) < (coalesce($2, 'infinity'::timestamptz), coalesce($3, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid))
       AND (created_at, id) >= (coalesce($4, '-infinity'::timestamptz), coalesce($5, '00000000-0000-0000-0000-000000000000'::uuid))
       AND created_at >= coalesce($6, '-infinity'::timestamptz) AND created_at < coalesce($7, 'infinity'::timestamptz)
       AND ($8::text IS NULL OR workflow = $8) AND ($9::text[] IS NULL OR status = ANY($9)) AND ($10::text IS NULL OR subject = $10)
       AND ($11::jsonb IS NULL OR attributes @> $11) AND ($12::text IS NULL OR error_code = $12)
       AND ($13::uuid IS NULL OR parent_run = $13)
       AND ($14::text[] IS NULL OR workflow = ANY($14)) AND ($15::text[] IS NULL OR subject = ANY($15))
     ORDER BY created_at DESC, id DESC LIMIT $16)
    UNION ALL
    (SELECT id, tenant, subject, workflow, plan, attributes, status, false, NULL, status_line, error_code, revision,
            created_at, ended_at, ended_at, parent_run, figures
     FROM finished_runs AS ended
     WHERE tenant = $1 AND (created_at, id) < (coalesce($2, 'infinity'::timestamptz), coalesce($3, 'ffffffff-ffff-ffff-ffff-ffffffffffff'::uuid))
       AND (created_at, id) >= (coalesce($4, '-infinity'::timestamptz), coalesce($5, '00000000-0000-0000-0000-000000000000'::uuid))
       AND created_at >= coalesce($6, '-infinity'::timestamptz) AND created_at < coalesce($7, 'infinity'::timestamptz)
       AND ($8::text IS NULL OR workflow = $8) AND ($9::text[] IS NULL OR status = ANY($9)) AND ($10::text IS NULL OR subject = $10)
       AND ($11::jsonb IS NULL OR attributes @> $11) AND ($12::text IS NULL OR error_code = $12)
       AND ($13::uuid IS NULL OR parent_run = $13)
       AND ($14::text[] IS NULL OR workflow = ANY($14)) AND ($15::text[] IS NULL OR subject = ANY($15))
     ORDER BY created_at DESC, id DESC LIMIT $16)
) AS page
ORDER BY created_at DESC, id DESC LIMIT $16
