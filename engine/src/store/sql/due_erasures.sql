-- Old enough that no engine holds the subject's key as one to begin something with.
SELECT id, tenant, subject FROM erasures
WHERE erased_at IS NULL AND requested_at <= now() - make_interval(secs => $1::double precision)
  AND id > $3
ORDER BY id LIMIT $2
