-- Trees of runs are removed as a whole. The root is of a child the run that its tree began with, of a fork the root of the run
-- that it was taken from; NULL: the run is a root itself.
ALTER TABLE runs ADD COLUMN root uuid;
ALTER TABLE finished_runs ADD COLUMN root uuid;

WITH RECURSIVE known AS (
    SELECT id, parent_run FROM runs UNION ALL SELECT id, parent_run FROM finished_runs
), below AS (
    SELECT id, id AS root FROM known WHERE parent_run IS NULL
    UNION ALL SELECT k.id, b.root FROM below b JOIN known k ON k.parent_run = b.id
), live AS (
    UPDATE runs r SET root = b.root FROM below b WHERE r.id = b.id AND b.root <> b.id
)
UPDATE finished_runs r SET root = b.root FROM below b WHERE r.id = b.id AND b.root <> b.id;

CREATE INDEX runs_of_tree ON runs (root) WHERE root IS NOT NULL;
CREATE INDEX finished_runs_of_tree ON finished_runs (root) WHERE root IS NOT NULL;
