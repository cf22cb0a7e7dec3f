-- A limit of a step may say what becomes of one that comes while its key is full: it waits, it fails, or an older one fails for it.
ALTER TABLE limits DROP CONSTRAINT limits_of_runs_check,
    ADD CONSTRAINT limits_of_runs_check CHECK (step IS NULL OR (hold = 'working' AND quiet_ms IS NULL AND expires_ms IS NULL));

-- Steps of a key that are to fail, and why. One that came back for another attempt waits in any case, and what has begun its effect goes on.
CREATE FUNCTION steps_over_limit(rule limits, of_key text) RETURNS TABLE (run_id uuid, seq integer, attempt integer, why text)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    at_once constant integer := 200;
BEGIN
    IF rule.most IS NULL OR rule.most > (
        SELECT count(*) FROM slots s
        WHERE s.tenant = rule.tenant AND s.name = rule.name AND s.key = of_key AND s.held
          AND (SELECT t.state FROM steps t WHERE t.run_id = s.run_id AND t.seq = s.seq) IN ('ready', 'running', 'stopping'))
    THEN
        RETURN;
    END IF;
    IF rule.when_full = 'cancel_newest' THEN
        RETURN QUERY SELECT s.run_id, s.seq, t.attempt, 'full' FROM slots s
                     CROSS JOIN LATERAL (SELECT t.attempt FROM steps t
                                         WHERE t.run_id = s.run_id AND t.seq = s.seq AND t.state = 'blocked' AND NOT t.gated
                                           AND t.attempt = 1 OFFSET 0) t
                     WHERE s.tenant = rule.tenant AND s.name = rule.name AND s.key = of_key AND NOT s.held
                     ORDER BY s.since DESC, s.run_id DESC, s.seq DESC LIMIT at_once;
    ELSIF rule.when_full = 'cancel_in_progress' THEN
        RETURN QUERY
            SELECT c.run_id, c.seq, c.attempt, 'replaced' FROM (
                SELECT s.run_id, s.seq, t.attempt, t.state, t.begun FROM slots s
                CROSS JOIN LATERAL (SELECT t.attempt, t.state, t.effect_begun_at IS NOT NULL AS begun FROM steps t
                                    WHERE t.run_id = s.run_id AND t.seq = s.seq AND NOT t.gated
                                      AND t.state = CASE WHEN s.held THEN t.state ELSE 'blocked' END
                                      AND t.state IN ('blocked', 'ready', 'running', 'stopping') OFFSET 0) t
                WHERE s.tenant = rule.tenant AND s.name = rule.name AND s.key = of_key
                ORDER BY s.since DESC, s.run_id DESC, s.seq DESC OFFSET rule.most
            ) c
            WHERE c.state <> 'stopping' AND NOT c.begun AND (c.state <> 'blocked' OR c.attempt = 1) LIMIT at_once;
    END IF;
END $$;

-- As before; also the steps that are to fail.
CREATE OR REPLACE FUNCTION admit_steps(of_tenants text[], of_names text[], of_keys text[], backlogged text[])
RETURNS TABLE (run_id uuid, seq integer, attempt integer, queue text, ticketed boolean, tenant text, name text, key text,
               again_at timestamptz, over text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    looked_at constant integer := 200;
    rule limits;
    wanted record;
    waiting record;
    free_at timestamptz;
    looks integer;
    newest uuid;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('admit_steps'));
    FOR wanted IN SELECT DISTINCT * FROM unnest(of_tenants, of_names, of_keys) AS t(tenant, name, key) ORDER BY 1, 2, 3 LOOP
        SELECT * INTO rule FROM limits l WHERE l.tenant = wanted.tenant AND l.name = wanted.name;
        -- What ended is forgotten, and what left its slot waits again.
        DELETE FROM slots s
        WHERE s.tenant = wanted.tenant AND s.name = wanted.name AND s.key = wanted.key AND s.held
          AND NOT EXISTS (SELECT FROM steps t WHERE t.run_id = s.run_id AND t.seq = s.seq);
        UPDATE slots s SET held = false
        WHERE s.tenant = wanted.tenant AND s.name = wanted.name AND s.key = wanted.key AND s.held
          AND (SELECT t.state FROM steps t WHERE t.run_id = s.run_id AND t.seq = s.seq) IN ('blocked', 'backing_off', 'parked');
        DELETE FROM slots_of_life l
        WHERE l.tenant = wanted.tenant AND l.name = wanted.name AND l.key = wanted.key
          AND (rule.hold IS DISTINCT FROM 'live' OR NOT EXISTS (SELECT FROM runs r WHERE r.id = l.run_id));
        IF rule.hold = 'live' THEN
            -- Those that had their slot while they worked, when the limit was another one.
            INSERT INTO slots_of_life (tenant, name, key, run_id)
                SELECT DISTINCT s.tenant, s.name, s.key, s.run_id FROM slots s
                WHERE s.tenant = wanted.tenant AND s.name = wanted.name AND s.key = wanted.key AND s.held
            ON CONFLICT DO NOTHING;
        END IF;
        newest := NULL;
        IF rule.quiet_ms IS NOT NULL THEN
            INSERT INTO limit_keys AS k (tenant, name, key, quiet_from)
                SELECT wanted.tenant, wanted.name, wanted.key, w.since
                FROM waiting_to_begin(wanted.tenant, wanted.name, wanted.key) w
                WHERE NOT w.replaced ORDER BY w.since LIMIT 1
            ON CONFLICT (tenant, name, key) DO UPDATE SET quiet_from = EXCLUDED.quiet_from WHERE k.quiet_from IS NULL;
            SELECT w.run_id INTO newest FROM waiting_to_begin(wanted.tenant, wanted.name, wanted.key) w
            WHERE NOT w.replaced ORDER BY w.since DESC, w.run_id DESC LIMIT 1;
        END IF;
        -- Runs that hold the key have it for all their steps.
        FOR waiting IN
            SELECT w.run_id, w.seq
            FROM (SELECT s.run_id FROM slots s
                  WHERE s.tenant = wanted.tenant AND s.name = wanted.name AND s.key = wanted.key AND s.held AND s.of_run
                  UNION
                  SELECT l.run_id FROM slots_of_life l
                  WHERE l.tenant = wanted.tenant AND l.name = wanted.name AND l.key = wanted.key OFFSET 0) h
            CROSS JOIN LATERAL (SELECT s.run_id, s.seq FROM slots s
                                WHERE s.run_id = h.run_id AND s.name = wanted.name AND s.key = wanted.key AND NOT s.held OFFSET 0) w
            ORDER BY w.run_id, w.seq
        LOOP
            IF slot_at(wanted.tenant, wanted.name, wanted.key, waiting.run_id) <= now()
                AND admit_step(waiting.run_id, waiting.seq, wanted.name, backlogged)
            THEN
                RETURN QUERY SELECT t.run_id, t.seq, t.attempt, t.queue, t.ticketed_at IS NOT NULL, NULL::text, NULL::text, NULL::text,
                                    NULL::timestamptz, NULL::text
                             FROM steps t WHERE t.run_id = waiting.run_id AND t.seq = waiting.seq;
            END IF;
        END LOOP;
        looks := 0;
        free_at := now();
        FOR waiting IN
            SELECT s.run_id, s.seq FROM slots s
            WHERE s.tenant = wanted.tenant AND s.name = wanted.name AND s.key = wanted.key AND NOT s.held
              -- Others back off, or are held by a pause.
              AND (SELECT t.state = 'blocked' AND NOT t.gated FROM steps t WHERE t.run_id = s.run_id AND t.seq = s.seq)
                  IS DISTINCT FROM false
              -- Of those that come after one another the newest alone may begin. Others go on with what they began.
              AND (rule.quiet_ms IS NULL OR s.run_id = newest
                   OR (SELECT r.status FROM runs r WHERE r.id = s.run_id) IS DISTINCT FROM 'queued'
                   OR (SELECT true FROM steps o WHERE o.run_id = s.run_id AND o.state IN ('ready', 'running', 'stopping') LIMIT 1))
            ORDER BY s.priority DESC, s.turn, s.since, s.run_id, s.seq LIMIT looked_at
        LOOP
            looks := looks + 1;
            free_at := slot_at(wanted.tenant, wanted.name, wanted.key, waiting.run_id);
            IF free_at > now() THEN
                IF free_at < 'infinity' THEN
                    RETURN QUERY SELECT NULL::uuid, 0, 0, NULL::text, false, wanted.tenant, wanted.name, wanted.key, free_at, NULL::text;
                END IF;
                -- Who waits for quiet holds up nobody who began.
                CONTINUE WHEN rule.quiet_ms IS NOT NULL;
                EXIT;
            END IF;
            IF admit_step(waiting.run_id, waiting.seq, wanted.name, backlogged) THEN
                RETURN QUERY SELECT t.run_id, t.seq, t.attempt, t.queue, t.ticketed_at IS NOT NULL, NULL::text, NULL::text, NULL::text,
                                    NULL::timestamptz, NULL::text
                             FROM steps t WHERE t.run_id = waiting.run_id AND t.seq = waiting.seq;
            END IF;
        END LOOP;
        IF looks >= looked_at AND free_at <= now() THEN
            RETURN QUERY SELECT NULL::uuid, 0, 0, NULL::text, false, wanted.tenant, wanted.name, wanted.key, now(), NULL::text;
        END IF;
        IF rule.step IS NOT NULL AND rule.when_full <> 'queue' THEN
            RETURN QUERY SELECT o.run_id, o.seq, o.attempt, NULL::text, false, wanted.tenant, wanted.name, wanted.key, NULL::timestamptz, o.why
                         FROM steps_over_limit(rule, wanted.key) o;
        ELSIF rule.when_full <> 'queue' OR rule.quiet_ms IS NOT NULL THEN
            RETURN QUERY SELECT o.run_id, 0, 0, NULL::text, false, wanted.tenant, wanted.name, wanted.key, NULL::timestamptz, o.why
                         FROM runs_over_limit(rule, wanted.key) o;
        END IF;
    END LOOP;
END $$;
