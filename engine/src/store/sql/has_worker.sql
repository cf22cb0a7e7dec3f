-- A live worker that serves this tenant alone, or with `*` every tenant, by its session or its name.
SELECT EXISTS (SELECT 1 FROM sessions x
               WHERE x.kind = 'worker' AND x.expires_at > now() AND coalesce(x.tenant, '*') = $1
                 AND $2 IN (x.name, 'sess_' || replace(x.id::text, '-', '')))
