-- From where each run's journal at hand begins.
SELECT j.run_id, j.revision, j.at, j.body
FROM unnest($1::uuid[]) AS wanted(id)
LEFT JOIN runs r ON r.id = wanted.id
LEFT JOIN finished_runs f ON f.id = wanted.id
JOIN journal j ON j.run_id = wanted.id AND j.revision >= coalesce(r.journal_from, f.journal_from, 1)
ORDER BY j.run_id, j.revision
