-- What there is of a subject. No row of its own: whoever has a key, an item, a file or a run is one.
SELECT (SELECT min(created_at) FROM data_keys WHERE tenant = $1 AND subject = $2) AS known_since,
       (SELECT count(*) FROM runs WHERE tenant = $1 AND subject = $2) AS live_runs,
       (SELECT count(DISTINCT (kind, name)) FROM subject_items WHERE tenant = $1 AND subject = $2 AND body IS NOT NULL) AS items,
       (SELECT count(*) FROM blobs WHERE tenant = $1 AND subject = $2) AS files,
       (SELECT requested_at FROM erasures WHERE tenant = $1 AND subject = $2 AND erased_at IS NULL) AS erasing_since,
       (SELECT max(erased_at) FROM erasures WHERE tenant = $1 AND subject = $2) AS erased_at
