-- One page of runs, newest first, live and finished alike. The cursor is the last row's (created_at, id).
SELECT * FROM (
    (SELECT id, tenant, subject, workflow, plan, attributes, status, paused, reason::jsonb AS reason, status_line, error_code, revision,
            created_at, updated_at, NULL::timestamptz AS ended_at, parent_run, figures
     FROM runs
     WHERE tenant = $1 AND ($2::text IS NULL OR workflow = $2) AND ($3::text[] IS NULL OR status = ANY($3))
       AND ($4::text IS NULL OR subject = $4) AND ($5::timestamptz IS NULL OR (created_at, id) < ($5, $6::uuid))
       AND ($8::text[] IS NULL OR workflow = ANY($8)) AND ($9::text[] IS NULL OR subject = ANY($9))
     ORDER BY created_at DESC, id DESC LIMIT $7)
    UNION ALL
    (SELECT id, tenant, subject, workflow, plan, attributes, status, false, NULL, status_line, error_code, revision,
            created_at, ended_at, ended_at, parent_run, figures
     FROM finished_runs
     WHERE tenant = $1 AND ($2::text IS NULL OR workflow = $2) AND ($3::text[] IS NULL OR status = ANY($3))
       AND ($4::text IS NULL OR subject = $4) AND ($5::timestamptz IS NULL OR (created_at, id) < ($5, $6::uuid))
       AND ($8::text[] IS NULL OR workflow = ANY($8)) AND ($9::text[] IS NULL OR subject = ANY($9))
     ORDER BY created_at DESC, id DESC LIMIT $7)
) AS page
ORDER BY created_at DESC, id DESC LIMIT $7
