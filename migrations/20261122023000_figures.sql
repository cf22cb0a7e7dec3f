-- What runs show of themselves (progress, what they spent and may spend); where a run that goes on in a new journal is
-- read from. All of it is absent from runs that do not use it.
ALTER TABLE runs ADD COLUMN figures jsonb, ADD COLUMN journal_from integer;
ALTER TABLE finished_runs ADD COLUMN figures jsonb, ADD COLUMN journal_from integer;

-- Attributes after some were set, and those set to null taken off. Inlined into the statement that commits.
CREATE FUNCTION with_attributes(attributes jsonb, changes text) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN changes IS NULL THEN attributes ELSE jsonb_strip_nulls(attributes || changes::jsonb) END
$$;
