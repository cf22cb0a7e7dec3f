-- Runs with which no engine so far could go on: stuck ones, and ones with results that an older build took in. The number is
-- the build, or any later one, that may try. Runs that were stuck before are tried by the next build.
ALTER TABLE runs ADD COLUMN waits_for_build bigint;
UPDATE runs SET waits_for_build = build + 1 WHERE status = 'stuck';
CREATE INDEX runs_waits_for_build ON runs (waits_for_build, id) WHERE waits_for_build IS NOT NULL;
