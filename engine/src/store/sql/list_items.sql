-- The newest version of each item that was not removed.
SELECT kind, name, version, created_at, created_by FROM (
    SELECT DISTINCT ON (kind, name) kind, name, version, created_at, created_by, body IS NOT NULL AS held
    FROM subject_items
    WHERE tenant = $1 AND subject = $2 AND ($3::text IS NULL OR kind = $3)
    ORDER BY kind, name, version DESC
) AS newest
WHERE held AND ($4::text IS NULL OR (kind, name) > ($4, $5::text))
ORDER BY kind, name LIMIT $6
