-- A limit that gives its slots for life from here on gives one to each run that has a slot at this instant: a step that ends before
-- the limit is asked for anything would take it along, and one run too many would live.
CREATE FUNCTION give_slots_for_life() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Nobody is let in meanwhile.
    PERFORM pg_advisory_xact_lock(hashtext('admit_steps'));
    INSERT INTO slots_of_life (tenant, name, key, run_id)
        SELECT DISTINCT s.tenant, s.name, s.key, s.run_id FROM slots s JOIN steps t ON t.run_id = s.run_id AND t.seq = s.seq
        WHERE s.tenant = NEW.tenant AND s.name = NEW.name AND s.held AND t.state IN ('ready', 'running', 'stopping')
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER limits_give_slots_for_life AFTER INSERT OR UPDATE ON limits
    FOR EACH ROW WHEN (NEW.hold = 'live') EXECUTE FUNCTION give_slots_for_life();
