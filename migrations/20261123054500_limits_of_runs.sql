-- What a limit of whole runs says of those that come while it is full, or too fast after one another, or wait too long.
ALTER TABLE limits
    -- Those that come: wait, are cancelled, or are let in while the oldest that are at work are cancelled.
    ADD COLUMN when_full text NOT NULL DEFAULT 'queue' CHECK (when_full IN ('queue', 'cancel_newest', 'cancel_in_progress')),
    -- A run has its slot while it is at work, or until it has ended.
    ADD COLUMN hold text NOT NULL DEFAULT 'working' CHECK (hold IN ('working', 'live')),
    -- A run begins once no other of its key came for so long, or so long after the first of those that came.
    ADD COLUMN quiet_ms bigint CHECK (quiet_ms > 0),
    ADD COLUMN quiet_at_most_ms bigint,
    -- A run that waited for so long to begin is cancelled.
    ADD COLUMN expires_ms bigint CHECK (expires_ms > 0),
    DROP CONSTRAINT limits_check,
    ADD CONSTRAINT limits_check CHECK (most IS NOT NULL OR rate IS NOT NULL OR quiet_ms IS NOT NULL),
    ADD CONSTRAINT limits_of_runs_check
        CHECK (step IS NULL OR (when_full = 'queue' AND hold = 'working' AND quiet_ms IS NULL AND expires_ms IS NULL)),
    ADD CONSTRAINT limits_of_slots_check CHECK (most IS NOT NULL OR (when_full = 'queue' AND hold = 'working')),
    ADD CONSTRAINT limits_quiet_check CHECK (quiet_at_most_ms IS NULL OR (quiet_ms IS NOT NULL AND quiet_at_most_ms >= quiet_ms));

-- Since when runs of a key come after one another, none of which has begun.
ALTER TABLE limit_keys ADD COLUMN quiet_from timestamptz;

-- Runs that have a slot until they have ended. One that is left over is forgotten by the next call.
CREATE TABLE slots_of_life (
    tenant text NOT NULL,
    name   text NOT NULL,
    key    text NOT NULL,
    run_id uuid NOT NULL,
    PRIMARY KEY (tenant, name, key, run_id)
);

-- Runs of a key that wait to begin, nothing of them being done yet. What is paused does not wait.
CREATE FUNCTION waiting_to_begin(of_tenant text, of_name text, of_key text)
RETURNS TABLE (run_id uuid, since timestamptz, created_at timestamptz) LANGUAGE sql STABLE AS $$
    SELECT s.run_id, min(s.since), min(r.created_at)
    FROM slots s JOIN runs r ON r.id = s.run_id JOIN steps t ON t.run_id = s.run_id AND t.seq = s.seq
    WHERE s.tenant = of_tenant AND s.name = of_name AND s.key = of_key AND NOT s.held
      AND r.status = 'queued' AND t.state = 'blocked' AND NOT t.gated
    GROUP BY s.run_id
$$;

-- Runs that have a slot of the key.
CREATE FUNCTION runs_with_slot(of_tenant text, of_name text, of_key text, of_life boolean) RETURNS TABLE (run_id uuid)
LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF of_life THEN
        RETURN QUERY SELECT l.run_id FROM slots_of_life l
        WHERE l.tenant = of_tenant AND l.name = of_name AND l.key = of_key AND EXISTS (SELECT FROM runs r WHERE r.id = l.run_id);
    ELSE
        RETURN QUERY SELECT DISTINCT h.run_id
        FROM (SELECT s.run_id, s.seq FROM slots s
              WHERE s.tenant = of_tenant AND s.name = of_name AND s.key = of_key AND s.held OFFSET 0) h
        CROSS JOIN LATERAL (SELECT t.state FROM steps t WHERE t.run_id = h.run_id AND t.seq = h.seq OFFSET 0) t
        WHERE t.state IN ('ready', 'running', 'stopping');
    END IF;
END $$;

-- As before, and of runs that have their slot for life, and of those that wait until no other comes.
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
        SELECT w.run_id, w.since INTO mine FROM waiting_to_begin(of_tenant, of_name, of_key) w ORDER BY w.since DESC, w.run_id DESC LIMIT 1;
        IF mine.run_id = the_run THEN
            earliest := greatest(earliest, least(mine.since + rule.quiet_ms * interval '1 millisecond',
                known.quiet_from + rule.quiet_at_most_ms * interval '1 millisecond'));
        ELSIF EXISTS (SELECT FROM waiting_to_begin(of_tenant, of_name, of_key) w WHERE w.run_id = the_run) THEN
            RETURN 'infinity';
        END IF;
    END IF;
    RETURN earliest;
END $$;

-- Runs that are to be cancelled for others of the key, and why.
CREATE FUNCTION runs_over_limit(rule limits, of_key text) RETURNS TABLE (run_id uuid, why text) LANGUAGE plpgsql STABLE AS $$
DECLARE
    at_once constant integer := 200;
    is_full boolean := rule.most IS NOT NULL
        AND (SELECT count(*) FROM runs_with_slot(rule.tenant, rule.name, of_key, rule.hold = 'live')) >= rule.most;
BEGIN
    IF rule.quiet_ms IS NOT NULL THEN
        RETURN QUERY SELECT w.run_id, 'replaced' FROM waiting_to_begin(rule.tenant, rule.name, of_key) w
                     ORDER BY w.since DESC, w.run_id DESC OFFSET 1 LIMIT at_once;
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

-- As before; a run that begins has its slots for life, and ends the wait of those that came before it.
CREATE OR REPLACE FUNCTION admit_step(the_run uuid, the_seq integer, but_not text, backlogged text[]) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    step steps;
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
    UPDATE slots s SET held = true WHERE s.run_id = the_run AND s.seq = the_seq;
    INSERT INTO slots_of_life (tenant, name, key, run_id)
        SELECT s.tenant, s.name, s.key, the_run FROM slots s JOIN limits l ON l.tenant = s.tenant AND l.name = s.name
        WHERE s.run_id = the_run AND s.seq = the_seq AND l.hold = 'live'
    ON CONFLICT DO NOTHING;
    UPDATE limit_keys k SET quiet_from = NULL FROM slots s
    WHERE s.run_id = the_run AND s.seq = the_seq AND k.tenant = s.tenant AND k.name = s.name AND k.key = s.key AND k.quiet_from IS NOT NULL;
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

-- As before; of limits of runs it also answers which are to be cancelled.
DROP FUNCTION admit_steps(text[], text[], text[], text[]);
CREATE FUNCTION admit_steps(of_tenants text[], of_names text[], of_keys text[], backlogged text[])
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
        IF rule.quiet_ms IS NOT NULL THEN
            INSERT INTO limit_keys AS k (tenant, name, key, quiet_from)
                SELECT wanted.tenant, wanted.name, wanted.key, min(w.since)
                FROM waiting_to_begin(wanted.tenant, wanted.name, wanted.key) w HAVING count(*) > 0
            ON CONFLICT (tenant, name, key) DO UPDATE SET quiet_from = EXCLUDED.quiet_from WHERE k.quiet_from IS NULL;
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
            ORDER BY s.priority DESC, s.turn, s.since, s.run_id, s.seq LIMIT looked_at
        LOOP
            looks := looks + 1;
            free_at := slot_at(wanted.tenant, wanted.name, wanted.key, waiting.run_id);
            IF free_at > now() THEN
                IF free_at < 'infinity' THEN
                    RETURN QUERY SELECT NULL::uuid, 0, 0, NULL::text, false, wanted.tenant, wanted.name, wanted.key, free_at, NULL::text;
                END IF;
                -- Where others take its place it has none, and they may.
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
