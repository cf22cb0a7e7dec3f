-- Limits: how many of a workflow's runs, or of one of its steps, are at work at once, or begin in a while, for each key. Rows are changed
-- while runs go on. A step that has no slot is `blocked`: neither ticketed nor granted.
ALTER TABLE steps DROP CONSTRAINT steps_state_check,
    ADD CONSTRAINT steps_state_check CHECK (state IN ('ready', 'blocked', 'running', 'stopping', 'backing_off', 'parked'));

CREATE TABLE limits (
    tenant     text NOT NULL,
    name       text NOT NULL,
    workflow   text NOT NULL,
    -- NULL: of whole runs.
    step       text,
    -- Expressions; NULL: one key for all, and whoever came first goes first.
    key        text,
    share      text,
    weights    jsonb NOT NULL DEFAULT '{}',
    -- At once, for each key.
    most       integer CHECK (most > 0),
    -- Begun in so long, for each key, and how many at once after a rest.
    rate       integer CHECK (rate > 0),
    per_ms     bigint CHECK (per_ms > 0),
    burst      integer CHECK (burst > 0),
    version    bigint GENERATED ALWAYS AS IDENTITY,
    changed_by text NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, name),
    CHECK (most IS NOT NULL OR rate IS NOT NULL),
    CHECK ((rate IS NULL) = (per_ms IS NULL) AND (rate IS NULL) = (burst IS NULL)),
    -- A run that goes on has its slot already, and would need no token.
    CHECK (rate IS NULL OR step IS NOT NULL)
);

-- What is known of a key beside its slots; a key without a row is as if it had a new one.
CREATE TABLE limit_keys (
    tenant       text NOT NULL,
    name         text NOT NULL,
    key          text NOT NULL,
    cooled_until timestamptz,
    -- When its bucket is full again.
    full_at      timestamptz NOT NULL DEFAULT '-infinity',
    -- The turn of the last that began, of those that share the key.
    turn         double precision NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant, name, key)
);

-- What a live step must have, one row for each limit. It is had while the step's own row says `ready`, `running` or `stopping`: with the
-- row of a step that ends, backs off or is parked, its slot is free, whoever forgets this one.
CREATE TABLE slots (
    run_id   uuid NOT NULL,
    seq      integer NOT NULL,
    name     text NOT NULL,
    tenant   text NOT NULL,
    key      text NOT NULL,
    of_run   boolean NOT NULL,
    priority smallint NOT NULL,
    share    text,
    turn     double precision NOT NULL,
    since    timestamptz NOT NULL,
    held     boolean NOT NULL,
    PRIMARY KEY (run_id, seq, name)
) WITH (fillfactor = 70);
CREATE INDEX slots_waiting ON slots (tenant, name, key, priority DESC, turn, since, run_id, seq) WHERE NOT held;
CREATE INDEX slots_held ON slots (tenant, name, key) WHERE held;
CREATE INDEX slots_shares ON slots (tenant, name, key, share, turn) WHERE share IS NOT NULL;

-- As a commit sends them. `turn`: one by the share's weight.
CREATE TYPE commit_slot AS (
    run_id uuid, seq int, name text, tenant text, key text, of_run bool, priority smallint, share text, turn float8, held bool
);

-- When this key has a slot for the step: now, at an instant, or nobody knows (`infinity`). A run that holds one of its own has it.
CREATE FUNCTION slot_at(of_tenant text, of_name text, of_key text, the_run uuid) RETURNS timestamptz LANGUAGE plpgsql AS $$
DECLARE
    rule limits;
    known limit_keys;
    every interval;
    earliest timestamptz := now();
    has bigint;
    own boolean;
BEGIN
    SELECT * INTO rule FROM limits l WHERE l.tenant = of_tenant AND l.name = of_name;
    IF NOT FOUND THEN
        RETURN earliest;
    END IF;
    IF rule.most IS NOT NULL THEN
        SELECT count(DISTINCT (h.run_id, CASE WHEN h.of_run THEN 0 ELSE h.seq END)), bool_or(h.of_run AND h.run_id = the_run)
        INTO has, own
        FROM (SELECT s.run_id, s.seq, s.of_run FROM slots s
              WHERE s.tenant = of_tenant AND s.name = of_name AND s.key = of_key AND s.held OFFSET 0) h
        CROSS JOIN LATERAL (SELECT t.state FROM steps t WHERE t.run_id = h.run_id AND t.seq = h.seq OFFSET 0) t
        WHERE t.state IN ('ready', 'running', 'stopping');
        IF own THEN
            RETURN earliest;
        ELSIF has >= rule.most THEN
            RETURN 'infinity';
        END IF;
    END IF;
    SELECT * INTO known FROM limit_keys k WHERE k.tenant = of_tenant AND k.name = of_name AND k.key = of_key;
    IF FOUND THEN
        earliest := greatest(earliest, known.cooled_until);
        IF rule.rate IS NOT NULL THEN
            every := rule.per_ms * interval '1 millisecond' / rule.rate;
            earliest := greatest(earliest, known.full_at - (rule.burst - 1) * every);
        END IF;
    END IF;
    RETURN earliest;
END $$;

-- Gives a step its slots if all of them are free: what was `blocked` is `ready`. Answers whether it did.
CREATE FUNCTION admit_step(the_run uuid, the_seq integer, but_not text, backlogged text[]) RETURNS boolean LANGUAGE plpgsql AS $$
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

-- Gives out what these keys have free: by priority, in turn, by time. One call at a time, whichever engine's: what is counted under the
-- lock is what there is, because only this gives slots out. (Commits pass some on, which leaves the count as it was.) Answers the steps
-- that are ready, and of keys that may have more, when to ask again.
CREATE FUNCTION admit_steps(of_tenants text[], of_names text[], of_keys text[], backlogged text[])
RETURNS TABLE (run_id uuid, seq integer, attempt integer, queue text, ticketed boolean, tenant text, name text, key text, again_at timestamptz)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    looked_at constant integer := 200;
    wanted record;
    waiting record;
    free_at timestamptz;
    looks integer;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('admit_steps'));
    FOR wanted IN SELECT DISTINCT * FROM unnest(of_tenants, of_names, of_keys) AS t(tenant, name, key) ORDER BY 1, 2, 3 LOOP
        -- What ended is forgotten, and what left its slot waits again.
        DELETE FROM slots s
        WHERE s.tenant = wanted.tenant AND s.name = wanted.name AND s.key = wanted.key AND s.held
          AND NOT EXISTS (SELECT FROM steps t WHERE t.run_id = s.run_id AND t.seq = s.seq);
        UPDATE slots s SET held = false
        WHERE s.tenant = wanted.tenant AND s.name = wanted.name AND s.key = wanted.key AND s.held
          AND (SELECT t.state FROM steps t WHERE t.run_id = s.run_id AND t.seq = s.seq) IN ('blocked', 'backing_off', 'parked');
        -- Runs that hold the key have it for all their steps.
        FOR waiting IN
            SELECT w.run_id, w.seq
            FROM (SELECT DISTINCT s.run_id FROM slots s
                  WHERE s.tenant = wanted.tenant AND s.name = wanted.name AND s.key = wanted.key AND s.held AND s.of_run OFFSET 0) h
            CROSS JOIN LATERAL (SELECT s.run_id, s.seq FROM slots s
                                WHERE s.run_id = h.run_id AND s.name = wanted.name AND s.key = wanted.key AND NOT s.held OFFSET 0) w
            ORDER BY w.run_id, w.seq
        LOOP
            IF slot_at(wanted.tenant, wanted.name, wanted.key, waiting.run_id) <= now()
                AND admit_step(waiting.run_id, waiting.seq, wanted.name, backlogged)
            THEN
                RETURN QUERY SELECT t.run_id, t.seq, t.attempt, t.queue, t.ticketed_at IS NOT NULL, NULL::text, NULL::text, NULL::text,
                                    NULL::timestamptz
                             FROM steps t WHERE t.run_id = waiting.run_id AND t.seq = waiting.seq;
            END IF;
        END LOOP;
        looks := 0;
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
                    RETURN QUERY SELECT NULL::uuid, 0, 0, NULL::text, false, wanted.tenant, wanted.name, wanted.key, free_at;
                END IF;
                EXIT;
            END IF;
            IF admit_step(waiting.run_id, waiting.seq, wanted.name, backlogged) THEN
                RETURN QUERY SELECT t.run_id, t.seq, t.attempt, t.queue, t.ticketed_at IS NOT NULL, NULL::text, NULL::text, NULL::text,
                                    NULL::timestamptz
                             FROM steps t WHERE t.run_id = waiting.run_id AND t.seq = waiting.seq;
            END IF;
        END LOOP;
        IF looks >= looked_at AND free_at <= now() THEN
            RETURN QUERY SELECT NULL::uuid, 0, 0, NULL::text, false, wanted.tenant, wanted.name, wanted.key, now();
        END IF;
    END LOOP;
END $$;
