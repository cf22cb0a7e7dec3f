-- From where each run's journal at hand begins. OFFSET 0 makes it one look-up a run: how many rows a run has in a partitioned table the
-- planner does not know, and a join that it takes for cheaper reads the whole journal.
SELECT j.run_id, j.revision, j.at, j.body
FROM unnest($1::uuid[]) AS wanted(id)
LEFT JOIN runs r ON r.id = wanted.id
LEFT JOIN finished_runs f ON f.id = wanted.id
CROSS JOIN LATERAL (
    SELECT j.run_id, j.revision, j.at, j.body FROM journal j
    WHERE j.run_id = wanted.id AND j.revision >= coalesce(r.journal_from, f.journal_from, 1) OFFSET 0) AS j
ORDER BY j.run_id, j.revision
