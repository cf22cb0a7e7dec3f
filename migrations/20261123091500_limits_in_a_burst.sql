-- Bursts of runs that a limit debounces: what is asked of all that wait was asked for each of them. It is asked of an index now.

-- A later run of the key began while this one waited to: it never begins, though that one is not waited with any more.
ALTER TABLE slots ADD COLUMN replaced boolean NOT NULL DEFAULT false;

-- Runs of a key by when they came: the newest alone may begin.
CREATE INDEX slots_since ON slots (tenant, name, key, since, run_id) WHERE NOT held AND NOT replaced;
CREATE INDEX slots_replaced ON slots (tenant, name, key) WHERE NOT held AND replaced;

-- What ended gives its slots for life back at once.
CREATE INDEX slots_of_life_runs ON slots_of_life (run_id);

-- As before, in the order of the index if asked for; without runs of which something is at work, whatever their rows show by now.
-- Look-ups are scalar, so that none is made a join with all there is.
DROP FUNCTION waiting_to_begin(text, text, text);
CREATE FUNCTION waiting_to_begin(of_tenant text, of_name text, of_key text)
RETURNS TABLE (run_id uuid, since timestamptz, created_at timestamptz, replaced boolean) LANGUAGE sql STABLE AS $$
    SELECT s.run_id, s.since, r.created_at, s.replaced
    FROM slots s CROSS JOIN LATERAL (SELECT r.created_at FROM runs r WHERE r.id = s.run_id AND r.status = 'queued' OFFSET 0) r
    WHERE s.tenant = of_tenant AND s.name = of_name AND s.key = of_key AND NOT s.held
      AND (SELECT t.state = 'blocked' AND NOT t.gated FROM steps t WHERE t.run_id = s.run_id AND t.seq = s.seq)
      AND (SELECT true FROM steps o WHERE o.run_id = s.run_id AND o.state IN ('ready', 'running', 'stopping') LIMIT 1) IS NULL
      -- Who has its slot for life began, whatever was done of it.
      AND (SELECT true FROM slots_of_life l WHERE l.tenant = s.tenant AND l.name = s.name AND l.key = s.key AND l.run_id = s.run_id) IS NULL
      -- Its first step that waits stands for the run.
      AND (SELECT true FROM slots e JOIN steps t ON t.run_id = e.run_id AND t.seq = e.seq
           WHERE e.run_id = s.run_id AND e.name = s.name AND e.key = s.key AND e.tenant = s.tenant AND NOT e.held
             AND (e.since, e.seq) < (s.since, s.seq) AND t.state = 'blocked' AND NOT t.gated LIMIT 1) IS NULL
$$;

-- As before; of those that come after one another the newest waits for quiet, and who was replaced has no slot.
CREATE OR REPLACE FUNCTION slot_at(of_tenant text, of_name text, of_key text, the_run uuid) RETURNS timestamptz LANGUAGE plpgsql AS $$
DECLARE
    rule limits;
    known limit_keys;
    every interval;
    earliest timestamptz := now();
    has bigint;
    own boolean;
    mine record;
BEGIN
    SELECT * INTO rule FROM limits l WHERE l.tenant = of_tenant AND l.name = of_name;
    IF NOT FOUND THEN
        RETURN earliest;
    END IF;
    IF rule.most IS NOT NULL THEN
        IF rule.step IS NULL THEN
            SELECT count(*), bool_or(h.run_id = the_run) INTO has, own
            FROM runs_with_slot(of_tenant, of_name, of_key, rule.hold = 'live') h;
        ELSE
            SELECT count(DISTINCT (h.run_id, CASE WHEN h.of_run THEN 0 ELSE h.seq END)), bool_or(h.of_run AND h.run_id = the_run)
            INTO has, own
            FROM (SELECT s.run_id, s.seq, s.of_run FROM slots s
                  WHERE s.tenant = of_tenant AND s.name = of_name AND s.key = of_key AND s.held OFFSET 0) h
            CROSS JOIN LATERAL (SELECT t.state FROM steps t WHERE t.run_id = h.run_id AND t.seq = h.seq OFFSET 0) t
            WHERE t.state IN ('ready', 'running', 'stopping');
        END IF;
        IF own THEN
            RETURN earliest;
        ELSIF has >= rule.most THEN
            RETURN 'infinity';
        END IF;
    END IF;
    SELECT * INTO known FROM limit_keys k WHERE k.tenant = of_tenant AND k.name = of_name AND k.key = of_key;
    earliest := greatest(earliest, known.cooled_until);
    IF rule.rate IS NOT NULL THEN
        every := rule.per_ms * interval '1 millisecond' / rule.rate;
        earliest := greatest(earliest, known.full_at - (rule.burst - 1) * every);
    END IF;
    IF rule.quiet_ms IS NOT NULL THEN
        SELECT w.run_id, w.since INTO mine FROM waiting_to_begin(of_tenant, of_name, of_key) w
        WHERE NOT w.replaced ORDER BY w.since DESC, w.run_id DESC LIMIT 1;
        IF mine.run_id = the_run THEN
            earliest := greatest(earliest, least(mine.since + rule.quiet_ms * interval '1 millisecond',
                known.quiet_from + rule.quiet_at_most_ms * interval '1 millisecond'));
        ELSIF EXISTS (SELECT FROM waiting_to_begin(of_tenant, of_name, of_key) w WHERE w.run_id = the_run) THEN
            RETURN 'infinity';
        END IF;
    END IF;
    RETURN earliest;
END $$;

-- As before; also those that waited when a later one began.
CREATE OR REPLACE FUNCTION runs_over_limit(rule limits, of_key text) RETURNS TABLE (run_id uuid, why text) LANGUAGE plpgsql STABLE AS $$
DECLARE
    at_once constant integer := 200;
    is_full boolean := rule.most IS NOT NULL
        AND (SELECT count(*) FROM runs_with_slot(rule.tenant, rule.name, of_key, rule.hold = 'live')) >= rule.most;
BEGIN
    IF rule.quiet_ms IS NOT NULL THEN
        RETURN QUERY SELECT w.run_id, 'replaced' FROM waiting_to_begin(rule.tenant, rule.name, of_key) w
                     WHERE NOT w.replaced ORDER BY w.since DESC, w.run_id DESC OFFSET 1 LIMIT at_once;
        RETURN QUERY SELECT w.run_id, 'replaced' FROM waiting_to_begin(rule.tenant, rule.name, of_key) w
                     WHERE w.replaced LIMIT at_once;
    END IF;
    IF rule.when_full = 'cancel_newest' AND is_full THEN
        RETURN QUERY SELECT w.run_id, 'full' FROM waiting_to_begin(rule.tenant, rule.name, of_key) w
                     ORDER BY w.since DESC, w.run_id DESC LIMIT at_once;
    ELSIF rule.when_full = 'cancel_in_progress' AND is_full
        AND EXISTS (SELECT FROM waiting_to_begin(rule.tenant, rule.name, of_key))
    THEN
        RETURN QUERY SELECT c.run_id, c.why FROM (
            SELECT w.run_id, 'replaced' AS why, w.created_at FROM waiting_to_begin(rule.tenant, rule.name, of_key) w
            UNION ALL
            SELECT h.run_id, 'in_progress', r.created_at
            FROM runs_with_slot(rule.tenant, rule.name, of_key, rule.hold = 'live') h JOIN runs r ON r.id = h.run_id
            ORDER BY 3 DESC, 1 DESC OFFSET rule.most LIMIT at_once
        ) c;
    END IF;
END $$;

-- As before; who begins ends the wait of all that waited with it, and only who begins does.
CREATE OR REPLACE FUNCTION admit_step(the_run uuid, the_seq integer, but_not text, backlogged text[]) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    step steps;
    debounced record;
BEGIN
    SELECT * INTO step FROM steps t WHERE t.run_id = the_run AND t.seq = the_seq FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        -- Gone, or in the middle of something that asks again when it is done.
        DELETE FROM slots s WHERE s.run_id = the_run AND s.seq = the_seq
            AND NOT EXISTS (SELECT FROM steps t WHERE t.run_id = the_run AND t.seq = the_seq);
        RETURN false;
    END IF;
    IF step.state <> 'blocked' OR step.gated
        OR EXISTS (SELECT FROM pauses_of_step(step.tenant, step.workflow, step.queue, the_run))
        OR EXISTS (SELECT FROM slots s WHERE s.run_id = the_run AND s.seq = the_seq AND s.name <> but_not
                   AND slot_at(s.tenant, s.name, s.key, the_run) > now())
    THEN
        RETURN false;
    END IF;
    IF (SELECT r.status FROM runs r WHERE r.id = the_run) = 'queued'
        AND NOT EXISTS (SELECT FROM steps o WHERE o.run_id = the_run AND o.state IN ('ready', 'running', 'stopping'))
    THEN
        FOR debounced IN
            SELECT s.tenant, s.name, s.key FROM slots s JOIN limits l ON l.tenant = s.tenant AND l.name = s.name
            WHERE s.run_id = the_run AND s.seq = the_seq AND l.quiet_ms IS NOT NULL
              AND NOT EXISTS (SELECT FROM slots_of_life h
                              WHERE h.tenant = s.tenant AND h.name = s.name AND h.key = s.key AND h.run_id = s.run_id)
            ORDER BY s.name
        LOOP
            UPDATE slots o SET replaced = true
            WHERE o.tenant = debounced.tenant AND o.name = debounced.name AND o.key = debounced.key AND NOT o.held
              AND (o.run_id IN (SELECT w.run_id FROM waiting_to_begin(debounced.tenant, debounced.name, debounced.key) w
                                WHERE NOT w.replaced AND w.run_id <> the_run)) IS TRUE;
            UPDATE limit_keys k SET quiet_from = NULL
            WHERE k.tenant = debounced.tenant AND k.name = debounced.name AND k.key = debounced.key AND k.quiet_from IS NOT NULL;
        END LOOP;
    END IF;
    UPDATE slots s SET held = true WHERE s.run_id = the_run AND s.seq = the_seq;
    INSERT INTO slots_of_life (tenant, name, key, run_id)
        SELECT s.tenant, s.name, s.key, the_run FROM slots s JOIN limits l ON l.tenant = s.tenant AND l.name = s.name
        WHERE s.run_id = the_run AND s.seq = the_seq AND l.hold = 'live'
    ON CONFLICT DO NOTHING;
    INSERT INTO limit_keys AS k (tenant, name, key, full_at, turn)
        SELECT s.tenant, s.name, s.key,
               CASE WHEN l.rate IS NULL THEN '-infinity' ELSE now() + l.per_ms * interval '1 millisecond' / l.rate END, s.turn
        FROM slots s JOIN limits l ON l.tenant = s.tenant AND l.name = s.name
        WHERE s.run_id = the_run AND s.seq = the_seq AND (s.share IS NOT NULL OR l.rate IS NOT NULL)
    ON CONFLICT (tenant, name, key) DO UPDATE
        SET turn = greatest(k.turn, EXCLUDED.turn),
            full_at = CASE WHEN EXCLUDED.full_at = '-infinity' THEN k.full_at
                           ELSE EXCLUDED.full_at + (greatest(k.full_at, now()) - now()) END;
    UPDATE steps t SET state = 'ready', ticketed_at = CASE WHEN t.queue = ANY (backlogged) THEN NULL ELSE now() END
    WHERE t.run_id = the_run AND t.seq = the_seq;
    -- What people are shown. A run that is locked shows it with what is committed next.
    UPDATE runs r SET status = 'running', reason = json_build_object('kind', 'step', 'name', step.name, 'seq', the_seq)
    WHERE r.id = (SELECT b.id FROM runs b WHERE b.id = the_run FOR UPDATE SKIP LOCKED) AND r.status IN ('queued', 'waiting', 'running')
      AND r.reason ->> 'kind' IN ('limit', 'backing_off') AND (r.reason ->> 'seq')::int = the_seq;
    RETURN true;
END $$;

-- As before; runs that had their slot while they worked have it for life once the limit says so.
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
        IF rule.when_full <> 'queue' OR rule.quiet_ms IS NOT NULL THEN
            RETURN QUERY SELECT o.run_id, 0, 0, NULL::text, false, wanted.tenant, wanted.name, wanted.key, NULL::timestamptz, o.why
                         FROM runs_over_limit(rule, wanted.key) o;
        END IF;
    END LOOP;
END $$;
